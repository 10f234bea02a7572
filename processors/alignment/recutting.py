"""Lyrics pasted without line breaks: cut into lines where the singing pauses.

An aligner needs lines: between them anything may sound, inside them only pauses; and a player has
to show them. Text in one piece is first placed word by word, each free to lie anywhere behind the
one before; then it is cut where the longest pauses are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from processors.alignment.aligner import Placement
from schemas.documents.karaoke import Flag
from schemas.documents.lyrics import LyricsDocument, LyricsLine, LyricsWord

LONGEST = 20
"""Words of a line that is taken as it is; the longest lines of songs have about 14."""
_FULL = 10
"""Words above which a line is cut at its longest pause, however short that is."""
_FEWEST = 3
_PAUSE_MS = 700
"""A pause that ends a line: longer than breaths within one, a beat at 86 BPM."""
_MARK_MS = 250
"""What a mark at the end of a word counts for, as if it were so much pause."""
_MARKS = tuple(".,;:!?…—")


def is_run_on(lyrics: LyricsDocument) -> bool:
    """Whether a line is longer than anybody sings one."""
    return any(len(line.words) > LONGEST for line in lyrics.lines)


def by_words(lyrics: LyricsDocument) -> LyricsDocument:
    """Cut before anything is known: a line a word.

    12 songs in capitals without breaks, by the light backend: on true vocals it found all their
    line ends, no word was off by 0.6 s; pieces of seven words left single words on the wrong side
    of a break, up to 15 s off. On separated vocals two to five words beside a break still were, in
    3 of the 12.
    """
    return _recut(lyrics, {line.id: range(1, len(line.words)) for line in lyrics.lines})


def at_pauses(
    lyrics: LyricsDocument, places: Sequence[Sequence[Placement]], pieces: LyricsDocument
) -> LyricsDocument:
    """Cut where the singing pauses. ``places`` are those of ``pieces``, which `by_words` made."""
    place = {
        word.id: spot
        for line, row in zip(pieces.lines, places, strict=True)
        for word, spot in zip(line.words, row, strict=True)
    }
    return _recut(lyrics, {line.id: list(_cuts(line.words, place)) for line in lyrics.lines})


def told() -> Flag:
    """What a reader of the karaoke should know of it."""
    return Flag(
        code="lines_cut",
        message="The lyrics came without line breaks; they were cut where the singing pauses.",
        severity="info",
    )


def _recut(lyrics: LyricsDocument, cuts: Mapping[str, Sequence[int]]) -> LyricsDocument:
    """Long lines cut before these words; a first piece keeps the line's id."""
    numbers = [int(line.id[1:]) for line in lyrics.lines if line.id[1:].isdigit()]
    last = max(numbers, default=0)
    lines: list[LyricsLine] = []
    for line in lyrics.lines:
        if len(line.words) <= LONGEST:
            lines.append(line)
            continue
        edges = [0, *cuts[line.id], len(line.words)]
        for at, (first, end) in enumerate(pairwise(edges)):
            last += at > 0
            words = list(line.words[first:end])
            words[-1] = words[-1].model_copy(update={"sep": ""})
            lines.append(
                line.model_copy(update={"id": f"l{last}" if at else line.id, "words": tuple(words)})
            )
    return lyrics.model_copy(update={"lines": tuple(lines)})


def _cuts(words: Sequence[LyricsWord], place: Mapping[str, Placement]) -> Iterator[int]:
    """Before which words a line ends, in order."""
    pauses = [0, *(_pause(a, b, place) for a, b in pairwise(words))]

    def split(first: int, end: int) -> Iterator[int]:
        inner = range(first + _FEWEST, end - _FEWEST + 1)
        if not inner:
            return
        # Of equal pauses the one nearest to the middle.
        best = max(inner, key=lambda at: (pauses[at], -abs(2 * at - first - end)))
        if end - first > _FULL or pauses[best] >= _PAUSE_MS:
            yield from split(first, best)
            yield best
            yield from split(best, end)

    yield from split(0, len(words))


def _pause(before: LyricsWord, after: LyricsWord, place: Mapping[str, Placement]) -> int:
    one, other = place[before.id], place[after.id]
    pause = 0
    if one.end_ms is not None and other.start_ms is not None:
        pause = max(0, other.start_ms - one.end_ms)
    return pause + (_MARK_MS if _ends(before) else 0)


def _ends(word: LyricsWord) -> bool:
    return (word.text + word.sep.rstrip()).endswith(_MARKS)
