"""Mains hum: lines at 50 or 60 Hz and their harmonics that stand there all the time.

Music has notes at these frequencies, but not in every window; hum has. So every bin is read at a
low percentile over time, where notes have gone and hum has stayed, and a line must stand out from
that floor. Windows of 2 s tell 50 Hz from the G at 49.0 Hz.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import soxr
from scipy import fft, signal

from processors.analysis.histogram import decibels

MAINS_HZ = (50.0, 60.0)
HARMONICS = 6
PROMINENT_DB = 9.0
"""A line this far above the median of its neighbourhood stands out: the highest of three bins of
music reaches 6 dB at a low percentile over ten seconds."""
_RATE = 1_000  # Hz: holds the sixth harmonic of 60 Hz
_WINDOW_S, _STEP_S = 2, 0.5
_LINE_HZ = 0.5  # mains frequency strays by 0.2 Hz, a Hann line is 0.5 Hz wide
_NEAR_HZ, _AROUND_HZ = 1.5, 8.0
_LOW_SHARE = 0.15
_LEAST_LINES = 3  # a series, not one bass note that happens to lie there
_LINE_DB = 1.76  # a Hann line's highest bin holds 2/3 of its power
_LEVEL_STEP = 0.5  # dB
_LEVELS = np.arange(-160.0, 20.0, _LEVEL_STEP)
_BINS = _WINDOW_S * 450  # up to 450 Hz
_SILENT = 1e-9  # −90 dBFS: nothing hums in a digital pause


@dataclass(frozen=True, slots=True)
class Line:
    """One partial: power in dBFS and dB above its neighbourhood."""

    frequency_hz: float
    level_dbfs: float
    prominence_db: float


@dataclass(frozen=True, slots=True)
class HumReading:
    """The likelier mains series; ``prominence_db`` is that of its third-highest partial."""

    fundamental_hz: float
    prominence_db: float
    lines: tuple[Line, ...]

    @property
    def prominent(self) -> tuple[Line, ...]:
        """The partials that stand out."""
        return tuple(line for line in self.lines if line.prominence_db >= PROMINENT_DB)


class HumMeter:
    """Feed it slabs in order."""

    def __init__(self, rate: int, channels: int) -> None:
        self._mix = np.array([0.6, 0.4]) if channels == 2 else np.full(channels, 1 / channels)
        self._mix = self._mix.astype(np.float32)
        self._slower = soxr.ResampleStream(rate, _RATE, 1, dtype="float32", quality="MQ")
        window = signal.get_window("hann", _WINDOW_S * _RATE)
        self._window = window
        # the bins of a line sum to its mean square
        self._scale = 2.0 / (len(window) * float(np.sum(window**2)))
        self._tail = np.zeros(0, np.float32)
        self._counts = np.zeros((_BINS, len(_LEVELS)), np.int32)
        self._windows = 0

    def add(self, samples: npt.NDArray[np.float32], *, last: bool = False) -> None:
        """Take in ``(channels, frames) float32``; ``last`` ends the stream."""
        slow = self._slower.resample_chunk(self._mix @ samples, last=last)
        waves = np.concatenate([self._tail, slow])
        while len(waves) >= _WINDOW_S * _RATE:
            self._window_of(waves[: _WINDOW_S * _RATE].astype(np.float64))
            waves = waves[int(_STEP_S * _RATE) :]
        self._tail = waves

    def _window_of(self, wave: npt.NDArray[np.float64]) -> None:
        wave = wave - wave.mean()
        if float(wave @ wave) / len(wave) <= _SILENT:
            return
        spectrum = fft.rfft(wave * self._window)
        power = (spectrum.real**2 + spectrum.imag**2) * self._scale
        levels = ((decibels(power[:_BINS]) - _LEVELS[0]) / _LEVEL_STEP).clip(0, len(_LEVELS) - 1)
        self._counts[np.arange(_BINS), levels.astype(np.int64)] += 1
        self._windows += 1

    def reading(self) -> HumReading | None:
        """The likelier series; None when no four seconds in a row had sound."""
        if not self._windows:
            return None
        ranks = np.cumsum(self._counts, axis=1) > (self._windows - 1) * _LOW_SHARE
        floor = _LEVELS[ranks.argmax(axis=1)]
        readings = []
        for mains in MAINS_HZ:
            lines = tuple(_line(floor, mains * number) for number in range(1, HARMONICS + 1))
            prominence = sorted(line.prominence_db for line in lines)[-_LEAST_LINES]
            readings.append(HumReading(mains, prominence, lines))
        return max(readings, key=lambda reading: reading.prominence_db)


def _line(floor: npt.NDArray[np.float64], hz: float) -> Line:
    away = np.abs(np.arange(_BINS) / _WINDOW_S - hz)
    top = float(floor[away <= _LINE_HZ].max())
    around = float(np.median(floor[(away > _NEAR_HZ) & (away <= _AROUND_HZ)]))
    return Line(hz, top + _LINE_DB, top - around)
