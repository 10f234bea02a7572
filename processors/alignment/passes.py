"""The two passes of light alignment over one section: the coarse one and the fine one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from processors.alignment.hearing import POOL, Acoustics
from processors.alignment.sheet import GAP, VOWELS, Line, Sheet, coarse, fine
from processors.alignment.trellis import Chain, best_path
from processors.alignment.windows import Heard, trusted, windows

Ints = npt.NDArray[np.int64]

_LEFT_OUT = 500.0
"""Nats for leaving a line out: what a line of 20 phones costs when it has to hide in a rest (25
nats a phone: three frames each at −8). At 60 sung lines were dropped, at 300 a line with a wrong
pronunciation was; lyrics with a verse too many still lose it."""


SHORTEST_VOWEL = 2
"""Steps (60 ms): the vowel of the fastest sung syllables, before the song's pace is known."""

_VOWEL_SHARE = 0.4
_LONGEST_BOUND = 6
"""Steps (180 ms): in slow songs, quick words between long ones are as short as in others."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Words of one section: ``lines`` with the phones of each word, frames ``[first, last)``."""

    lines: tuple[Line, ...]
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Path:
    """What each frame of ``[first, first + len)`` belongs to: a word or −1, a phone or −1."""

    first: int
    word: Ints
    owner: Ints


def coarse_pass(stretch: Stretch, acoustics: Acoustics, vowels: Sequence[int]) -> Path:
    """The whole section at once, 30 ms a step, one state a phone."""
    sheet = coarse(stretch.lines, acoustics.model, vowels)
    steps = (stretch.last - stretch.first) // POOL
    chain = Chain(
        optional=sheet.optional,
        opens=np.zeros(sheet.states, np.int64),
        closes=np.full(sheet.states, steps, np.int64),
        jumps=sheet.jumps,
        jump_cost=_LEFT_OUT,
    )

    def scores(begin: int, end: int, low: int, high: int) -> npt.NDArray[np.float32]:
        return acoustics.coarse(
            sheet.owner[low:high],
            sheet.word[low:high] == GAP,
            stretch.first + begin * POOL,
            stretch.first + end * POOL,
        )

    return _path(stretch.first, sheet, best_path(chain, scores, steps), POOL)


def fine_pass(
    stretch: Stretch,
    acoustics: Acoustics,
    heard: Sequence[Sequence[Heard]],
    vowels: Sequence[int],
) -> Path:
    """10 ms a step, triphones, each word within its window from the coarse pass."""
    model = acoustics.model
    sheet = fine(stretch.lines, model, vowels)
    frames = stretch.last - stretch.first
    opens, closes = _state_windows(sheet, stretch, heard)
    chain = Chain(
        optional=sheet.optional,
        opens=opens,
        closes=closes,
        jumps=sheet.jumps,
        jump_cost=_LEFT_OUT,
    )

    def scores(begin: int, end: int, low: int, high: int) -> npt.NDArray[np.float32]:
        return acoustics.fine(
            sheet.senone[low:high],
            sheet.owner[low:high],
            sheet.word[low:high] == GAP,
            stretch.first + begin,
            stretch.first + end,
        )

    return _path(stretch.first, sheet, best_path(chain, scores, frames), 1)


def shortest_vowels(stretches: Sequence[Stretch], paths: Sequence[Path]) -> list[list[int]]:
    """How many steps of POOL frames every vowel lasts at least, for each line of each stretch.

    Sung time is held by vowels. Without a bound, one long vowel swallows its neighbours' and their
    words are squeezed to nothing; with it, mean onset error fell from 34 to 23 ms on true vocals
    and from 82 to 51 ms on separated ones (12 songs). The bound is a share of the line's own time
    per vowel, and of the song's median where the line seems slower: a quick line isn't held up by
    slow ones, and a line that a first pass stretched doesn't keep its stretch.
    """
    paces = [
        [_pace(line, spots) for line in stretch.lines]
        for stretch, spots in zip(stretches, map(word_frames, paths), strict=True)
    ]
    known = [pace for row in paces for pace in row if pace is not None]
    typical = float(np.median(known)) if known else 0.0

    def bound(pace: float | None) -> int:
        steps = int(_VOWEL_SHARE * min(pace or 0.0, typical) / POOL)
        return min(max(steps, SHORTEST_VOWEL), _LONGEST_BOUND)

    return [[bound(pace) for pace in row] for row in paces]


def _pace(line: Line, spots: Mapping[int, tuple[int, int]]) -> float | None:
    """Frames a vowel, None for a line that has none or wasn't placed."""
    vowels = sum(phone in VOWELS for _, phones in line for phone in phones)
    known = [spots[word] for word, _ in line if word in spots]
    return (known[-1][1] - known[0][0]) / vowels if vowels and known else None


def hear(stretch: Stretch, path: Path, acoustics: Acoustics) -> list[list[Heard]]:
    """What a path says about each word of the section."""
    heard: list[list[Heard]] = []
    spots = word_frames(path)
    active = acoustics.hearing.active
    for line in stretch.lines:
        row: list[Heard] = []
        for word, phones in line:
            if word not in spots:
                row.append(Heard(None, None, len(phones), 0.0, 0.0))
                continue
            start, end = spots[word]
            owner = path.owner[start - path.first : end - path.first]
            fit = acoustics.phones[np.arange(start, end), owner]
            row.append(
                Heard(
                    start,
                    end,
                    len(phones),
                    float(active[start:end].mean()),
                    float(fit.mean()),
                )
            )
        heard.append(row)
    return heard


def word_frames(path: Path) -> dict[int, tuple[int, int]]:
    """Frames ``[start, end)`` of each word on a path."""
    edges = np.flatnonzero(np.diff(path.word)) + 1
    starts = np.concatenate([[0], edges])
    ends = np.concatenate([edges, [len(path.word)]])
    return {
        int(path.word[start]): (path.first + int(start), path.first + int(end))
        for start, end in zip(starts, ends, strict=True)
        if end > start and path.word[start] >= 0
    }


def _state_windows(
    sheet: Sheet, stretch: Stretch, heard: Sequence[Sequence[Heard]]
) -> tuple[Ints, Ints]:
    """Each state's window: its word's; a rest reaches from the word before to the word after."""
    frames = stretch.last - stretch.first
    by_word = windows(heard, trusted(heard), stretch.first, stretch.last)
    spans = {
        word: span
        for line, row in zip(stretch.lines, by_word, strict=True)
        for (word, _), span in zip(line, row, strict=True)
    }
    opens = np.zeros(sheet.states, np.int64)
    closes = np.full(sheet.states, frames, np.int64)
    latest = 0
    for state in range(sheet.states):
        if sheet.word[state] >= 0:
            latest = spans[int(sheet.word[state])][0] - stretch.first
        opens[state] = latest
    earliest = frames
    for state in range(sheet.states - 1, -1, -1):
        if sheet.word[state] >= 0:
            earliest = spans[int(sheet.word[state])][1] - stretch.first
        closes[state] = earliest
    return opens, closes


def _path(first: int, sheet: Sheet, states: Ints | None, repeat: int) -> Path:
    if states is None:
        return Path(first, np.empty(0, np.int64), np.empty(0, np.int64))
    word = np.maximum(sheet.word[states], -1)
    return Path(first, np.repeat(word, repeat), np.repeat(sheet.owner[states], repeat))


def owners(paths: Sequence[Path], frames: int) -> Ints:
    """The phone of each frame of the song, −1 where there is none."""
    owner = np.full(frames, -1, np.int64)
    for path in paths:
        owner[path.first : path.first + len(path.owner)] = path.owner
    return owner
