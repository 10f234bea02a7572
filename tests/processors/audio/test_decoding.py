import resource
import struct
import subprocess
import sys
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest

from processors.audio import ffmpeg
from processors.audio.decoding import decode, probe
from processors.audio.samples import Audio, Samples
from processors.audio.undecodable import Undecodable
from tests.processors.audio.recordings import coded, cut, pcm, tone

LIMIT = 20.0


def _refused(path: Path, **limits: float) -> Undecodable:
    with pytest.raises(Undecodable) as caught:
        decode(path, **{"max_seconds": LIMIT, **limits})  # type: ignore[arg-type]
    assert str(path.parent) not in caught.value.message
    assert caught.value.message.endswith(".")
    return caught.value


def _error_db(truth: Samples, got: Samples) -> float:
    return float(10 * np.log10(np.sum((truth - got) ** 2) / np.sum(truth**2) + 1e-30))


# -- what is read ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "subtype"),
    [
        ("a.wav", "PCM_16"),
        ("a.wav", "PCM_24"),
        ("a.wav", "FLOAT"),
        ("a.rf64", "PCM_16"),
        ("a.aiff", "PCM_16"),
        ("a.flac", "PCM_24"),
    ],
)
def test_lossless_files_come_back_sample_for_sample(
    tmp_path: Path, name: str, subtype: str
) -> None:
    given = tone(1.0)
    got = decode(pcm(tmp_path / name, given, subtype), max_seconds=LIMIT)
    assert got.rate == 44_100
    np.testing.assert_allclose(got.samples, given.samples, atol=2**-15)


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("a.mp3", ("-c:a", "libmp3lame", "-b:a", "192k")),
        ("a.m4a", ("-c:a", "aac", "-b:a", "192k")),
        ("a.m4a", ("-c:a", "alac")),
        ("a.ogg", ("-c:a", "libvorbis", "-q:a", "6")),
        ("a.opus", ("-c:a", "libopus", "-ar", "48000")),
        ("a.webm", ("-c:a", "libopus", "-ar", "48000")),
        ("a.mka", ("-c:a", "flac")),
        ("a.aac", ("-c:a", "aac")),
        ("a.wma", ("-c:a", "wmav2")),
        ("a.caf", ("-c:a", "pcm_s16be")),
        ("a.aifc", ("-c:a", "pcm_s16le", "-f", "aiff")),
        ("a.wav", ("-c:a", "adpcm_ms")),
    ],
)
def test_coded_files_are_decoded(tmp_path: Path, name: str, codec: tuple[str, ...]) -> None:
    given = tone(2.0, 48_000)
    got = decode(coded(tmp_path / name, given, *codec), max_seconds=LIMIT)
    assert (got.rate, got.channels) == (48_000, 2)
    # raw AAC and WMA don't say how much of their start and end is padding
    slack = {"a.aac": 4_096, "a.wma": 2_048}.get(name, 1_500)
    assert abs(got.frames - given.frames) <= slack
    rms = np.sqrt(np.mean(got.samples**2, axis=1))
    np.testing.assert_allclose(rms, 0.5 / np.sqrt(2), rtol=0.1)


def test_mp3_is_sample_exact(tmp_path: Path) -> None:
    given = tone(3.0)
    path = coded(tmp_path / "a.mp3", given, "-c:a", "libmp3lame", "-b:a", "320k")
    got = decode(path, max_seconds=LIMIT)
    assert got.frames == given.frames
    assert _error_db(given.samples[:, 2000:-2000], got.samples[:, 2000:-2000]) < -40


def test_the_extension_is_not_believed(tmp_path: Path) -> None:
    path = pcm(tmp_path / "song.mp3", tone(1.0), "PCM_16", "WAV")
    assert probe(path).format.name == "wav"
    assert decode(path, max_seconds=LIMIT).seconds == 1.0


def test_samples_above_full_scale_survive(tmp_path: Path) -> None:
    loud = Audio(tone(1.0).samples * 4, 44_100)
    got = decode(pcm(tmp_path / "a.wav", loud, "FLOAT"), max_seconds=LIMIT)
    assert np.abs(got.samples).max() == pytest.approx(2.0, abs=1e-3)


# -- rates and channels ---------------------------------------------------------------------------


def test_mono_stays_mono_unless_asked(tmp_path: Path) -> None:
    path = pcm(tmp_path / "a.wav", tone(1.0, channels=1))
    assert decode(path, max_seconds=LIMIT).channels == 1
    both = decode(path, max_seconds=LIMIT, channels=2)
    np.testing.assert_array_equal(both.samples[0], both.samples[1])


def test_192_khz_becomes_the_working_format(tmp_path: Path) -> None:
    path = pcm(tmp_path / "a.wav", tone(2.0, 192_000), "PCM_24")
    assert decode(path, max_seconds=LIMIT).rate == 192_000
    got = decode(path, max_seconds=LIMIT, rate=44_100, channels=2)
    assert (got.rate, got.frames) == (44_100, 88_200)
    truth = tone(2.0, 44_100).samples
    assert _error_db(truth[:, 500:-500], got.samples[:, 500:-500]) < -80


@pytest.mark.parametrize("name", ["a.wav", "a.mka"])
def test_eight_channels_fold_to_stereo(tmp_path: Path, name: str) -> None:
    """7.1: left only, centre and a surround end up where ITU-R BS.775 puts them."""
    one = tone(1.0, channels=1).samples[0]
    silent = np.zeros((8, len(one)), np.float32)
    got = {}
    for channel in (0, 2, 3, 5):
        samples = silent.copy()
        samples[channel] = one
        audio = Audio(samples, 44_100)
        path = tmp_path / name
        if name == "a.wav":
            pcm(path, audio)
        else:
            coded(path, audio, "-c:a", "flac")
        folded = decode(path, max_seconds=LIMIT)
        assert folded.channels == 2
        got[channel] = np.abs(folded.samples).max(axis=1)
    assert got[0][1] < 1e-3 < got[0][0]
    assert got[2][0] == pytest.approx(got[2][1])
    assert got[2][0] == pytest.approx(got[0][0] * np.sqrt(0.5), rel=1e-2)
    assert got[3].max() < 1e-3
    assert got[5][0] < 1e-3 < got[5][1]


def test_surround_never_clips_what_did_not(tmp_path: Path) -> None:
    full = Audio(np.full((6, 8_000), 0.99, np.float32), 44_100)
    folded = decode(pcm(tmp_path / "a.wav", full), max_seconds=LIMIT, channels=1)
    assert folded.samples.max() <= 1.0


def test_too_many_channels_are_refused(tmp_path: Path) -> None:
    path = pcm(tmp_path / "a.wav", tone(0.1, channels=9))
    assert _refused(path).code == "unsupported_channels"


def test_a_telephone_rate_below_8_khz_is_refused(tmp_path: Path) -> None:
    assert _refused(pcm(tmp_path / "a.wav", tone(0.5, 4_000))).code == "unsupported_rate"


# -- lengths --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.mp3", "a.ogg", "a.m4a"])
def test_songs_that_are_too_short_or_too_long_are_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name in ("a.wav", "a.flac"):
        pcm(path, tone(1.0))
    else:
        coded(path, tone(1.0))
    assert _refused(path, min_seconds=2.0).code == "too_short"
    assert _refused(path, max_seconds=0.5).code == "too_long"
    assert decode(path, max_seconds=1.2, min_seconds=0.9).seconds == pytest.approx(1.0, abs=0.1)


def test_a_long_file_is_refused_by_its_header(tmp_path: Path) -> None:
    """Half an hour by the header alone: the file is sparse, so reading it all would be visible."""
    path = pcm(tmp_path / "a.wav", tone(0.1))
    frames = 1_800 * 44_100
    with path.open("r+b") as file:
        file.seek(4)
        file.write(struct.pack("<I", 36 + frames * 4))
        file.seek(40)
        file.write(struct.pack("<I", frames * 4))
        file.truncate(44 + frames * 4)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    refusal = _refused(path)
    assert refusal.code == "too_long"
    assert "1800 s" in refusal.message
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # KiB


def test_a_long_stream_without_a_length_is_stopped(tmp_path: Path) -> None:
    """A piped FLAC doesn't count its samples: decoding stops just past the limit."""
    audio = tone(30.0, 8_000, 1)
    piped = subprocess.run(
        [
            *(imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-f", "f32le", "-ar", "8000"),
            *("-ac", "1", "-i", "pipe:0", "-f", "flac", "pipe:1"),
        ],
        input=audio.samples.tobytes(),
        capture_output=True,
        check=True,
        timeout=60,
    ).stdout
    path = tmp_path / "a.flac"
    path.write_bytes(piped)
    assert _refused(path).code == "too_long"
    assert decode(path, max_seconds=31).frames == audio.frames


def test_mp3_without_a_frame_count_is_decoded_to_find_its_length(tmp_path: Path) -> None:
    path = coded(tmp_path / "a.mp3", tone(8.0), "-c:a", "libmp3lame", "-write_xing", "0")
    assert probe(path).seconds is None
    assert decode(path, max_seconds=LIMIT).seconds == pytest.approx(8.0, abs=0.1)
    assert _refused(path, max_seconds=5.0).code == "too_long"


# -- bad files ------------------------------------------------------------------------------------


def test_empty(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.touch()
    assert _refused(path).code == "empty_file"


@pytest.mark.parametrize(
    "content",
    [
        b"Dear diary, this is not a song.\n" * 50,
        b"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nhttp://127.0.0.1:9/a.ts\n",
        b"ffconcat version 1.0\nfile 'secret.wav'\n",
        bytes(range(256)) * 100,
    ],
)
def test_what_is_not_audio_is_never_opened(
    tmp_path: Path, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "song.mp3"
    path.write_bytes(content)
    pcm(tmp_path / "secret.wav", tone(1.0))
    monkeypatch.setattr("subprocess.Popen", lambda *_, **__: pytest.fail("opened"))
    assert _refused(path).code == "not_audio"


@pytest.mark.parametrize("lead", [b"ID3\x04\0\0\0\0\0\0", b"\xff\xfb\x90\0" + bytes(413)])
def test_a_playlist_behind_a_sound_header_is_not_followed(tmp_path: Path, lead: bytes) -> None:
    """The demuxer is forced, so neither hls nor concat gets to see the file."""
    pcm(tmp_path / "secret.wav", tone(5.0))
    path = tmp_path / "song.mp3"
    path.write_bytes(lead + b"\nffconcat version 1.0\nfile 'secret.wav'\n#EXTM3U\nsecret.wav\n")
    assert _refused(path).code in ("not_audio", "damaged", "no_samples")


def test_a_movie_without_sound(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    command = (imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-f", "lavfi")
    picture = ("-i", "color=s=32x32:d=1", "-c:v", "mpeg4", str(path))
    subprocess.run([*command, *picture], check=True, timeout=60)
    assert _refused(path).code == "no_audio_stream"


@pytest.mark.parametrize("name", ["a.wav", "a.aiff", "a.flac", "a.mp3", "a.ogg", "a.m4a"])
def test_header_only(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name in ("a.wav", "a.aiff"):
        pcm(path, tone(0.0))
        expected = {"no_samples"}
    else:
        pcm(path, tone(1.0)) if name == "a.flac" else coded(path, tone(1.0))
        cut(path, 60 / path.stat().st_size)
        expected = {"truncated", "damaged", "no_samples", "not_audio"}
    assert _refused(path).code in expected


def test_wav_whose_data_size_was_never_filled_in(tmp_path: Path) -> None:
    path = pcm(tmp_path / "a.wav", tone(1.0))
    with path.open("r+b") as file:
        file.seek(40)
        file.write(bytes(4))
    refusal = _refused(path)
    assert refusal.code == "no_samples"
    assert "xport" in refusal.message


def test_wav_from_a_pipe_is_read_to_its_end(tmp_path: Path) -> None:
    """A data size of 0xFFFFFFFF means that the writer couldn't seek back, not a cut file."""
    path = pcm(tmp_path / "a.wav", tone(1.0))
    with path.open("r+b") as file:
        file.seek(4)
        file.write(b"\xff" * 4)
        file.seek(40)
        file.write(b"\xff" * 4)
    assert decode(path, max_seconds=LIMIT).seconds == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize(
    ("name", "share"),
    [
        ("a.wav", 0.5),
        ("a.wav", 0.99),
        ("a.aiff", 0.5),
        ("a.flac", 0.5),
        ("a.flac", 0.95),
        ("a.mp3", 0.5),
        ("a.mp3", 0.9),
        ("a.m4a", 0.5),
        ("faststart.m4a", 0.5),
        ("a.mka", 0.5),
    ],
)
def test_cut_files_are_refused_by_name(tmp_path: Path, name: str, share: float) -> None:
    path = tmp_path / name
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, (2, 8 * 44_100)).astype(np.float32)
    if name.endswith(("wav", "aiff", "flac")):
        pcm(path, Audio(noise, 44_100))
    else:
        front = ("-movflags", "+faststart") if name.startswith("fast") else ()
        coded(path, Audio(noise, 44_100), *front)
    decode(path, max_seconds=LIMIT)
    refusal = _refused(cut(path, share))
    assert refusal.code == "truncated"
    assert "pload it again" in refusal.message


def test_cut_ogg_states_no_length_and_is_decoded_as_it_is(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, (2, 8 * 44_100)).astype(np.float32)
    path = cut(coded(tmp_path / "a.ogg", Audio(noise, 44_100)), 0.5)
    assert 2.0 < decode(path, max_seconds=LIMIT).seconds < 6.0


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["a.wav", "a.mka"])
def test_samples_that_are_not_numbers(tmp_path: Path, value: float, name: str) -> None:
    audio = tone(2.0)
    audio.samples[1, 70_000] = value
    path = tmp_path / name
    if name == "a.wav":
        pcm(path, audio, "FLOAT")
    else:
        coded(path, audio, "-c:a", "pcm_f32le")
    assert _refused(path).code == "not_finite"


@pytest.mark.parametrize("name", ["a.mp3", "a.m4a", "a.ogg", "a.mka", "a.flac", "a.wav"])
def test_noise_inside_a_file_never_does_worse_than_a_refusal(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name in ("a.flac", "a.wav"):
        pcm(path, tone(2.0))
    else:
        coded(path, tone(2.0))
    good = path.read_bytes()
    random = np.random.default_rng(1)
    for _ in range(4):
        data = bytearray(good)
        for at in random.integers(0, len(data), 200):
            data[at] = int(random.integers(256))
        path.write_bytes(data)
        try:
            got = decode(path, max_seconds=LIMIT)
        except Undecodable:
            continue
        assert np.isfinite(got.samples).all()


# -- the leash ------------------------------------------------------------------------------------


def test_ffmpeg_is_started_on_a_short_leash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[list[str]] = []
    limits: dict[int, int] = {}
    popen = subprocess.Popen

    def start(command: list[str], **options: object) -> object:
        started.append(command)
        return popen(command, **options)  # type: ignore[call-overload]

    def limit(_: int, which: int, value: tuple[int, int]) -> None:
        limits[which] = value[1]

    monkeypatch.setattr("subprocess.Popen", start)
    monkeypatch.setattr("resource.prlimit", limit)
    decode(coded(tmp_path / "a.ogg", tone(1.0)), max_seconds=LIMIT)
    command = started[-1]
    assert "-nostdin" in command
    assert command[command.index("-protocol_whitelist") + 1] == "file,pipe"
    assert command[command.index("-f") + 1] == "ogg"
    assert command[command.index("-i") + 1].startswith("file:/")
    assert float(command[command.index("-t") + 1]) == pytest.approx(LIMIT + 1)
    assert limits[resource.RLIMIT_FSIZE] <= 1 << 20
    assert limits[resource.RLIMIT_CPU] < 200
    assert resource.RLIMIT_AS in limits


def test_a_name_that_looks_like_a_url_or_an_option_is_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("http:a.ogg", "-i.ogg", "a|b,c.ogg"):
        coded(tmp_path / "plain.ogg", tone(1.0)).rename(tmp_path / name)
        assert decode(Path(name), max_seconds=LIMIT).seconds == pytest.approx(1.0, abs=0.05)


def test_a_process_that_never_ends_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ffmpeg, "_PATIENCE_S", 0.3)
    monkeypatch.setattr("imageio_ffmpeg.get_ffmpeg_exe", lambda: sys.executable)
    monkeypatch.setattr(ffmpeg, "_LEASH", ("-c", "import time; time.sleep(60)"))
    running = ffmpeg.running([], seconds=0, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    with running as (process, _):
        assert process.wait(timeout=20) == -9
