"""Soft line windows: where the second pass may look for each word, judged from the first.

Errors of forced alignment are derailments, not jitter (Durand 2023): a line that fits badly must be
free to move, between neighbours that fit well and stay where they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

MARGIN = 60
"""Frames (0.6 s) by which a word of a trusted line may move; a coarse word off by more means that
its line can't be trusted."""

_SILENT_SHARE = 0.5  # a word sung for less than half of its time contradicts the stem
_SILENT_WORDS = 0.34  # … and a third of such words derails the line
_DURATION_RATIO = 3.0  # a line's time per phone against the median of its neighbours
_NEIGHBOURS = 4  # lines on each side: tempo is local (verse, chorus, rap)
SCORE_NATS = 2.5
"""Below the median line's mean score a frame; right lines scatter by under 1."""


@dataclass(frozen=True, slots=True)
class Heard:
    """A word after the first pass: frames ``[start, end)``, or both None when it was left out.

    ``sung``: share of its frames with vocal activity; ``score``: mean score a frame, nats.
    """

    start: int | None
    end: int | None
    phones: int
    sung: float
    score: float


def trusted(lines: Sequence[Sequence[Heard]]) -> list[bool]:
    """For each line, whether its place agrees with the stem and with its neighbours."""
    paces = [pace(line) for line in lines]
    scores = [fit(line) for line in lines]
    known_scores = [score for score in scores if score is not None]
    typical_score = float(np.median(known_scores)) if known_scores else 0.0
    verdicts: list[bool] = []
    for i, line in enumerate(lines):
        own, score = paces[i], scores[i]
        if own is None or score is None:
            verdicts.append(False)
            continue
        silent = sum(word.sung < _SILENT_SHARE for word in line) / len(line)
        around = [p for p in paces[max(0, i - _NEIGHBOURS) : i + _NEIGHBOURS + 1] if p is not None]
        typical = float(np.median(around))
        steady = typical / _DURATION_RATIO <= own <= typical * _DURATION_RATIO
        verdicts.append(silent < _SILENT_WORDS and steady and score >= typical_score - SCORE_NATS)
    return verdicts


def windows(
    lines: Sequence[Sequence[Heard]], trust: Sequence[bool], first: int, last: int
) -> list[list[tuple[int, int]]]:
    """Frames ``[opens, closes]`` for each word, never falling from word to word.

    Words of trusted lines get their own place ± MARGIN; words of the others everything from the
    trusted line before to the trusted line after. All within ``[first, last]``.
    """
    flat = [(word, ok) for line, ok in zip(lines, trust, strict=True) for word in line]
    count = len(flat)
    opens, closes = [first] * count, [last] * count
    latest = first
    for i, (word, ok) in enumerate(flat):
        if ok and word.start is not None:
            latest = max(latest, word.start - MARGIN)
        opens[i] = latest
    earliest = last
    for i in range(count - 1, -1, -1):
        word, ok = flat[i]
        if ok and word.end is not None:
            earliest = min(earliest, word.end + MARGIN)
        closes[i] = earliest
    result: list[list[tuple[int, int]]] = []
    at = 0
    for line in lines:
        result.append(
            list(zip(opens[at : at + len(line)], closes[at : at + len(line)], strict=True))
        )
        at += len(line)
    return result


def pace(line: Sequence[Heard]) -> float | None:
    """How slow a line is: frames a phone, or None when a word of the line was left out."""
    if not line or line[0].start is None or line[-1].end is None:
        return None
    return (line[-1].end - line[0].start) / max(1, sum(word.phones for word in line))


def fit(line: Sequence[Heard]) -> float | None:
    """How well a line sounds like its words: mean nats a frame, None when nothing was placed."""
    frames = [0 if w.start is None or w.end is None else w.end - w.start for w in line]
    if not sum(frames):
        return None
    return float(np.average([word.score for word in line], weights=frames))
