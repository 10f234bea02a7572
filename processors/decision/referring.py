"""What a reference can decide: the curve of its spectrum, its loudness, and whether it can at all.

The curve is the difference of the third-octave levels, both taken relative to their own middle, so
that loudness plays no part; it is smoothed over neighbours and bounded. Only bands that both songs
have count.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from processors.decision.wording import told
from schemas.documents.analysis import Analysis
from schemas.documents.chain import MATCH_LIMIT_DB, THIRD_OCTAVES_HZ
from schemas.documents.decision import Words

PARTS: Final = ("eq", "loudness", "dynamics", "width")
SHORTEST_S: Final = 10.0
"""Three short-term windows of EBU Tech 3341 and a beat: less shows neither balance nor range."""
MOST_SILENCE: Final = 0.5
QUIETEST_LUFS: Final = -50.0
FAR_DB: Final = 9.0
"""A mean band difference beyond this is another genre: half as much again as the curve may do."""
MIDDLE_HZ: Final = (100.0, 8_000.0)
LOWEST_DBFS: Final = -85.0
"""Bands below hold noise; raising them to match would raise nothing else."""
COMPARED_HZ: Final = (60.0, 12_000.0)
"""Where tone is compared. Beyond, the curve glides back to 0 dB, by half at each band: subsonics
and the last octave of a reference say more about its converter or codec than about its balance."""


@dataclass(frozen=True, slots=True)
class Following:
    """Whether a reference can be followed, the curve towards it, and what is to be said."""

    usable: bool
    curve_db: tuple[float, ...] | None
    words: Words


def follow(song: Analysis, reference: Analysis, amount: float) -> Following:
    """Look at a reference: never an error, a useless one is said and left aside."""
    loudness = reference.loudness.integrated_lufs
    seconds = reference.source.duration_s
    if loudness is None or loudness < QUIETEST_LUFS:
        return Following(False, None, told("reference-silent"))
    if reference.silence.share > MOST_SILENCE:
        return Following(False, None, told("reference-mostly-silent"))
    if seconds < SHORTEST_S:
        units = {"seconds": "s", "needed": "s"}
        words = told("reference-short", units, seconds=seconds, needed=SHORTEST_S)
        return Following(False, None, words)
    raw = _differences(song, reference)
    known = [difference for difference in raw if difference is not None]
    if not known:
        return Following(True, None, told("reference-no-spectrum"))
    curve = tuple(
        round(min(MATCH_LIMIT_DB, max(-MATCH_LIMIT_DB, amount * gain)), 2)
        for gain in _smoothed(raw)
    )
    mean = sum(abs(difference) for difference in known) / len(known)
    if mean > FAR_DB:
        units = {"mean": "dB", "limit": "dB"}
        words = told("reference-far", units, mean=mean, limit=MATCH_LIMIT_DB)
        return Following(True, curve, words)
    return Following(True, curve, told("reference-followed", {}, amount=f"{100 * amount:.0f}"))


def _differences(song: Analysis, reference: Analysis) -> tuple[float | None, ...]:
    here, there = _levels(song), _levels(reference)
    middle = [
        (a, b)
        for hz, a, b in zip(THIRD_OCTAVES_HZ, here, there, strict=True)
        if a is not None and b is not None and MIDDLE_HZ[0] <= hz <= MIDDLE_HZ[1]
    ]
    if not middle:
        return (None,) * len(THIRD_OCTAVES_HZ)
    offset = sum(b - a for a, b in middle) / len(middle)
    return tuple(
        b - a - offset
        if a is not None and b is not None and COMPARED_HZ[0] <= hz <= COMPARED_HZ[1]
        else None
        for hz, a, b in zip(THIRD_OCTAVES_HZ, here, there, strict=True)
    )


def _levels(analysis: Analysis) -> tuple[float | None, ...]:
    """Levels at `THIRD_OCTAVES_HZ`, whichever centres the meter had."""
    levels: list[float | None] = [None] * len(THIRD_OCTAVES_HZ)
    for band in analysis.balance.third_octaves:
        for index, hz in enumerate(THIRD_OCTAVES_HZ):
            if abs(band.centre_hz / hz - 1) < 0.06:
                level = band.level_dbfs
                levels[index] = level if level is not None and level > LOWEST_DBFS else None
    return tuple(levels)


def _smoothed(raw: Sequence[float | None]) -> tuple[float, ...]:
    """A twentieth of each neighbour's; gaps are filled. More evens out what the reference is: of
    40 pairs of genres the worst residual is 0.86 dB, with a tenth it is 1.06 dB."""
    known = [index for index, value in enumerate(raw) if value is not None]
    if not known:
        return (0.0,) * len(raw)
    inner = np.interp(np.arange(known[0], known[-1] + 1), known, [v for v in raw if v is not None])
    smooth = np.convolve(np.pad(inner, 1, mode="edge"), (0.05, 0.9, 0.05), "valid")
    below = smooth[0] * 0.5 ** np.arange(known[0], 0, -1)
    above = smooth[-1] * 0.5 ** np.arange(1, len(raw) - known[-1])
    return tuple(np.concatenate((below, smooth, above)).tolist())
