"""What an edit leaves alone: lines that keep the places of the alignment before it.

A line is untouched when its words, their ids and their locks are what they were. It keeps its
places when the lines before and after it are untouched too, and were its neighbours before: then
nothing that changed can tell more about it than was known. Around every change one line on each
side is aligned anew, within what the kept lines leave.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from processors.alignment.aligner import LyricWord, Placement, Source
from processors.alignment.document import to_align, unplaced_because
from schemas.documents.karaoke import Karaoke, Line, Word
from schemas.documents.lyrics import LyricsDocument, LyricsLine


def keeping(lyrics: LyricsDocument, before: Karaoke) -> list[list[LyricWord]]:
    """The lyrics as an aligner takes them, with the known places of lines that keep theirs."""
    old = {_words_of_karaoke(line): at for at, line in enumerate(before.lines)}
    was = [old.get(_words_of_lyrics(line)) for line in lyrics.lines]
    last = len(before.lines) - 1
    reasons = unplaced_because(before)
    rows: list[list[LyricWord]] = []
    for at, row in enumerate(to_align(lyrics)):
        own = was[at]
        kept = own is not None and _same_around(was, at, own, last)
        rows.append(_known(row, before.lines[own], reasons) if kept and own is not None else row)
    return rows


def _same_around(was: Sequence[int | None], at: int, own: int, last: int) -> bool:
    before_is = was[at - 1] == own - 1 if at else own == 0
    after_is = was[at + 1] == own + 1 if at + 1 < len(was) else own == last
    return before_is and after_is


def _known(row: Sequence[LyricWord], old: Line, reasons: Mapping[str, str]) -> list[LyricWord]:
    return [
        word if word.locked else replace(word, known=_place(known, reasons))
        for word, known in zip(row, old.words, strict=True)
    ]


def _place(word: Word, reasons: Mapping[str, str]) -> Placement:
    if word.start_ms is None:
        return Placement(None, None, 0.0, "aligned", reasons.get(word.id))
    src: Source = "interpolated" if word.src == "interpolated" else "aligned"
    return Placement(word.start_ms, word.end_ms, word.confidence, src)


_Key = tuple[tuple[str, str, int | None, int | None], ...]


def _words_of_lyrics(line: LyricsLine) -> _Key:
    return tuple(
        (word.id, word.text, word.start_ms, word.end_ms)
        if word.locked
        else (word.id, word.text, None, None)
        for word in line.words
    )


def _words_of_karaoke(line: Line) -> _Key:
    return tuple(
        (word.id, word.text, word.start_ms, word.end_ms)
        if word.locked
        else (word.id, word.text, None, None)
        for word in line.words
    )
