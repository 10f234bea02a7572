"""Loudness of a stream: ITU-R BS.1770-5 gating, EBU Tech 3341 maxima, Tech 3342 range.

Everything is built from the weighted power of 10 ms hops; windows are sums of hops. Gated values
live in histograms of 0.01 LU, so three hours take the memory of three seconds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import signal

from processors.analysis.histogram import LevelHistogram, decibels
from processors.analysis.hops import Hops
from processors.analysis.weighting import channel_weights, k_weighting

Powers = npt.NDArray[np.float64]

_OFFSET_LU = -0.691  # BS.1770-5, annex 1, equation 2
ABSOLUTE_GATE_LUFS = -70.0
_RELATIVE_GATE_LU = -10.0
_RANGE_GATE_LU = -20.0  # Tech 3342
_RANGE_LOW, _RANGE_HIGH = 0.10, 0.95
_CEILING_LUFS = 60.0  # far above what any file holds; louder values share one bin
MOMENTARY_HOPS = 40
SHORT_TERM_HOPS = 300
GATING_STEP_HOPS = 10  # 100 ms: 75 % overlap of 400 ms blocks
RANGE_STEP_HOPS = 100  # 1 s: the 66 % overlap of Tech 3342; finer steps only move the percentiles


def lufs(power: npt.ArrayLike) -> Powers:
    """Loudness of a weighted mean power, −inf for silence."""
    levels: Powers = _OFFSET_LU + decibels(power)
    return levels


@dataclass(frozen=True, slots=True)
class LoudnessReading:
    """Gated results in LUFS and LU; None where nothing passed the gate or it was too short."""

    integrated: float | None
    relative_gate: float | None
    range: float | None
    range_low: float | None
    range_high: float | None
    momentary_max: float | None
    short_term_max: float | None


@dataclass(frozen=True, slots=True)
class LoudnessSteps:
    """What one slab added, every 100 ms: loudness of the windows that end there."""

    short_term: Powers
    momentary: Powers


class LoudnessMeter:
    """Feed it slabs of whole hops in order; ask at the end (or at any time)."""

    def __init__(self, rate: int, channels: int) -> None:
        self._hops = Hops(rate)
        self._sections = k_weighting(rate)
        self._state = np.zeros((2, channels, 2))
        self._weights = channel_weights(channels)
        self._tail = np.zeros(0)
        self._seen = 0
        self._blocks = LevelHistogram(ABSOLUTE_GATE_LUFS, _CEILING_LUFS)
        self._shorts = LevelHistogram(ABSOLUTE_GATE_LUFS, _CEILING_LUFS)
        self._momentary_max = self._short_term_max = 0.0

    def add(self, samples: npt.NDArray[np.float64]) -> LoudnessSteps:
        """Measure ``(channels, frames)``: a whole number of seconds, or at last the rest."""
        weighted, self._state = signal.sosfilt(self._sections, samples, axis=-1, zi=self._state)
        return self.add_powers(self._weights @ self._hops.mean_squares(weighted))

    def add_powers(self, powers: Powers) -> LoudnessSteps:
        """Measure the weighted mean powers of further hops."""
        known = np.concatenate([self._tail, powers])
        self._seen += len(powers)
        running = np.concatenate([[0.0], np.cumsum(known)])
        momentary = _windows(running, MOMENTARY_HOPS, len(powers))
        short_term = _windows(running, SHORT_TERM_HOPS, len(powers))
        self._momentary_max = max(self._momentary_max, momentary.max(initial=0.0))
        self._short_term_max = max(self._short_term_max, short_term.max(initial=0.0))
        self._tail = known[-(SHORT_TERM_HOPS - 1) :]
        gated = _on_grid(momentary, self._seen, GATING_STEP_HOPS)
        ranged = _on_grid(short_term, self._seen, RANGE_STEP_HOPS)
        self._blocks.add(lufs(gated), gated)
        self._shorts.add(lufs(ranged), ranged)
        return LoudnessSteps(_on_grid(short_term, self._seen, GATING_STEP_HOPS), gated)

    def reading(self) -> LoudnessReading:
        """The results so far."""
        integrated = gate = None
        ungated = self._blocks.mean_power()
        if ungated is not None:
            gate = max(float(lufs(ungated)) + _RELATIVE_GATE_LU, ABSOLUTE_GATE_LUFS)
            power = self._blocks.mean_power(gate)
            integrated = None if power is None else float(lufs(power))
        low = high = None
        body = self._shorts.mean_power()
        if body is not None:
            range_gate = float(lufs(body)) + _RANGE_GATE_LU
            low = self._shorts.percentile(_RANGE_LOW, range_gate)
            high = self._shorts.percentile(_RANGE_HIGH, range_gate)
        return LoudnessReading(
            integrated=integrated,
            relative_gate=gate,
            range=high - low if low is not None and high is not None else None,
            range_low=low,
            range_high=high,
            momentary_max=_audible(self._momentary_max),
            short_term_max=_audible(self._short_term_max),
        )


def _audible(power: float) -> float | None:
    level = float(lufs(power))
    return level if level >= ABSOLUTE_GATE_LUFS else None


def _windows(running: Powers, length: int, newest: int) -> Powers:
    """Mean powers of the windows of ``length`` hops that end within the ``newest`` hops."""
    if len(running) <= length:
        return np.zeros(0)
    means = (running[length:] - running[:-length]) / length
    return np.maximum(means[-newest:] if newest else means[:0], 0.0)


def _on_grid(windows: Powers, seen: int, step: int) -> Powers:
    """Of windows that end at hops … ``seen``, those that end on a multiple of ``step``."""
    newest = len(windows) - 1 - seen % step
    return windows[newest::-step][::-1] if newest >= 0 else windows[:0]
