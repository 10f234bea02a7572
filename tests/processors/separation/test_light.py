import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processors.audio.samples import Audio, Samples
from processors.separation import light
from processors.separation.light import LightSeparator, _repeating, _segments
from processors.separation.separator import Separator
from tests import songs


def _ignore(_: float) -> None: ...


def _sdr(truth: Samples, estimate: Samples) -> float:
    return float(10 * np.log10(np.sum(truth**2) / np.sum((truth - estimate) ** 2)))


def _noise(channels: int, frames: int, rate: int = 8_000, seed: int = 0) -> Audio:
    samples = np.random.default_rng(seed).uniform(-1, 1, (channels, frames))
    return Audio(samples.astype(np.float32), rate)


def test_it_is_a_separator() -> None:
    separator: Separator = LightSeparator()
    assert separator.name == "light"


@pytest.mark.parametrize("seed", [0, 11])
def test_it_raises_the_voice_out_of_a_stereo_song(seed: int) -> None:
    song = songs.make("short", seed)
    stems = LightSeparator().separate(song.mix, _ignore)
    before = _sdr(song.vocals.samples, song.mix.samples)
    after = _sdr(song.vocals.samples, stems.vocals.samples)
    assert after - before > 7.0
    band_before = _sdr(song.backing.samples, song.mix.samples)
    assert _sdr(song.backing.samples, stems.minus.samples) - band_before > 2.0


def test_it_raises_the_voice_out_of_a_mono_song() -> None:
    song = songs.make("mono_mp3")
    stems = LightSeparator().separate(song.mix, _ignore)
    before = _sdr(song.vocals.samples, song.mix.samples)
    assert _sdr(song.vocals.samples, stems.vocals.samples) - before > 6.0


def test_only_the_part_that_stays_in_the_centre_is_voice() -> None:
    """Two pitches that never repeat: one in the centre, one on the left only."""
    rate = 16_000
    time = np.arange(4 * rate) / rate
    centre = np.sin(2 * np.pi * (400 * time + 60 * time**2)).astype(np.float32)
    left = np.sin(2 * np.pi * (1500 * time + 80 * time**2)).astype(np.float32)
    mix = Audio(np.stack([centre + left, centre]), rate)
    vocals = LightSeparator().separate(mix, _ignore).vocals.samples
    truth = np.stack([centre, centre])
    assert _sdr(truth, vocals) - _sdr(truth, mix.samples) > 6.0


def test_a_loop_is_heard_as_repeating_and_what_is_sung_over_it_is_not() -> None:
    random = np.random.default_rng(0)
    loop = random.uniform(0, 1, (20, 64)).astype(np.float32)
    band = np.tile(loop, (10, 1))
    voice = np.zeros_like(band)
    voice[np.arange(200), random.integers(0, 64, 200)] = 5.0
    found = _repeating(band + voice, apart=10, progress=_ignore)
    np.testing.assert_allclose(found, band, atol=1e-6)


@settings(max_examples=25, deadline=None)
@given(
    channels=st.integers(1, 2),
    frames=st.integers(0, 9_000),
    rate=st.sampled_from([8_000, 11_025, 96_000]),
    level=st.sampled_from([1e-6, 0.1, 1.0, 4.0]),
    seed=st.integers(0, 1_000),
)
def test_the_stems_add_up_to_the_mix(
    channels: int, frames: int, rate: int, level: float, seed: int
) -> None:
    noise = _noise(channels, frames, rate, seed)
    mix = Audio(noise.samples * np.float32(level), rate)
    stems = LightSeparator().separate(mix, _ignore)
    for stem in (stems.vocals, stems.minus):
        assert (stem.channels, stem.frames, stem.rate) == (channels, frames, rate)
        assert np.isfinite(stem.samples).all()
    total = stems.vocals.samples + stems.minus.samples
    np.testing.assert_allclose(total, mix.samples, rtol=0, atol=2e-7 * level)


@pytest.mark.parametrize("channels", [1, 2])
def test_silence_stays_silent(channels: int) -> None:
    mix = Audio(np.zeros((channels, 30_000), np.float32), 8_000)
    stems = LightSeparator().separate(mix, _ignore)
    assert not stems.vocals.samples.any()
    assert not stems.minus.samples.any()


def test_the_same_mix_gives_the_same_bits() -> None:
    song = songs.make("short")
    once, again = (LightSeparator().separate(song.mix, _ignore) for _ in range(2))
    np.testing.assert_array_equal(once.vocals.samples, again.vocals.samples)


def test_level_does_not_change_the_result() -> None:
    mix = songs.make("short").mix
    quiet = Audio(mix.samples * np.float32(2**-8), mix.rate)
    loud = LightSeparator().separate(mix, _ignore).vocals.samples
    np.testing.assert_array_equal(
        LightSeparator().separate(quiet, _ignore).vocals.samples, loud * np.float32(2**-8)
    )


def test_a_long_song_is_joined_from_segments_without_a_seam(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In segments too short to repeat, a tone in the voice's band is all voice."""
    monkeypatch.setattr(light, "_SEGMENT_S", 1.0)
    monkeypatch.setattr(light, "_OVERLAP_S", 0.1)
    tone = np.sin(2 * np.pi * 1000 * np.arange(28_000) / 8_000).astype(np.float32)[None]
    vocals = LightSeparator().separate(Audio(tone, 8_000), _ignore).vocals.samples
    np.testing.assert_allclose(vocals[:, 100:-100], tone[:, 100:-100], atol=0.01)


@given(frames=st.integers(0, 5_000), longest=st.integers(50, 300))
def test_segments_cover_the_song(frames: int, longest: int) -> None:
    overlap = longest // 10
    spans = _segments(frames, longest, overlap)
    covered = np.zeros(frames, dtype=int)
    for start, end in spans:
        assert 0 < end - start <= longest
        covered[start:end] += 1
    assert (covered > 0).all()
    assert (covered <= 2).all()
    for (_, end), (start, _) in itertools.pairwise(spans):
        assert end - start >= overlap


def test_progress_rises_to_one() -> None:
    told: list[float] = []
    LightSeparator().separate(_noise(2, 8_000 * 130), told.append)
    assert told == sorted(told)
    assert told[-1] == 1.0
    assert len(told) > 30


@pytest.mark.parametrize(("channels", "rate"), [(3, 44_100), (2, 7_999)])
def test_what_it_cannot_separate_it_refuses(channels: int, rate: int) -> None:
    with pytest.raises(ValueError, match="separation"):
        LightSeparator().separate(_noise(channels, 100, rate), _ignore)
