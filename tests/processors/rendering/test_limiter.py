"""Nothing above the ceiling, nothing audible below it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import signal

from processors.rendering.blocks import Block
from processors.rendering.limiter import OFFSET_S, limit, true_peak
from processors.rendering.modules import process
from processors.rendering.truepeak import TruePeak
from schemas.documents.chain import Limiter
from tests.processors.rendering.sounds import (
    decibels,
    distortion_db,
    ideal_true_peak,
    noise,
    sine,
)

RATE = 44_100
FOUR_DB = 10 ** (3 / 20)
"""A full-scale sine lifted by 3 dB meets a ceiling of -1 dBTP with 4 dB of gain reduction."""


def limited(sound: Block, rate: int = RATE, **settings_: float) -> Block:
    parts = list(limit(Limiter.model_validate(settings_), [sound], rate, len(sound)))
    return np.concatenate(parts, axis=1)


@pytest.mark.parametrize("hz", [40, 100, 997, 6_000])
def test_a_limited_tone_stays_clean(hz: float) -> None:
    made = limited(sine(hz, 4, level=FOUR_DB))[:, 2 * RATE : 3 * RATE]
    assert decibels(np.abs(made).max()) == pytest.approx(-1.13, abs=0.02)
    assert distortion_db(made, hz, RATE) < -80


def test_intermodulation_of_60_hz_and_7_khz() -> None:
    """SMPTE RP 120: 4 to 1, sidebands against the upper tone."""
    mix = FOUR_DB * (0.8 * sine(60, 4) + 0.2 * sine(7_000, 4))
    made = limited(mix)[0, 2 * RATE : 4 * RATE]
    level = np.abs(np.fft.rfft(made * signal.windows.blackmanharris(len(made))))

    def at(hz: int) -> float:
        return float(level[2 * hz - 5 : 2 * hz + 6].max())

    sidebands = np.sqrt(sum(at(7_000 + 60 * k) ** 2 for k in range(-5, 6) if k))
    assert decibels(float(sidebands / at(7_000))) < -50


@settings(max_examples=15)
@given(
    seed=st.integers(0, 2**16),
    drive_db=st.floats(-6, 24),
    shape=st.sampled_from(("pink", "clipped", "clicks", "bass")),
    ceiling=st.sampled_from((-0.1, -1.0, -6.0)),
)
def test_peaks_keep_the_ceiling(seed: int, drive_db: float, shape: str, ceiling: float) -> None:
    sound = noise(seed, 40_000)
    if shape == "clicks":
        sound = np.where(np.random.default_rng(seed).random(sound.shape) > 0.9995, sound, 0.0)
    if shape == "bass":
        sound = 0.1 * sound + sine(50, 40_000 / RATE)
    if shape == "clipped":
        sound = np.clip(sound, -0.2, 0.2)
    # up to 20 kHz, as all music that ever went through a converter
    sound = signal.sosfilt(signal.butter(8, 18_000, fs=RATE, output="sos"), sound, axis=1)
    if shape == "pink":
        sound = signal.lfilter([0.1], [1, -0.9], sound, axis=1)
    made = limited(sound * 10 ** (drive_db / 20), ceiling_dbtp=ceiling)
    # the offset's correction adds a little where 30 dB are taken off
    assert decibels(ideal_true_peak(made)) < ceiling + 0.05


def test_what_needs_no_limiting_is_untouched() -> None:
    quiet = noise(1, 50_000, level=0.1)
    assert limited(quiet).tobytes() == quiet.tobytes()


def test_the_gain_is_down_before_the_peak_and_comes_back() -> None:
    sound = np.full((1, 2 * RATE), 0.1)
    sound[0, RATE] = 2.0
    made = limited(sound, hold_ms=5, release_ms=50)[0] / sound[0]
    dip = made[RATE]
    assert dip < 0.5
    assert np.all(np.diff(made[RATE - 300 : RATE - 1]) <= 1e-4)
    assert made[RATE - 300] > 0.97
    assert made[RATE + round(0.4 * RATE)] > 0.95


def test_channels_go_down_together() -> None:
    sound = np.concatenate((sine(300, 1, level=2.0), sine(500, 1, level=0.1)))
    made = limited(sound)
    middle = slice(RATE // 4, RATE // 2)
    gains = [np.abs(made[c, middle]).max() / np.abs(sound[c, middle]).max() for c in (0, 1)]
    assert gains[0] == pytest.approx(gains[1], rel=1e-3)
    assert gains[0] < 0.5


def test_an_asymmetric_wave_gets_no_offset() -> None:
    t = np.arange(30 * RATE) / RATE
    wave = (np.exp(-((t % 0.5) / 0.01)) - 0.02)[np.newaxis] * 3
    wave -= wave.mean()
    made = limited(wave)
    plain = wave * np.minimum(1, 0.89 / np.maximum(np.abs(wave), 1e-9))
    assert decibels(abs(float(plain.mean()))) > -50
    # but for the tail that the song's end cuts off
    share = 2 * OFFSET_S / 30  # two poles
    assert abs(float(made.mean())) < 2 * share * abs(float(plain.mean()))


def test_limiting_as_a_module_is_the_same() -> None:
    sound = noise(2, 60_000, level=1.0)
    assert np.array_equal(process(Limiter(), sound, RATE), limited(sound))


@pytest.mark.parametrize(("share", "phase_deg"), [(4, 45.0), (6, 60.0), (8, 67.5), (4, 0.0)])
def test_true_peak_of_tech_3341_tones(share: int, phase_deg: float) -> None:
    t = np.arange(RATE // 2)
    fade = np.minimum(1, np.minimum(t, t[::-1]) / 441)
    tone = 0.5 * fade * np.sin(2 * np.pi * t / share + np.radians(phase_deg))
    assert decibels(true_peak([tone[np.newaxis]], 1)) == pytest.approx(-6.02, abs=0.05)


@settings(max_examples=20)
@given(seed=st.integers(0, 2**16), sizes=st.lists(st.integers(1, 900), min_size=1, max_size=9))
def test_true_peak_does_not_depend_on_blocks(seed: int, sizes: list[int]) -> None:
    sound = noise(seed, sum(sizes))
    meter = TruePeak(2)
    for part in np.split(sound, np.cumsum(sizes)[:-1], axis=1):
        meter.add(part)
    assert meter.finish() == pytest.approx(true_peak([sound], 2), rel=1e-5)


def test_true_peak_finds_the_last_sample() -> None:
    click = np.zeros((1, 1_000))
    click[0, -1] = 0.7
    assert true_peak([click], 1) == pytest.approx(0.7, rel=1e-3)
