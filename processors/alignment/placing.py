"""From what was heard to what is said: a placement with its confidence for every word."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from processors.alignment.aligner import LyricWord, Placement
from processors.alignment.sections import is_fixed
from processors.audio.activity import Activity

SHORTEST_MS = 60
"""No word is shown for less: below it, highlighting is a flicker."""

_SILENT = 0.25
"""A word sung for less than a quarter of its time isn't there: the stem contradicts the aligner."""

_FIT_MIDDLE, _FIT_SLOPE = -4.0, 1.0
_INTERPOLATED = 0.3
"""Confidence of a word that only its neighbours place."""


@dataclass(frozen=True, slots=True)
class Spot:
    """Where the fine pass put a word, ms, and how well it fits (mean nats a frame)."""

    start_ms: int
    end_ms: int
    fit: float


def place(
    words: Sequence[LyricWord],
    spots: Mapping[int, Spot],
    unsayable: Mapping[int, str],
    rooms: Mapping[int, tuple[int, int]],
    activity: Activity,
) -> list[Placement]:
    """One placement a word.

    ``spots``: what was heard; ``unsayable``: words without a pronunciation and why; ``rooms``: the
    stretch ``[start_ms, end_ms)`` between locked words that each unlocked word must stay in.
    """
    placed: list[Placement | None] = []
    for number, word in enumerate(words):
        placed.append(
            Placement(word.start_ms, word.end_ms, 1.0, "manual")
            if is_fixed(word)
            else _heard(spots.get(number), rooms[number], activity)
        )
    return _fill(words, placed, unsayable, rooms, activity)


def _heard(spot: Spot | None, room: tuple[int, int], activity: Activity) -> Placement | None:
    if spot is None:
        return None
    start, end = max(spot.start_ms, room[0]), min(spot.end_ms, room[1])
    if end <= start:
        return None
    sung = activity.share(start, end)
    if sung < _SILENT:
        return None
    return Placement(start, end, round(confidence(spot.fit, sung), 3), "aligned")


def confidence(fit: float, sung: float) -> float:
    """How likely a word is right, 0 to 1: its fit to the model times the share that is sung."""
    return sung / (1.0 + math.exp(-(fit - _FIT_MIDDLE) / _FIT_SLOPE))


def _fill(
    words: Sequence[LyricWord],
    placed: Sequence[Placement | None],
    unsayable: Mapping[int, str],
    rooms: Mapping[int, tuple[int, int]],
    activity: Activity,
) -> list[Placement]:
    """Words that weren't heard share the sung time between their neighbours, if there is any."""
    result = list(placed)
    number = 0
    while number < len(words):
        if result[number] is not None:
            number += 1
            continue
        end = number
        while end < len(words) and result[end] is None and rooms[end] == rooms[number]:
            end += 1
        for at, placement in _between(number, end, words, result, unsayable, rooms, activity):
            result[at] = placement
        number = end
    return [placement for placement in result if placement is not None]


def _between(
    first: int,
    stop: int,
    words: Sequence[LyricWord],
    result: Sequence[Placement | None],
    unsayable: Mapping[int, str],
    rooms: Mapping[int, tuple[int, int]],
    activity: Activity,
) -> list[tuple[int, Placement]]:
    singable = [n for n in range(first, stop) if any(map(str.isalnum, words[n].text))]
    filled = [(n, _unplaced(unsayable.get(n))) for n in range(first, stop) if n not in singable]
    before = next(
        (p.end_ms for p in reversed(result[:first]) if p is not None and p.end_ms is not None), None
    )
    after = next(
        (p.start_ms for p in result[stop:] if p is not None and p.start_ms is not None), None
    )
    low, high = rooms[first]
    low, high = (
        max(low, before if before is not None else low),
        min(high, after if after is not None else high),
    )
    neighbours = before is not None and after is not None
    fits = (
        neighbours
        and len(singable) * SHORTEST_MS <= high - low <= len(singable) * _LONGEST_SHARE_MS
        and activity.share(low, high) >= 0.5
    )
    for i, n in enumerate(singable):
        if fits:
            start = low + (high - low) * i // len(singable)
            end = low + (high - low) * (i + 1) // len(singable)
            filled.append((n, Placement(start, end, _INTERPOLATED, "interpolated")))
        else:
            why = unsayable.get(n) or "it wasn't heard in the vocals where the lyrics have it"
            filled.append((n, _unplaced(why)))
    return filled


_LONGEST_SHARE_MS = 1500
"""Words that share more than this each are no neighbours' business: they may be anywhere in it."""


def _unplaced(why: str | None) -> Placement:
    return Placement(None, None, 0.0, "aligned", why or "it wasn't heard in the vocals")
