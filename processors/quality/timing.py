"""Whether all words stand too early or too late: their times against where somebody sings."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from processors.audio.activity import HOP_MS, Activity

_REACH_MS = 4000
"""Shifts that are tried; a file made for another edit of a song is off by more and never by one
shift."""
_STEP_MS = 50
_RANGE_DB = 24.0
"""Below the loud singing: residue of separation and echoes count for little."""


@dataclass(frozen=True, slots=True)
class Offset:
    """``late_ms``: by how much the words stand late (early: below 0).

    ``agreement``: correlation of the words with the singing where they stand; ``gain``: how much
    better it is without the offset.
    """

    late_ms: int
    agreement: float
    gain: float


def offset_of(times: Iterable[tuple[int, int]], activity: Activity) -> Offset | None:
    """The shift of ``(start_ms, end_ms)`` that agrees best with the singing; None without words."""
    reach, step = _REACH_MS // HOP_MS, _STEP_MS // HOP_MS
    words = np.zeros(len(activity.active) + 2 * reach)
    for start, end in times:
        words[reach + start // HOP_MS : reach + -(-end // HOP_MS)] = 1.0
    if not words.any() or not activity.active.any():
        return None
    voice = np.pad(_voice(activity), reach)
    shifts = range(-reach, reach + 1, step)
    agreements = [_agreement(np.roll(words, -shift), voice) for shift in shifts]
    here = agreements[reach // step]
    # Of equal ones the smallest: a song sung without a pause says nothing about shifts.
    best = max(range(len(shifts)), key=lambda at: (round(agreements[at], 6), -abs(shifts[at])))
    return Offset(shifts[best] * HOP_MS, here, agreements[best] - here)


def _voice(activity: Activity) -> npt.NDArray[np.float64]:
    """How sure singing is in each frame, 0 to 1."""
    level = 20 * np.log10(np.maximum(activity.rms.astype(np.float64), 1e-6))
    loud = float(np.percentile(level[activity.active], 75))
    sure = np.clip((level - loud + _RANGE_DB) / _RANGE_DB, 0.0, 1.0)
    return np.where(activity.active, sure, 0.0)


def _agreement(words: npt.NDArray[np.float64], voice: npt.NDArray[np.float64]) -> float:
    if words.std() == 0 or voice.std() == 0:
        return 0.0
    return float(np.corrcoef(words, voice)[0, 1])
