"""After the master is written: did it come out as it was decided, and what of it reaches ears."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

from schemas.documents.analysis import Analysis
from schemas.documents.chain import Chain, Limiter
from schemas.documents.checks import NullTest, Pair
from schemas.documents.rendered import Rendered

MISSED_LU = 0.1
"""A loudness further from its goal is a miss (the issue's own tolerance, and Tech 3341's)."""

MISSED_DB = 0.2
"""What two true-peak meters may differ by (EBU Tech 3341). The renderer has held the ceiling at 16
times the rate; the analysis, which reads noise close to half the rate otherwise, is the second."""

_BLOCK = 1 << 16


def correction(chain: Chain, made: Rendered, after: Analysis) -> Chain | None:
    """The chain to render once more, aimed off by what the meter found missing; None when the
    master came out as decided, or when the renderer has already said why it could not.
    """
    goal, limiter = chain.loudness, chain.limiter()
    if limiter is None:
        return None
    lufs, peak = after.loudness.integrated_lufs, after.peaks.true_peak_dbtp
    missing = goal.lufs - lufs if goal and lufs is not None and made.shortfall is None else 0.0
    over = peak - limiter.ceiling_dbtp if peak is not None else 0.0
    over = over if over > MISSED_DB else 0.0
    if abs(missing) <= MISSED_LU and not over:
        return None
    aimed = goal
    if goal is not None and abs(missing) > MISSED_LU:
        aimed = goal.model_copy(update={"lufs": min(-4.0, max(-40.0, goal.lufs + missing))})
    lower = limiter.model_copy(update={"ceiling_dbtp": max(-20.0, limiter.ceiling_dbtp - over)})
    modules = tuple(lower if isinstance(each, Limiter) else each for each in chain.modules)
    return chain.model_copy(update={"modules": modules, "loudness": aimed})


def pair(before: Analysis, after: Analysis) -> Pair:
    """Gains that bring both to the quieter one's loudness: nothing is raised, so nothing clips."""
    ours, theirs = after.loudness.integrated_lufs, before.loudness.integrated_lufs
    if ours is None or theirs is None:
        return Pair(lufs=None, before_gain_db=0.0, after_gain_db=0.0)
    both = min(ours, theirs)
    return Pair(lufs=both, before_gain_db=both - theirs, after_gain_db=both - ours)


def null_test(source: Path, master: Path) -> NullTest:
    """Compare the samples of a song and its master, as double precision reads them."""
    samples = differing = 0
    with soundfile.SoundFile(source) as one, soundfile.SoundFile(master) as other:
        while True:
            a = one.read(_BLOCK, dtype="float64", always_2d=True)
            b = other.read(_BLOCK, dtype="float64", always_2d=True)
            count = max(a.size, b.size)
            if not count:
                return NullTest(samples=samples, differing=differing)
            samples += count
            differing += int(np.count_nonzero(a != b)) if a.shape == b.shape else count


def nearer(chain: Chain, second: Analysis, first: Analysis) -> bool:
    """Whether the second rendering keeps the promise better than the first: peaks before level."""
    limiter, goal = chain.limiter(), chain.loudness

    def over(one: Analysis) -> float:
        peak = one.peaks.true_peak_dbtp
        if limiter is None or peak is None:
            return 0.0
        return max(0.0, peak - limiter.ceiling_dbtp - MISSED_DB)

    def off(one: Analysis) -> float:
        lufs = one.loudness.integrated_lufs
        return 0.0 if goal is None or lufs is None else abs(goal.lufs - lufs)

    return (over(second), off(second)) < (over(first), off(first))
