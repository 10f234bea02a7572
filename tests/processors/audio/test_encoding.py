from pathlib import Path

import numpy as np
import pytest
import soundfile

from processors.audio import ffmpeg
from processors.audio.decoding import decode
from processors.audio.encoding import shared_gain, write_flac, write_mp3
from processors.audio.samples import Audio
from tests.processors.audio.recordings import tone


@pytest.mark.parametrize(("bits", "step"), [(16, 2**-15), (24, 2**-23)])
def test_flac_keeps_every_sample_to_its_last_bit(tmp_path: Path, bits: int, step: float) -> None:
    given = tone(2.0)
    path = tmp_path / "a.flac"
    write_flac(path, given, bits=16 if bits == 16 else 24)
    assert soundfile.info(path).subtype == f"PCM_{bits}"
    got = decode(path, max_seconds=10)
    np.testing.assert_allclose(got.samples, given.samples, atol=step)


def test_one_gain_for_all_stems_keeps_their_sum(tmp_path: Path) -> None:
    """Stems may exceed full scale where they cancel each other; the mix doesn't."""
    mix = tone(1.0)
    vocals = Audio(mix.samples * 3, mix.rate)
    minus = Audio(mix.samples - vocals.samples, mix.rate)
    gain = shared_gain(vocals, minus, mix)
    assert 0 < gain < 1
    total = np.zeros_like(mix.samples)
    for name, stem in (("v", vocals), ("m", minus)):
        write_flac(tmp_path / name, stem, bits=24, gain=gain)
        total += decode(tmp_path / name, max_seconds=10).samples
    np.testing.assert_allclose(total, mix.samples * gain, atol=2**-21)


def test_stems_within_full_scale_and_silence_keep_their_level() -> None:
    assert shared_gain(tone(0.1), tone(0.1)) == 1.0
    assert shared_gain(Audio(np.zeros((2, 100), np.float32), 8_000)) == 1.0
    assert shared_gain() == 1.0


def test_what_exceeds_full_scale_is_clipped_and_not_wrapped(tmp_path: Path) -> None:
    loud = Audio(np.array([[1.5, -1.5, 1.0, 0.0] * 100], np.float32), 8_000)
    write_flac(tmp_path / "a.flac", loud)
    got, _ = soundfile.read(tmp_path / "a.flac", dtype="int16")
    assert list(got[:4]) == [32767, -32768, 32767, 0]


@pytest.mark.parametrize("channels", [1, 2])
def test_mp3_is_as_long_as_the_song(tmp_path: Path, channels: int) -> None:
    given = tone(3.0, channels=channels)
    write_mp3(tmp_path / "a.mp3", given, kbps=128)
    got = decode(tmp_path / "a.mp3", max_seconds=10)
    assert (got.frames, got.channels, got.rate) == (given.frames, channels, 44_100)
    # LAME turns 128 kbit/s down by 5 %, so the shape is compared and not the level
    assert np.corrcoef(got.samples.ravel(), given.samples.ravel())[0, 1] > 0.999
    assert (tmp_path / "a.mp3").stat().st_size == pytest.approx(3 * 16_000, rel=0.1)


def test_mp3_of_a_rate_that_mp3_lacks(tmp_path: Path) -> None:
    write_mp3(tmp_path / "a.mp3", tone(1.0, 96_000))
    got = decode(tmp_path / "a.mp3", max_seconds=10)
    assert (got.rate, got.frames) == (44_100, 44_100)


def test_a_failed_write_leaves_the_old_file_and_no_draft(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.flac"
    write_flac(path, tone(0.5))
    old = path.read_bytes()

    def full(*_: object, **__: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("soundfile.SoundFile.write", full)
    with pytest.raises(OSError, match="disk full"):
        write_flac(path, tone(1.0))
    assert path.read_bytes() == old
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_mp3_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imageio_ffmpeg.get_ffmpeg_exe", lambda: "/bin/false")
    with pytest.raises(ffmpeg.FfmpegFailed):
        write_mp3(tmp_path / "a.mp3", tone(1.0))
    assert list(tmp_path.iterdir()) == []
