"""A song as players show it: one cue a line, in the order of time, every word accounted for.

What all written formats share. A word that could not be placed is shown with the word before it
(with the one after it at the start of a line), a line that could not be placed with its singer's
line before it: it lights up with its neighbour, and no words are lost.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from schemas.documents.karaoke import Karaoke, Line


@dataclass(frozen=True, slots=True)
class About:
    """What a file says of its song besides the words."""

    title: str = ""
    artist: str = ""


@dataclass(frozen=True, slots=True)
class Piece:
    """What lights up together: mostly one word. ``sep`` follows it and is not sung."""

    text: str
    sep: str
    start_ms: int
    end_ms: int
    word_id: str


@dataclass(frozen=True, slots=True)
class Cue:
    """A line with its times; ``before`` and ``after`` are lines that could not be placed."""

    line_id: str
    singer: str
    start_ms: int
    end_ms: int
    pieces: tuple[Piece, ...]
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The line's own text."""
        return "".join(piece.text + piece.sep for piece in self.pieces)

    @property
    def rows(self) -> tuple[str, ...]:
        """Every row that is shown, from top to bottom."""
        return (*self.before, self.text, *self.after)


def cues(karaoke: Karaoke) -> list[Cue]:
    """The song's cues by their start; at one time in the order of the document.

    A song without a single time is one cue as long as the song.
    """
    made: list[Cue] = []
    waiting: list[str] = []
    for line in karaoke.lines:
        pieces = tuple(_pieces(line))
        if pieces and line.start_ms is not None and line.end_ms is not None:
            before, waiting = tuple(waiting), []
            made.append(Cue(line.id, line.singer, line.start_ms, line.end_ms, pieces, before))
        elif made:
            own = (at for at in reversed(range(len(made))) if made[at].singer == line.singer)
            at = next(own, len(made) - 1)
            made[at] = replace(made[at], after=(*made[at].after, one_row(line.text)))
        else:
            waiting.append(one_row(line.text))
    if waiting:
        first, *others = waiting
        whole = Piece(first, "", 0, max(1, karaoke.duration_ms), karaoke.lines[0].words[0].id)
        head = karaoke.lines[0]
        return [Cue(head.id, head.singer, 0, whole.end_ms, (whole,), after=tuple(others))]
    return sorted(made, key=lambda cue: cue.start_ms)


def _pieces(line: Line) -> Iterator[Piece]:
    lead, held = "", None
    for word in line.words:
        text, sep = one_row(word.text), one_row(word.sep)
        if word.start_ms is not None and word.end_ms is not None:
            if held is not None:
                yield held
            held = Piece(lead + text, sep, word.start_ms, word.end_ms, word.id)
            lead = ""
        elif held is not None:
            held = replace(held, text=held.text + held.sep + text, sep=sep)
        else:
            lead += text + sep
    if held is not None:
        yield held


def one_row(text: str) -> str:
    """The text without line breaks and control characters: those are a format's own."""
    return "".join(
        " " if char in "\u2028\u2029" or unicodedata.category(char) == "Cc" else char
        for char in text
        if not 0xD800 <= ord(char) <= 0xDFFF
    )


def right_to_left(text: str) -> bool:
    """Whether the first letter that has a direction is Hebrew, Arabic or their like."""
    return next(
        (kind in ("R", "AL") for kind in map(unicodedata.bidirectional, text) if kind in _STRONG),
        False,
    )


_STRONG = ("L", "R", "AL")


def label(text: str) -> str:
    """A title or name as one tidy row."""
    return " ".join(one_row(text).split())


def several_singers(found: Iterable[Cue]) -> list[str]:
    """Who sings, in order of entry."""
    return list(dict.fromkeys(cue.singer for cue in found))
