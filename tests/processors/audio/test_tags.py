"""Tags come through a rendering, whatever the containers, and the sound is not touched by them."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from processors.audio.tags import read_tags, write_tags

SAID = {
    "title": "Тихая вода",
    "artist": "The Example",
    "album": "One",
    "date": "2026",
    "isrc": "QZES72612345",
    "composer": "A. Nonymous",
}


def sound(path: Path, frames: int = 999) -> Path:
    noise = np.random.default_rng(1).uniform(-0.5, 0.5, (frames, 1))
    soundfile.write(path, noise, 44_100, subtype="PCM_24")
    return path


@pytest.mark.parametrize("suffix", ["wav", "flac"])
def test_what_is_written_is_read_and_the_sound_stays(tmp_path: Path, suffix: str) -> None:
    path = sound(tmp_path / f"a.{suffix}")
    before, _ = soundfile.read(path, dtype="int32")
    write_tags(path, SAID)
    after, _ = soundfile.read(path, dtype="int32")
    np.testing.assert_array_equal(after, before)
    assert read_tags(path) == SAID


@pytest.mark.parametrize("suffix", ["wav", "flac", "aiff"])
def test_what_other_programs_wrote_is_read(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    with soundfile.SoundFile(path, "w", 44_100, 1, "PCM_16") as file:
        file.title, file.artist, file.copyright = "Song", "Band", "2026 Label"
        file.write(np.zeros(100))
    found = read_tags(path)
    assert (found["title"], found["artist"], found["copyright"]) == ("Song", "Band", "2026 Label")


@pytest.mark.parametrize("suffix", ["wav", "flac"])
def test_other_programs_read_what_is_written(tmp_path: Path, suffix: str) -> None:
    path = sound(tmp_path / f"a.{suffix}")
    write_tags(path, SAID)
    with soundfile.SoundFile(path) as file:
        assert (file.title, file.artist, file.album) == ("Тихая вода", "The Example", "One")


def test_an_aiffs_id3_chunk_is_read(tmp_path: Path) -> None:
    wav = sound(tmp_path / "a.wav")
    write_tags(wav, SAID)
    data = wav.read_bytes()
    id3 = data[data.index(b"id3 ") + 8 :]
    aiff = sound(tmp_path / "a.aiff")
    more = b"ID3 " + struct.pack(">I", len(id3)) + id3
    whole = aiff.read_bytes() + more
    aiff.write_bytes(whole[:4] + struct.pack(">I", len(whole) - 8) + whole[8:])
    assert read_tags(aiff)["isrc"] == SAID["isrc"]


def test_chunks_of_a_wav_come_along_but_not_those_about_its_samples(tmp_path: Path) -> None:
    source, master = sound(tmp_path / "source.wav"), sound(tmp_path / "master.wav")
    bext = bytearray(602)
    bext[:6] = b"a song"
    bext[346:348] = struct.pack("<H", 2)
    bext[412:422] = struct.pack("<5h", -1800, 500, -100, -900, -1200)
    cue = struct.pack("<I", 1) + struct.pack("<II4sIII", 1, 500, b"data", 0, 0, 500)
    chunks = [(b"bext", bytes(bext)), (b"cue ", cue), (b"PEAK", bytes(16)), (b"iXML", b"<x/>")]
    data = source.read_bytes() + b"\0" * (source.stat().st_size % 2)
    for name, content in chunks:
        data += name + struct.pack("<I", len(content)) + content
    source.write_bytes(data[:4] + struct.pack("<I", len(data) - 8) + data[8:])
    write_tags(master, read_tags(source), source=source)
    made = master.read_bytes()
    assert cue in made
    assert b"<x/>" in made
    assert b"PEAK" not in made
    at = made.index(b"bext") + 8
    assert made[at : at + 6] == b"a song"
    assert made[at + 412 : at + 422] == struct.pack("<5H", *(0x7FFF,) * 5)
    assert int.from_bytes(made[4:8], "little") == len(made) - 8
    assert soundfile.info(master).frames == 999


def test_no_tags_leave_a_file_as_it_is(tmp_path: Path) -> None:
    path = sound(tmp_path / "a.wav")
    before = path.read_bytes()
    write_tags(path, {})
    assert path.read_bytes() == before
    assert read_tags(path) == {}


@given(tail=st.binary(max_size=200), kind=st.sampled_from([b"RIFF", b"FORM", b"fLaC", b"OggS"]))
def test_hostile_bytes_are_understood_or_left(
    tmp_path_factory: pytest.TempPathFactory, tail: bytes, kind: bytes
) -> None:
    path = tmp_path_factory.mktemp("hostile") / "a"
    id3 = b"id3 " + struct.pack("<I", len(tail) + 10) + b"ID3\x04\0\0\x7f\x7f\x7f\x7f" + tail
    for data in (kind + tail, kind + b"\0\0\0\0WAVE" + tail, kind + b"\0\0\0\0WAVE" + id3):
        path.write_bytes(data)
        assert all(isinstance(value, str) for value in read_tags(path).values())


def test_another_kind_of_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"something else")
    with pytest.raises(ValueError, match="neither WAV nor FLAC"):
        write_tags(path, SAID)
