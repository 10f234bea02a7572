"""Singing that the lyrics do not have, told by the lines that would fit it.

Where somebody sings for a while and no word is placed, lines are tried there: one that is sung
elsewhere and fits as well as in its own place is a repetition that the lyrics leave out; one that
had no place is sung out of order. Where nothing fits, quality says that there is singing without
words, and no more is known.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from processors.alignment.aligner import Heard
from processors.audio.activity import Activity, Span
from processors.quality.evidence import TimedLine, TimedWord, uncovered
from processors.quality.thresholds import Thresholds
from schemas.documents.karaoke import Flag, Karaoke, Line

_AS_WELL_NATS = 1.0
"""Nats a frame by which lines may fit worse than in a right place: right ones scatter by less."""
_MARGIN_MS = 300  # around a run: vocal activity begins late in soft consonants
_SHORTEST, _LONGEST = 0.5, 1.3
"""A block lasts at least half as long as the run it is tried on (an ad-lib may go on behind it) and
at most so much longer: a second chorus may be sung a little faster."""
_BREATH_MS = 1200
"""Between two lines of one block: a beat's rest at 60 BPM, and a little."""
_MOST_RUNS = 12
_MOST_LINES = 240  # that a block may begin with: more than any song has


@dataclass(frozen=True, slots=True)
class _Block:
    first: int
    last: int  # both inclusive
    start_ms: int | None  # where it was placed, None where it was not
    end_ms: int | None


def strays(content: Karaoke, heard: Heard, language: str) -> list[Flag]:
    """A flag for each run of singing without words that some lines of the lyrics fit."""
    runs = _runs(_timed(content), heard.activity)
    lines = content.lines[:_MOST_LINES]
    own: dict[tuple[int, int], float | None] = {}

    def fit(block: _Block, start_ms: int, end_ms: int) -> float | None:
        texts = [[word.text for word in line.words] for line in lines[block.first : block.last + 1]]
        start, end = max(0, start_ms - _MARGIN_MS), min(content.duration_ms, end_ms + _MARGIN_MS)
        return heard.fit(texts, language, start, end)

    def at_home(block: _Block) -> float | None:
        if block.start_ms is None or block.end_ms is None:
            return None
        key = block.first, block.last
        if key not in own:
            own[key] = fit(block, block.start_ms, block.end_ms)
        return own[key]

    found: list[Flag] = []
    for run in runs[:_MOST_RUNS]:
        tried = [
            (here, block)
            for block in _blocks(lines, run.end_ms - run.start_ms)
            if (here := fit(block, run.start_ms, run.end_ms)) is not None
        ]
        if not tried:
            continue
        homes = [home for _, block in tried if (home := at_home(block)) is not None]
        typical = float(np.median(homes)) if homes else None
        good = [
            (here, block)
            for here, block in tried
            if (home := at_home(block) if block.start_ms is not None else typical) is not None
            and here >= home - _AS_WELL_NATS
        ]
        if good:
            # of equally good ones the earlier: a chorus is named where it is first written
            _, best = max(good, key=lambda one: (one[0], -one[1].first))
            found.append(_flag(best, lines, run.start_ms, run.end_ms))
    return found


def _runs(lines: Sequence[TimedLine], activity: Activity) -> list[Span]:
    """Runs of singing without words: across breaths, or without where a word lies in one."""
    wide = uncovered(lines, activity, Thresholds(bridge_ms=_BREATH_MS))
    narrow = (
        run
        for run in uncovered(lines, activity, Thresholds())
        if not any(run.start_ms < other.end_ms and other.start_ms < run.end_ms for other in wide)
    )
    return sorted([*wide, *narrow], key=lambda run: run.start_ms)


def _blocks(lines: Sequence[Line], lasts_ms: int) -> Iterator[_Block]:
    """From each line on, as many as last about that long."""
    placed = [line for line in lines if line.start_ms is not None and line.end_ms is not None]
    took = [(line.end_ms or 0) - (line.start_ms or 0) for line in placed]
    words = sum(len(line.words) for line in placed)
    ms_a_word = sum(took) / words if words else 400.0
    for first, line in enumerate(lines):
        best: _Block | None = None
        length = 0.0
        start, end = line.start_ms, None
        for last in range(first, len(lines)):
            here = lines[last]
            if (here.start_ms is None) != (line.start_ms is None):
                break
            if here.start_ms is None or start is None:
                length += ms_a_word * len(here.words)
            else:
                end = here.end_ms
                length = (end or 0) - start
            if length > _LONGEST * lasts_ms:
                break
            if length >= _SHORTEST * lasts_ms:
                best = _Block(first, last, start, end)
        if best is not None:
            yield best


def _flag(block: _Block, lines: Sequence[Line], start_ms: int, end_ms: int) -> Flag:
    first, last = lines[block.first], lines[block.last]
    which = (
        f"line {block.first + 1}" if first is last else f"lines {block.first + 1}–{block.last + 1}"
    )
    said = f"{which} (“{first.text}”)"
    is_, its = ("is", "its") if first is last else ("are", "their")
    at = _clock(start_ms)
    if block.start_ms is not None:
        message = f"{said} {is_} sung again at {at}, and the lyrics don't have {which} there."
        return _of("repeat_missing", message, first, start_ms, end_ms)
    after = [
        n for n, line in enumerate(lines) if line.end_ms is not None and line.end_ms <= start_ms
    ]
    where = f"after line {after[-1] + 1}" if after else "before all other lines"
    message = (
        f"{said} could not be placed in {its} order and {is_} sung at {at}, {where}: "
        "move the text there."
    )
    return _of("order_differs", message, first, start_ms, end_ms)


def _of(code: str, message: str, line: Line, start_ms: int, end_ms: int) -> Flag:
    return Flag(
        code=code,
        message=message[0].upper() + message[1:],
        line_id=line.id,
        start_ms=start_ms,
        end_ms=end_ms,
    )


def _clock(ms: int) -> str:
    return f"{ms // 60_000}:{ms // 1000 % 60:02d}"


def _timed(content: Karaoke) -> list[TimedLine]:
    return [
        TimedLine(
            line.id,
            tuple(TimedWord(word.id, word.text, word.start_ms, word.end_ms) for word in line.words),
        )
        for line in content.lines
    ]
