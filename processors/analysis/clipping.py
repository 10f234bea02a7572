"""Clipping: flat tops at the highest level of a channel, wherever a fader has put it since.

A flat top is a run of at least three samples that agree within the quantisation step while the
wave falls away steeply on at least one side. The second condition tells it from the round top of
a low note, whose samples agree as well; the third, that it lies at the highest level that the
channel reaches on that side, tells it from square waves inside the music.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.float32]

SHORTEST_RUN = 3
_NEAR_TOP = np.float32(0.97)  # of the highest sample so far: lower tops can't be the ceiling
_STEEP = 8.0  # steps; around a round top of n equal samples the next differ by under 3 steps
_SAME_CEILING = 0.003  # of the ceiling (0.03 dB): dither and rounding move a flat top by less
_MOST_TOPS = 4096  # levels kept for each side of each channel; only those at the ceiling stay


@dataclass(frozen=True, slots=True)
class ClippingReading:
    """Counts over all channels; ``ceiling`` is linear, None without runs."""

    runs: int
    samples: int
    longest: int
    ceiling: float | None
    overs: int


class _Side:
    """The flat tops of one polarity of one channel, at the highest level so far."""

    def __init__(self) -> None:
        self.peak = 0.0
        self._tops: dict[int, list[int]] = {}  # level in units of 2^-20 → [runs, samples, longest]

    def raise_to(self, peak: float) -> None:
        if peak > self.peak:
            self.peak = peak
            floor = round(peak * (1 - _SAME_CEILING) * _UNITS)
            self._tops = {level: c for level, c in self._tops.items() if level >= floor}

    def add(self, level: float, length: int) -> None:
        unit = round(level * _UNITS)
        if level < self.peak * (1 - _SAME_CEILING):
            return
        if unit not in self._tops and len(self._tops) >= _MOST_TOPS:
            unit = max(self._tops)
        counts = self._tops.setdefault(unit, [0, 0, 0])
        counts[0] += 1
        counts[1] += length
        counts[2] = max(counts[2], length)

    def totals(self) -> tuple[int, int, int]:
        rows = list(self._tops.values())
        return (
            sum(row[0] for row in rows),
            sum(row[1] for row in rows),
            max((row[2] for row in rows), default=0),
        )


_UNITS = 1 << 20


class ClippingMeter:
    """Feed it slabs in order. ``step`` is the quantisation step (2^(1 − bits); full scale = 1)."""

    def __init__(self, channels: int, step: float) -> None:
        self._flat = max(2.5 * step, 2.0**-22)  # ± 1 step of dither on either side
        self._sides = [(_Side(), _Side()) for _ in range(channels)]
        self._tail = np.zeros((channels, 0), np.float32)
        self._overs = 0

    def add(self, samples: Samples) -> None:
        """Take in ``(channels, frames)``."""
        self._overs += int(np.count_nonzero(np.abs(samples) > 1.0))
        joined = np.concatenate([self._tail, samples], axis=1)
        # a run that touches the end is judged with the next slab; what is kept starts a run
        cut = self._cut(joined)
        self._tail = joined[:, max(0, cut - 1) :]
        for wave, (up, down) in zip(joined[:, :cut], self._sides, strict=True):
            self._side(wave, up)
            self._side(-wave, down)

    def finish(self) -> ClippingReading:
        """Close the last runs and count."""
        for wave, (up, down) in zip(self._tail, self._sides, strict=True):
            self._side(wave, up)
            self._side(-wave, down)
        self._tail = self._tail[:, :0]
        totals = [side.totals() for pair in self._sides for side in pair]
        tops = [side.peak for pair in self._sides for side in pair if side.totals()[0]]
        return ClippingReading(
            runs=sum(row[0] for row in totals),
            samples=sum(row[1] for row in totals),
            longest=max((row[2] for row in totals), default=0),
            ceiling=max(tops, default=None),
            overs=self._overs,
        )

    def _cut(self, joined: Samples) -> int:
        """Where no channel is in a flat run, close to the end; the end if there is none."""
        frames = joined.shape[1]
        last = joined[:, -_LONGEST_CARRIED:]
        moving = (np.abs(np.diff(last, axis=1)) > self._flat).all(axis=0)
        places = np.flatnonzero(moving)
        return int(frames - last.shape[1] + places[-1] + 1) if len(places) else int(frames)

    def _side(self, wave: Samples, side: _Side) -> None:
        if not len(wave):
            return
        peak = float(wave.max())
        side.raise_to(peak)
        if peak <= 0 or side.peak < _QUIET:
            return
        high = np.flatnonzero(wave >= np.float32(side.peak) * _NEAR_TOP)
        if len(high) < SHORTEST_RUN:
            return
        joins = (np.diff(high) == 1) & (np.abs(np.diff(wave[high])) <= self._flat)
        bounds = np.flatnonzero(np.diff(np.concatenate([[False], joins, [False]]).astype(np.int8)))
        for first, last in bounds.reshape(-1, 2).tolist():
            length = last - first + 1
            if length < SHORTEST_RUN:
                continue
            start, end = int(high[first]), int(high[last])
            top = float(wave[start : end + 1].max())
            before = top - float(wave[start - 1]) if start else 0.0
            after = top - float(wave[end + 1]) if end + 1 < len(wave) else 0.0
            if max(before, after) > _STEEP * self._flat:
                side.add(top, length)


_QUIET = 0.01  # −40 dBFS: below this a channel's ceiling is nobody's converter
_LONGEST_CARRIED = 1 << 14
"""Frames that a run may last across two slabs."""
