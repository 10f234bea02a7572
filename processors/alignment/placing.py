"""From what was heard to what is said: a placement with its confidence for every word."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from processors.alignment.aligner import LyricWord, Placement
from processors.alignment.sections import held_place
from processors.audio.activity import Activity

SHORTEST_MS = 60
"""No word is shown for less: below it, highlighting is a flicker."""

_SILENT = 0.25
"""A word sung for less than a quarter of its time isn't there: the stem contradicts the aligner."""

_SUNG = 0.5  # the share of a room that must be sung before unheard words may share it
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
    line_of: Sequence[int],
    activity: Activity,
) -> list[Placement]:
    """One placement a word.

    ``spots``: what was heard; ``unsayable``: words without a pronunciation and why; ``rooms``: the
    stretch ``[start_ms, end_ms)`` between locked words that each unlocked word must stay in;
    ``line_of``: the line of each word.
    """
    placed: list[Placement | None] = []
    for number, word in enumerate(words):
        placed.append(held_place(word) or _heard(spots.get(number), rooms.get(number), activity))
    return _fill(words, placed, unsayable, rooms, line_of, activity)


def _heard(spot: Spot | None, room: tuple[int, int] | None, activity: Activity) -> Placement | None:
    if spot is None or room is None:
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
    line_of: Sequence[int],
    activity: Activity,
) -> list[Placement]:
    """Words that weren't heard share the sung time between their neighbours, if there is any."""
    result: list[Placement] = []
    number = 0
    while number < len(words):
        known = placed[number]
        if known is not None:
            result.append(known)
            number += 1
            continue
        stop = number + 1
        while stop < len(words) and placed[stop] is None and line_of[stop] == line_of[number]:
            stop += 1
        missing = range(number, stop)
        singable = [n for n in missing if any(map(str.isalnum, words[n].text))]
        shares = _shares(len(singable), _around(placed, line_of, missing), activity)
        for n in missing:
            if shares and n in singable:
                start, end = shares[singable.index(n)]
                result.append(Placement(start, end, _INTERPOLATED, "interpolated"))
            else:
                why = unsayable.get(n, "it wasn't heard in the vocals between its neighbours")
                result.append(Placement(None, None, 0.0, "aligned", why))
        number = stop
    return result


def _around(
    placed: Sequence[Placement | None], line_of: Sequence[int], missing: range
) -> tuple[int, int] | None:
    """From the word before to the word after, if both are placed and of the same line.

    Beyond a line's end lies a break of unknown length, and a line that wasn't heard at all may not
    be sung in this recording.
    """
    first, stop = missing.start, missing.stop
    if first == 0 or stop >= len(placed):
        return None
    before, after = placed[first - 1], placed[stop]
    if not line_of[first - 1] == line_of[first] == line_of[stop] or before is None or after is None:
        return None
    if before.end_ms is None or after.start_ms is None:
        return None
    return before.end_ms, after.start_ms


def _shares(count: int, room: tuple[int, int] | None, activity: Activity) -> list[tuple[int, int]]:
    """The room in equal parts; nothing when it is too short or isn't sung."""
    if room is None or count == 0:
        return []
    start, end = room
    if end - start < count * SHORTEST_MS or activity.share(start, end) < _SUNG:
        return []
    edges = [start + (end - start) * i // count for i in range(count + 1)]
    return list(pairwise(edges))


def shaped(
    placed: Sequence[Placement], lines: Sequence[Sequence[LyricWord]]
) -> list[list[Placement]]:
    """The placements of all words, line by line."""
    rest = iter(placed)
    return [[next(rest) for _ in line] for line in lines]
