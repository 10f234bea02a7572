"""Songs of several singers, who may sing at the same time: no line blocks another.

One path through all lines cannot overlap them: where two voices sound together it squeezes both, or
pushes one aside. A path of each singer's lines alone can, but it may take the other's singing for
its own. So both are made over what was heard once, and each line takes the place in which it sounds
better, as far as lines begin in the order of the lyrics and no singer sings two at once. A line
whose own path sets in before the line above it, so that no choice could be in order, is looked for
once more behind that line's beginning.

Measured on six duets in which every line of the second singer begins with the first one's, true
vocals: mean onset error 0.76 s by one path, 0.11 s by this; separated vocals 1.45 s and 0.11 s.
Where it begins in the middle of the first one's: 0.21 s and 0.14 s, 0.36 s and 0.17 s (``python -m
tests.bench.bench_duets``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from processors.alignment.aligner import Heard, LyricWord, Placement, Progress
from processors.alignment.sections import held_place

_MARGIN_MS = 300
"""Around a line's place, as in `testimony`."""
_ABSENT_NATS = -10.0
"""A frame of a line that has no place, or does not sound like its words at all: right places score
-1 to -3."""
_TOGETHER_NATS = 0.1
"""By how much a place must sound better to be preferred to that of the common path. At -0.2 a
singer's own path took the other's lines in one of six duets without overlap."""
_DISORDER_MS = 300
_DISORDER_NATS = 2.0
"""A line that begins so much before the one above it must sound so much better there."""
_STATES = 32
"""Choices that are followed at once: all of them for up to five singers."""

_SQUEEZED, _STRETCHED = 0.8, 1.5
"""Of the usual time a letter: what is sung in less seems squeezed between two other lines, what
takes more to reach into another …"""
_PACE_NATS = 1.5
"""… and costs so much a letter for each whole share beyond. One path through two lines that are
sung at once leaves each half of its time, and half a line sounds as well as all of it: up to 0.4
nats better in six such duets."""
_EARLIER_MS = 150
"""Two who begin together are told apart by no less."""
_LEAST_ROOM_MS = 1000
"""A line that would have to be sung in less is not looked for again."""
# 21 of 1,040 words of those are still off by more than 1 s (one path: 240), none where singers take
# turns. More places do not help: offered to every line at its usual pace, from its beginning, its
# end and its neighbours' beginnings, they left 27 to 35, for where two sing at once a wrong place
# often sounds better than the right one.

Row = tuple[Placement, ...]


@dataclass(frozen=True, slots=True)
class _Option:
    """A place of one line, and how well it sounds there, nats times letters."""

    row: Row
    start_ms: int | None
    end_ms: int | None
    score: float


@dataclass(frozen=True, slots=True)
class _Choice:
    """The places chosen so far: when each singer is free again, when the last line began."""

    score: float
    rows: tuple[Row, ...]
    free_ms: tuple[int, ...]
    began_ms: int


def place_voices(
    heard: Heard,
    lines: Sequence[Sequence[LyricWord]],
    singers: Sequence[str],
    language: str,
    song_ms: int,
    progress: Progress,
) -> list[list[Placement]]:
    """`Heard.place` for lines of several singers, ``singers`` naming one a line.

    Words are in order and never overlap within a singer. Raises as `Heard.place`.
    """
    names = list(dict.fromkeys(singers))
    together = heard.place(lines, language, lambda share: progress(share / (1 + len(names))))
    if len(names) < 2:
        return together
    alone: list[Sequence[Placement]] = list(together)
    for done, name in enumerate(names, start=1):
        own = [at for at, singer in enumerate(singers) if singer == name]
        rows = heard.place([lines[at] for at in own], language, _ignore)
        for at, row in zip(own, rows, strict=True):
            alone[at] = row
        progress((1 + done) / (1 + len(names)))
    sound = _Sound(heard, language, song_ms, _usual_ms(lines, alone))
    options = [
        [sound.option(line, together[at], _TOGETHER_NATS), sound.option(line, alone[at])]
        for at, line in enumerate(lines)
    ]
    for at in range(1, len(lines)):
        third = _behind(options[at - 1][1], options[at][1], heard, lines[at], language)
        if third is not None:
            options[at].append(sound.option(lines[at], third))
    best = _best(options, lines, singers)
    return together if best is None else [list(row) for row in best]


def _behind(
    above: _Option, own: _Option, heard: Heard, line: Sequence[LyricWord], language: str
) -> Row | None:
    """A line that begins before the one above it, from the beginning of that on; None else."""
    if above.start_ms is None or own.start_ms is None or own.end_ms is None:
        return None
    if own.start_ms >= above.start_ms - _DISORDER_MS:
        return None
    if own.end_ms - above.start_ms < _LEAST_ROOM_MS or any(map(held_place, line)):
        return None
    first, last = above.start_ms - _EARLIER_MS, own.end_ms + _EARLIER_MS
    row = heard.place([_wall(first), line, _wall(last)], language, _ignore)[1]
    return tuple(row) if all(spot.start_ms is not None for spot in row) else None


def _wall(at_ms: int) -> list[LyricWord]:
    """A line of one word that holds its place, an instant: nothing is looked for across it."""
    return [LyricWord("-", known=Placement(at_ms, at_ms, 1.0, "aligned"))]


@dataclass(frozen=True, slots=True)
class _Sound:
    """How well lines sound at a place. ``usual_ms``: what a letter takes."""

    heard: Heard
    language: str
    song_ms: int
    usual_ms: float

    def option(
        self, line: Sequence[LyricWord], row: Sequence[Placement], bonus: float = 0.0
    ) -> _Option:
        """A place of a line and what it is worth."""
        span = _span(row)
        if span is None:
            return _Option(tuple(row), None, None, _letters(line) * (_ABSENT_NATS + bonus))
        start, end = max(0, span[0] - _MARGIN_MS), min(self.song_ms, span[1] + _MARGIN_MS)
        fit = self.heard.fit([[word.text for word in line]], self.language, start, end)
        nats = _ABSENT_NATS if fit is None else fit
        share = (span[1] - span[0]) / _letters(line) / self.usual_ms
        nats -= _PACE_NATS * max(0.0, _SQUEEZED - share, share - _STRETCHED)
        return _Option(tuple(row), *span, _letters(line) * (nats + bonus))


def _best(
    options: Sequence[Sequence[_Option]],
    lines: Sequence[Sequence[LyricWord]],
    singers: Sequence[str],
) -> tuple[Row, ...] | None:
    """The places that sound best together; None where no choice keeps each singer in order."""
    names = list(dict.fromkeys(singers))
    choices = [_Choice(0.0, (), (0,) * len(names), 0)]
    for line, given, singer in zip(lines, options, singers, strict=True):
        grown = [
            taken
            for choice in choices
            for option in given
            if (taken := _with(choice, option, names.index(singer), _letters(line))) is not None
        ]
        choices = sorted(grown, key=lambda one: -one.score)[:_STATES]
    return choices[0].rows if choices else None


def _span(row: Sequence[Placement]) -> tuple[int, int] | None:
    starts = [spot.start_ms for spot in row if spot.start_ms is not None]
    ends = [spot.end_ms for spot in row if spot.end_ms is not None]
    return (min(starts), max(ends)) if starts and ends else None


def _usual_ms(lines: Sequence[Sequence[LyricWord]], rows: Sequence[Sequence[Placement]]) -> float:
    """The median time a letter takes in the lines of singers alone, whom nobody squeezes."""
    paces = [
        (span[1] - span[0]) / _letters(line)
        for line, row in zip(lines, rows, strict=True)
        if (span := _span(row)) is not None
    ]
    return max(1.0, median(paces)) if paces else 1.0


def _letters(line: Sequence[LyricWord]) -> int:
    return max(1, sum(map(str.isalnum, "".join(word.text for word in line))))


def _ignore(_share: float) -> None:
    """Progress of a part too small to tell."""


def _with(choice: _Choice, option: _Option, who: int, letters: int) -> _Choice | None:
    """The choice with one line more; None where its singer still sings."""
    rows = (*choice.rows, option.row)
    if option.start_ms is None or option.end_ms is None:
        return _Choice(choice.score + option.score, rows, choice.free_ms, choice.began_ms)
    if option.start_ms < choice.free_ms[who]:
        return None
    score = choice.score + option.score
    if option.start_ms < choice.began_ms - _DISORDER_MS:
        score -= _DISORDER_NATS * letters
    free = tuple(option.end_ms if at == who else ms for at, ms in enumerate(choice.free_ms))
    return _Choice(score, rows, free, option.start_ms)
