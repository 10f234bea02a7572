"""Levels counted in narrow bins: percentiles and gates over any length in fixed memory."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Levels = npt.NDArray[np.float64]


def decibels(power: npt.ArrayLike) -> Levels:
    """10 log10 of a power, −inf for none."""
    with np.errstate(divide="ignore"):
        levels: Levels = 10 * np.log10(np.maximum(np.asarray(power, np.float64), 0.0))
    return levels


class LevelHistogram:
    """Counts and exact power sums of levels between ``low`` and ``high`` dB.

    Levels below ``low`` are not counted; those above ``high`` count in the last bin with their
    full power, so that a mean stays exact and only a gate can be off, by a bin.
    """

    def __init__(self, low: float, high: float, step: float = 0.01) -> None:
        self._low, self._step = low, step
        size = round((high - low) / step) + 1
        self._counts = np.zeros(size, np.int64)
        self._powers = np.zeros(size)

    def add(self, levels: Levels, powers: Levels) -> None:
        """Count ``levels`` in dB that carry ``powers``."""
        kept = levels >= self._low
        if not kept.any():
            return
        bins = ((levels[kept] - self._low) / self._step).astype(np.int64)
        bins = np.minimum(bins, len(self._counts) - 1)
        np.add.at(self._counts, bins, 1)
        np.add.at(self._powers, bins, powers[kept])

    def count(self, above: float = -np.inf) -> int:
        """How many were at least ``above`` dB."""
        return int(self._counts[self._bin(above) :].sum())

    def mean_power(self, above: float = -np.inf) -> float | None:
        """The mean power of those at least ``above`` dB; None when there are none."""
        first = self._bin(above)
        count = int(self._counts[first:].sum())
        return float(self._powers[first:].sum()) / count if count else None

    def loudest_share_power(self, share: float) -> float | None:
        """The mean power of the loudest ``share`` of all (at least one)."""
        total = int(self._counts.sum())
        if not total:
            return None
        wanted = max(1, round(share * total))
        left, power = wanted, 0.0
        for index in np.flatnonzero(self._counts)[::-1].tolist():
            taken = min(left, int(self._counts[index]))
            power += float(self._powers[index]) * taken / int(self._counts[index])
            left -= taken
            if not left:
                break
        return power / wanted

    def percentile(self, share: float, above: float = -np.inf) -> float | None:
        """The nearest-rank percentile (0 to 1) in dB of those at least ``above`` dB."""
        first = self._bin(above)
        running = np.cumsum(self._counts[first:])
        if not len(running) or not running[-1]:
            return None
        rank = int((running[-1] - 1) * share + 0.5)
        index = int(np.searchsorted(running, rank, side="right"))
        return self._low + (first + index + 0.5) * self._step

    def _bin(self, level: float) -> int:
        if level <= self._low:
            return 0
        return min(int(np.ceil((level - self._low) / self._step - 1e-9)), len(self._counts))
