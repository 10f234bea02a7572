"""PSR over time: true peak of three seconds over their short-term loudness, counted by loudness."""

from __future__ import annotations

import numpy as np

_LOWEST_LUFS, _HIGHEST_LUFS = -70, 60
_STEP_DB = 0.1
_MOST_DB = 60.0


class PeakToShortTerm:
    """One value a second, in a table of loudness (1 LU) by ratio (0.1 dB)."""

    def __init__(self) -> None:
        self._counts = np.zeros(
            (_HIGHEST_LUFS - _LOWEST_LUFS, round(_MOST_DB / _STEP_DB)), np.int64
        )

    def add(self, peak: float, short_term_lufs: float) -> None:
        """``peak`` is linear."""
        if short_term_lufs < _LOWEST_LUFS or peak <= 0:
            return
        row = min(int(short_term_lufs - _LOWEST_LUFS), len(self._counts) - 1)
        ratio = 20 * np.log10(peak) - short_term_lufs
        column = int(np.clip(ratio / _STEP_DB, 0, self._counts.shape[1] - 1))
        self._counts[row, column] += 1

    def loud_half(self, share: float) -> float | None:
        """The percentile ``share`` of the ratio in the louder half of the song, dB."""
        by_level = self._counts.sum(axis=1)
        total = int(by_level.sum())
        if not total:
            return None
        louder = np.cumsum(by_level[::-1])[::-1]
        first = int(np.flatnonzero(louder * 2 >= total)[-1])
        running = np.cumsum(self._counts[first:].sum(axis=0))
        column = int(np.searchsorted(running, share * (running[-1] - 1), side="right"))
        return (column + 0.5) * _STEP_DB
