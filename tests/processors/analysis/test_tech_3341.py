"""EBU Tech 3341 (2023), minimum requirements: every case that can be synthesised; Tech 3342."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from processors.analysis.loudness import LoudnessMeter, LoudnessReading, lufs
from processors.analysis.meter import measure_blocks
from tests.processors.analysis.tones import Wave, burst, faded_sine, tones

RATES = (8_000, 44_100, 48_000, 96_000, 192_000)
Parts = Sequence[tuple[float, Sequence[float] | float | None]]


def _read(wave: Wave, rate: int) -> LoudnessReading:
    meter = LoudnessMeter(rate, wave.shape[1])
    for start in range(0, len(wave), rate):
        meter.add(wave[start : start + rate].T)
    return meter.reading()


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("peak", [-23.0, -33.0])
def test_a_steady_tone_reads_its_level_in_every_mode(rate: int, peak: float) -> None:
    """Cases 1 and 2."""
    found = _read(tones(rate, [(20, peak)]), rate)
    assert found.integrated == pytest.approx(peak, abs=0.1)
    assert found.momentary_max == pytest.approx(peak, abs=0.1)
    assert found.short_term_max == pytest.approx(peak, abs=0.1)


@pytest.mark.parametrize("rate", [44_100, 48_000])
@pytest.mark.parametrize(
    "parts",
    [
        [(10, -36), (60, -23), (10, -36)],
        [(10, -72), (10, -36), (60, -23), (10, -36), (10, -72)],
        [(20, -26), (20.1, -20), (20, -26)],
    ],
    ids=["case 3", "case 4", "case 5"],
)
def test_gates_leave_out_what_is_quiet(rate: int, parts: Parts) -> None:
    assert _read(tones(rate, parts), rate).integrated == pytest.approx(-23, abs=0.1)


@pytest.mark.parametrize("lfe", [False, True], ids=["5.0", "5.1"])
def test_surround_channels_weigh_more_and_the_effects_channel_nothing(lfe: bool) -> None:
    """Case 6, and the same with a loud LFE."""
    levels = [-28.0, -28.0, -24.0, *([-6.0] if lfe else []), -30.0, -30.0]
    wave = tones(48_000, [(20, levels)], channels=len(levels))
    assert _read(wave, 48_000).integrated == pytest.approx(-23, abs=0.1)


def _steps(wave: Wave, rate: int, window: str) -> list[float]:
    meter = LoudnessMeter(rate, wave.shape[1])
    found: list[float] = []
    for start in range(0, len(wave), rate):
        steps = meter.add(wave[start : start + rate].T)
        powers = steps.short_term if window == "short" else steps.momentary
        found += lufs(powers).tolist()
    return found


def test_short_term_of_an_alternating_tone_is_constant() -> None:
    """Case 9."""
    found = _steps(tones(48_000, [(1.34, -20), (1.66, -30)] * 5), 48_000, "short")
    assert found == pytest.approx([-23.0] * len(found), abs=0.1)


def test_momentary_of_an_alternating_tone_is_constant() -> None:
    """Case 12."""
    found = _steps(tones(48_000, [(0.18, -20), (0.22, -30)] * 25), 48_000, "momentary")[6:]
    assert len(found) > 80
    assert found == pytest.approx([-23.0] * len(found), abs=0.1)


@pytest.mark.parametrize("index", range(20))
def test_maxima_find_a_tone_that_starts_anywhere(index: int) -> None:
    """Cases 10 and 13."""
    silence: Parts = [(index * 0.15, None), (3, -23), (1, None)]
    found = _read(tones(48_000, silence), 48_000)
    assert found.short_term_max == pytest.approx(-23, abs=0.1)
    short: Parts = [(index * 0.02, None), (0.4, -23), (1, None)]
    assert _read(tones(48_000, short), 48_000).momentary_max == pytest.approx(-23, abs=0.1)


def _running_maxima(parts: list[Parts], window: str) -> list[float | None]:
    """The maximum after each of several signals in one stream."""
    meter = LoudnessMeter(48_000, 2)
    wave = tones(48_000, [part for each in parts for part in each])
    ends = np.cumsum([round(sum(seconds for seconds, _ in each) * 100) for each in parts])
    maxima: list[float | None] = []
    hop = 480
    for end, start in zip(ends.tolist(), [0, *ends.tolist()], strict=False):
        meter.add(wave[start * hop : end * hop].T)
        reading = meter.reading()
        maxima.append(reading.short_term_max if window == "short" else reading.momentary_max)
    return maxima


def test_the_short_term_maximum_follows_a_rising_stream() -> None:
    """Case 11."""
    parts: list[Parts] = [
        [(i * 0.15, None), (3, -38.0 + i), (3 - i * 0.15, None)] for i in range(20)
    ]
    expected = [-38.0 + i for i in range(20)]
    assert _running_maxima(parts, "short") == pytest.approx(expected, abs=0.1)


def test_the_momentary_maximum_follows_a_rising_stream() -> None:
    """Case 14."""
    parts: list[Parts] = [
        [(i * 0.02, None), (0.4, -38.0 + i), (0.4 - i * 0.02, None)] for i in range(20)
    ]
    expected = [-38.0 + i for i in range(20)]
    assert _running_maxima(parts, "momentary") == pytest.approx(expected, abs=0.1)


@pytest.mark.parametrize("rate", [44_100, 48_000, 96_000])
@pytest.mark.parametrize(
    ("divisor", "degrees", "peak", "expected"),
    [
        (4, 0.0, 0.5, -6.0),
        (4, 45.0, 0.5, -6.0),
        (6, 60.0, 0.5, -6.0),
        (8, 67.5, 0.5, -6.0),
        (4, 45.0, 1.41, 3.0),
    ],
    ids=["case 15", "case 16", "case 17", "case 18", "case 19"],
)
def test_true_peak_of_sines(
    rate: int, divisor: int, degrees: float, peak: float, expected: float
) -> None:
    wave = faded_sine(rate, divisor, degrees, peak)
    found = measure_blocks([wave], rate=rate, channels=2).peaks.true_peak_dbtp
    assert found is not None
    assert expected - 0.4 <= found <= expected + 0.2


@pytest.mark.parametrize("offset", range(4))
def test_true_peak_of_a_burst_between_the_samples(offset: int) -> None:
    """Cases 20 to 23."""
    found = measure_blocks([burst(48_000, offset)], rate=48_000, channels=2).peaks.true_peak_dbtp
    assert found is not None
    assert -0.4 <= found <= 0.2


@pytest.mark.parametrize(
    ("levels", "expected"),
    [
        ([-20, -30], 10),
        ([-20, -15], 5),
        ([-40, -20], 20),
        ([-50, -35, -20, -35, -50], 15),
    ],
)
@pytest.mark.parametrize("rate", [44_100, 48_000])
def test_loudness_range(rate: int, levels: list[float], expected: float) -> None:
    """Tech 3342, cases 1 to 4."""
    found = _read(tones(rate, [(20, level) for level in levels]), rate)
    assert found.range == pytest.approx(expected, abs=1)
