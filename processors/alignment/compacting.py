"""A second hearing for lines that seem to take much longer than their neighbours.

Residue of the band in a break can sound enough like a line's first words to hold them there, the
more so where the line repeats itself ("hold on, hold on"): the line is then stretched across the
break. Confined to the time it would take at its neighbours' pace, at either end of its place, it
must fit clearly better than it did stretched; a line that is truly slow does not. Of 1,502 words
on separated vocals (40 songs) it brought back 3 of the 5 that were off by more than 1 s.

Where the same words are sung elsewhere in the song, that place tells their length more exactly
than any pace, and a smaller excess is enough to listen again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from processors.alignment.hearing import Acoustics
from processors.alignment.passes import Stretch, fine_pass, hear
from processors.alignment.windows import Heard, fit, pace

_STRETCHED = 1.5
"""A line this many times longer than its neighbours' pace gives is heard again."""
_ROOM = 1.35
"""Times the expected length that it may take then."""
_LONGER_THAN_ITSELF = 1.2
"""A line this many times longer than the same words elsewhere is heard again: a chorus mostly comes
back in its own rhythm, and where it does not, the fit decides."""
_ROOM_OF_ITSELF = 1.15
"""Times that length that it may take then."""
_BETTER_NATS = 0.15
"""Mean fit a frame by which the compact place must win."""
_UNHEARD_NATS = 1.0
"""A line that fits so much worse than the median line is not heard where it stands …"""
_AS_WELL_NATS = 0.5
"""… and then its pace says more than its fit: a compact place may fit worse by so much."""
_NEIGHBOURS = 6  # lines on each side: tempo is local


def compacted(
    stretch: Stretch,
    rows: Sequence[Sequence[Heard]],
    acoustics: Acoustics,
    vowels: Sequence[int],
) -> list[list[Heard]]:
    """The rows with stretched lines in their compact place where that fits better."""
    result = [list(row) for row in rows]
    paces = [pace(row) for row in rows]
    fits = [known for row in rows if (known := fit(row)) is not None]
    typical = float(np.median(fits)) if fits else 0.0
    for at, row in enumerate(rows):
        length = _suspected(stretch, rows, paces, at)
        if length is None:
            continue
        candidates = [
            _heard_within(stretch, at, first, last, acoustics, vowels[at])
            for first, last in _places(row, length)
        ]
        best = max(candidates, key=_fit)
        heard = _fit(row) >= typical - _UNHEARD_NATS
        if _fit(best) > _fit(row) + (_BETTER_NATS if heard else -_AS_WELL_NATS):
            result[at] = best
    return result


def _suspected(
    stretch: Stretch, rows: Sequence[Sequence[Heard]], paces: list[float | None], at: int
) -> int | None:
    """Frames that a line may take when it is heard again; None for a line that seems right."""
    row, own = rows[at], paces[at]
    if own is None:
        return None
    phones = sum(word.phones for word in row)
    said = [spoken for _, spoken in stretch.lines[at]]
    elsewhere = [
        other_pace
        for other, other_pace in enumerate(paces)
        if other != at
        and other_pace is not None
        and said == [spoken for _, spoken in stretch.lines[other]]
    ]
    if elsewhere and own >= _LONGER_THAN_ITSELF * min(elsewhere):
        return round(_ROOM_OF_ITSELF * min(elsewhere) * phones)
    around = paces[max(0, at - _NEIGHBOURS) : at] + paces[at + 1 : at + 1 + _NEIGHBOURS]
    known = [other for other in around if other is not None]
    if not known or own < _STRETCHED * float(np.median(known)):
        return None
    return round(_ROOM * float(np.median(known)) * phones)


def _places(row: Sequence[Heard], length: int) -> list[tuple[int, int]]:
    """The late and the early end of a stretched line's place."""
    start, end = row[0].start, row[-1].end
    assert start is not None
    assert end is not None
    return [(max(start, end - length), end), (start, min(end, start + length))]


def _heard_within(
    stretch: Stretch, line: int, first: int, last: int, acoustics: Acoustics, vowel: int
) -> list[Heard]:
    alone = replace(stretch, lines=(stretch.lines[line],), first=first, last=last)
    unknown = [[Heard(None, None, len(phones), 0.0, 0.0) for _, phones in stretch.lines[line]]]
    path = fine_pass(alone, acoustics, unknown, [vowel])
    return hear(alone, path, acoustics)[0] if len(path.word) else unknown[0]


def _fit(row: Sequence[Heard]) -> float:
    known = fit(row)
    return float("-inf") if known is None or any(word.start is None for word in row) else known
