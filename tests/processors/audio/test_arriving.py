"""Songs that are decoded while they arrive."""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

from processors.audio import arriving
from processors.audio.arriving import STREAMED, Arriving
from processors.audio.decoding import decode
from processors.audio.samples import Audio
from topics.sniffing import sniff

RATE = 44_100


def written(
    seconds: float, kind: str, subtype: str, *, rate: int = RATE, channels: int = 2
) -> bytes:
    chance = np.random.default_rng(5)
    sound = 0.3 * chance.standard_normal((round(seconds * rate), channels))
    file = io.BytesIO()
    soundfile.write(file, sound.clip(-1, 1), rate, format=kind, subtype=subtype)
    return file.getvalue()


def pieces(data: bytes, size: int = 50_000) -> Iterator[bytes]:
    for at in range(0, len(data), size):
        yield data[at : at + size]


def arrived(data: bytes, step: int = RATE) -> Audio:
    """The song as it is seen while it arrives, in spans of one length."""
    found: list[np.ndarray] = []
    with closing(Arriving(RATE, 60.0)) as song:
        for piece in pieces(data):
            song.feed(piece)
        song.end()
        while (part := song.span(len(found) * step, (len(found) + 1) * step)) is not None:
            found.append(part.samples)
    return Audio(np.concatenate(found, axis=1) if found else np.empty((2, 0), np.float32), RATE)


@pytest.mark.parametrize(
    ("kind", "subtype", "rate", "channels"),
    [
        ("FLAC", "PCM_16", 44_100, 2),
        ("FLAC", "PCM_24", 48_000, 1),
        ("WAV", "PCM_16", 44_100, 1),
        ("WAV", "PCM_24", 44_100, 2),
        ("WAV", "FLOAT", 96_000, 2),
        ("WAV", "PCM_16", 44_100, 6),
        ("MP3", "MPEG_LAYER_III", 44_100, 2),
    ],
)
def test_what_arrives_is_what_the_whole_file_holds(
    tmp_path: Path, kind: str, subtype: str, rate: int, channels: int
) -> None:
    data = written(3.3, kind, subtype, rate=rate, channels=channels)
    path = tmp_path / "song"
    path.write_bytes(data)
    whole = decode(path, max_seconds=60, rate=RATE)
    early = arrived(data)
    assert early.channels == whole.channels
    assert early.frames >= 3 * RATE
    np.testing.assert_array_equal(early.samples, whole.samples[:, : early.frames])


def test_a_span_is_there_before_the_rest_has_come() -> None:
    data = written(4.0, "WAV", "PCM_16")
    with closing(Arriving(RATE, 60.0)) as song:
        song.feed(data[: len(data) // 2])
        first = song.span(0, RATE)
        assert first is not None
        assert first.frames == RATE
        song.feed(data[len(data) // 2 :])
        song.end()
        assert song.span(3 * RATE, 4 * RATE) is not None
        assert song.span(4 * RATE, 5 * RATE) is None


def test_spans_may_overlap() -> None:
    data = written(3.0, "WAV", "PCM_16")
    with closing(Arriving(RATE, 60.0)) as song:
        song.feed(data)
        song.end()
        one, two = song.span(0, 2 * RATE), song.span(RATE, 3 * RATE)
        assert one is not None
        assert two is not None
        np.testing.assert_array_equal(one.samples[:, RATE:], two.samples[:, :RATE])


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no sound at all" * 10_000,
        written(1.0, "OGG", "VORBIS"),
        b"fLaC" + bytes(200_000),
        written(1.0, "WAV", "PCM_16")[:100],
    ],
    ids=["nothing", "no sound", "another format", "damaged", "cut off"],
)
def test_what_cannot_be_decoded_early_ends_without_an_error(data: bytes) -> None:
    assert arrived(data).frames == 0


def test_who_waits_for_samples_is_woken_when_the_song_is_called_off() -> None:
    song = Arriving(RATE, 60.0)
    song.feed(written(2.0, "WAV", "PCM_16"))
    found: list[Audio | None] = []
    waiting = threading.Thread(target=lambda: found.append(song.span(0, 30 * RATE)))
    waiting.start()
    song.close()
    waiting.join(30)
    assert found == [None]
    song.feed(b"more")  # of no use any more, and no error


def test_every_streamed_format_has_a_name_that_is_told_from_its_bytes() -> None:
    names = set()
    for kind, subtype in (("FLAC", "PCM_16"), ("MP3", "MPEG_LAYER_III"), ("WAV", "PCM_16")):
        sound = sniff(written(0.5, kind, subtype))
        assert sound is not None
        names.add(sound.name)
    assert names == set(STREAMED)


def test_two_who_hang_up_at_once_close_the_pipe_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who downloads, because the decoder wants no more, and who separates, because he does not."""
    song = Arriving(RATE, 60.0)
    song.feed(written(1.0, "WAV", "PCM_16"))
    pipe, closed, failures = song._pipe, list[int](), list[Exception]()

    def hang_up() -> None:
        try:
            song.close()
        except Exception as error:
            failures.append(error)

    other = threading.Thread(target=hang_up)

    def close(fd: int) -> None:
        os.close(fd)
        closed.append(fd)
        if fd == pipe and not other.ident:
            other.start()
            other.join(0.3)  # it comes in the middle, and has to wait

    monkeypatch.setattr(
        arriving,
        "os",
        SimpleNamespace(close=close, write=os.write, pipe=os.pipe, set_blocking=os.set_blocking),
    )
    song.close()
    other.join()
    assert not failures
    assert closed.count(pipe or -1) == 1
