"""Against libebur128, the meter that the field compares with."""

from __future__ import annotations

import math

import numpy as np
import pyebur128
import pytest

from processors.analysis.loudness import LoudnessMeter, LoudnessReading
from processors.analysis.weighting import k_weighting
from tests import programmes
from tests.programmes import GENRES, Programme

pytestmark = pytest.mark.slow

_GAINS_DB = (0.0, -12.0, -25.0)


def _ours(programme: Programme) -> LoudnessReading:
    audio = programme.audio
    meter = LoudnessMeter(audio.rate, audio.channels)
    for start in range(0, audio.frames, audio.rate):
        meter.add(audio.samples[:, start : start + audio.rate].astype(np.float64))
    return meter.reading()


def _theirs(programme: Programme) -> tuple[float, float]:
    audio = programme.audio
    mode = pyebur128.MeasurementMode.MODE_I | pyebur128.MeasurementMode.MODE_LRA
    state = pyebur128.R128State(audio.channels, audio.rate, mode)
    state.add_frames(np.ascontiguousarray(audio.samples.T, np.float64).ravel(), audio.frames)
    return pyebur128.get_loudness_global(state), pyebur128.get_loudness_range(state)


def _lift_db(rate: int) -> float:
    """What libebur128 lacks of the pass-band gain that the standard's table has at 48 kHz."""
    return 20 * math.log10(k_weighting(rate)[1, 0])


@pytest.mark.parametrize("seed", range(20))
def test_loudness_and_range_agree_with_libebur128(seed: int) -> None:
    programme = programmes.make(
        seed,
        genre=GENRES[seed % len(GENRES)],
        rate=(44_100, 48_000)[seed // len(GENRES) % 2],
        channels=1 if seed % 6 == 5 else 2,
        seconds=10 + seed / 4,
    )
    programme = programmes.quieter(programme, _GAINS_DB[seed % 3])
    found = _ours(programme)
    integrated, loudness_range = _theirs(programme)
    assert found.integrated == pytest.approx(integrated, abs=0.01)
    assert found.range == pytest.approx(loudness_range, abs=0.1)


@pytest.mark.parametrize("rate", [96_000, 192_000])
def test_at_other_rates_only_the_known_drift_of_libebur128_is_between(rate: int) -> None:
    """It keeps a numerator that the standard gives for 48 kHz; see `weighting`."""
    programme = programmes.make(3, rate=rate, seconds=6)
    found = _ours(programme)
    integrated, _ = _theirs(programme)
    assert found.integrated is not None
    assert found.integrated - integrated == pytest.approx(_lift_db(rate), abs=0.01)


def test_the_weighting_is_the_table_of_the_standard_at_48_khz() -> None:
    """BS.1770-5, annex 1, tables 1 and 2."""
    shelf, highpass = k_weighting(48_000)
    assert shelf.tolist() == pytest.approx(
        [1.53512485958697, -2.69169618940638, 1.19839281085285, 1, -1.69065929318241,
         0.73248077421585], abs=1e-9)  # fmt: skip
    assert highpass.tolist() == pytest.approx(
        [1, -2, 1, 1, -1.99004745483398, 0.99007225036621], abs=1e-9
    )


@pytest.mark.parametrize("rate", [8_000, 44_100, 96_000, 192_000])
def test_a_tone_has_the_same_gain_at_every_rate(rate: int) -> None:
    """997 Hz at full scale reads −3.01 LKFS in one channel (BS.1770-5, annex 1)."""
    meter = LoudnessMeter(rate, 1)
    wave = np.sin(2 * np.pi * 997 * np.arange(10 * rate) / rate)
    meter.add(wave[None])
    assert meter.reading().integrated == pytest.approx(-3.01, abs=0.03)
