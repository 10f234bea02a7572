"""What readers of formats have in common: timed text in, a lyrics document out.

Times that a format gives to words were set by a person, so they can be locked; a format that only
says when a line starts gives hints, spread over the line's letters.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from schemas.documents.formats.cues import one_row
from schemas.documents.lyrics import (
    MAX_WORDS,
    LyricsDocument,
    LyricsLine,
    LyricsWord,
    TooManyWords,
)
from schemas.documents.text import TextLine, split_line, split_lyrics

MAX_MS = 4 * 60 * 60 * 1000
"""Eight times the longest song that is taken: a time beyond it is a mistake in the file."""

MAX_PIECES = 100_000
"""Syllables of one file: five for each word of the longest lyrics that are taken."""


class UnreadableLyrics(ValueError):
    """The file is not what it claims to be; the message says where and what to do."""

    code = "lyrics_unreadable"


@dataclass(frozen=True, slots=True)
class Sung:
    """A piece of text, the white space behind it included, and when it is sung."""

    text: str
    start_ms: int | None = None
    end_ms: int | None = None


@dataclass(frozen=True, slots=True)
class TimedLine:
    """A line in pieces; ``singer`` is a name, None when the file names nobody."""

    pieces: tuple[Sung, ...]
    singer: str | None = None


@dataclass(frozen=True, slots=True)
class TimedLyrics:
    """A file as it was read.

    ``word_times`` is False when the times are those of lines, and of words only by guessing.
    """

    lines: tuple[TimedLine, ...]
    word_times: bool
    language: str = ""
    title: str = ""
    artist: str = ""

    def document(self, *, language: str = "", locked: bool) -> LyricsDocument:
        """New lyrics with these times. Raises `NothingSung` and `TooManyWords`."""
        words = self._words()
        made = LyricsDocument.from_lines(
            [line for line, _ in words], language=language or _language(self.language)
        )
        return _with_times(made, words, locked=locked)

    def into(self, lyrics: LyricsDocument, *, locked: bool) -> LyricsDocument:
        """Lyrics that say this from now on: what stays keeps its ids, and takes these times.

        Raises `NothingSung` and `TooManyWords`.
        """
        words = self._words()
        return _with_times(lyrics.with_lines([line for line, _ in words]), words, locked=locked)

    def _words(self) -> list[tuple[TextLine, list[Span]]]:
        if sum(len(line.pieces) for line in self.lines) > MAX_PIECES:
            raise UnreadableLyrics(f"the file holds more than {MAX_PIECES} timed pieces of text")
        found: list[tuple[TextLine, list[Span]]] = []
        count = 0
        for line in self.lines:
            cut = _cut(line)
            if cut is not None:
                found.append(cut)
                count += len(cut[1])
            if count > MAX_WORDS:  # before the rest of a huge file is cut, too
                raise TooManyWords(f"the lyrics hold more than the {MAX_WORDS} words of any song")
        _keep_order(found)
        return found


Span = tuple[int, int] | None

_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*")  # BCP 47 as far as its shape goes


def _language(tag: str) -> str:
    return tag if _LANGUAGE.fullmatch(tag) else ""


def _with_times(
    lyrics: LyricsDocument, timed: Sequence[tuple[TextLine, list[Span]]], *, locked: bool
) -> LyricsDocument:
    lines: list[LyricsLine] = []
    for line, (_, spans) in zip(lyrics.lines, timed, strict=True):
        words = (_timed(word, span, locked) for word, span in zip(line.words, spans, strict=True))
        lines.append(line.model_copy(update={"words": tuple(words)}))
    return lyrics.model_copy(update={"lines": tuple(lines)})


def _timed(word: LyricsWord, span: Span, locked: bool) -> LyricsWord:
    start, end = span if span is not None else (None, None)
    update = {"start_ms": start, "end_ms": end, "locked": locked and span is not None}
    return word.model_copy(update=update)


def _cut(line: TimedLine) -> tuple[TextLine, list[Span]] | None:
    """The line's words with their times; None for what is not sung, like ``[Chorus]``."""
    pieces = [
        replace(one, text=one_row(unicodedata.normalize("NFC", one.text))) for one in line.pieces
    ]
    whole = "".join(piece.text for piece in pieces)
    text = whole.strip("\ufeff \t\u00a0\u200b").strip()
    if not text or not split_lyrics(text):
        return None
    words = split_line(text)
    ruler = _Ruler(pieces)
    at = whole.index(text)
    spans: list[Span] = []
    for word, sep in words:
        spans.append(ruler.span(at, at + len(word)))
        at += len(word) + len(sep)
    return TextLine(tuple(words), line.singer), spans


class _Ruler:
    """Characters of a line to times: each piece's time is spread evenly over its letters."""

    def __init__(self, pieces: Iterable[Sung]) -> None:
        self._pieces: list[tuple[int, int, int, int]] = []  # first, stop, start_ms, end_ms
        reached = 0
        for piece in pieces:
            lead = len(piece.text) - len(piece.text.lstrip())
            stop = reached + len(piece.text.rstrip())
            if piece.start_ms is not None and piece.end_ms is not None and stop > reached + lead:
                self._pieces.append((reached + lead, stop, piece.start_ms, piece.end_ms))
            reached += len(piece.text)

    def span(self, first: int, stop: int) -> Span:
        """When the characters ``[first, stop)`` are sung."""
        low = bisect_right(self._pieces, first, key=lambda piece: piece[1])  # ends behind first
        high = bisect_left(self._pieces, stop, key=lambda piece: piece[0])  # begins before stop
        if low >= high:
            return None
        start, end = self._at(self._pieces[low], first), self._at(self._pieces[high - 1], stop)
        return (start, end) if end > start else (start, start + 1)

    @staticmethod
    def _at(piece: tuple[int, int, int, int], place: int) -> int:
        first, stop, start, end = piece
        share = (min(max(place, first), stop) - first) / (stop - first)
        return round(start + (end - start) * share)


def _keep_order(timed: list[tuple[TextLine, list[Span]]]) -> None:
    """A singer's words never overlap: an end gives way to the next start.

    A word that starts before the one before it loses its times; alignment finds it.
    """
    last: dict[str | None, tuple[list[Span], int]] = {}
    for line, spans in timed:
        for index, span in enumerate(spans):
            if span is None:
                continue
            start, end = span
            before = last.get(line.singer)
            if before is not None:
                held, at = before
                known = held[at]
                assert known is not None
                if start <= known[0]:
                    spans[index] = None
                    continue
                held[at] = known[0], min(known[1], start)
            if end > MAX_MS:
                raise UnreadableLyrics(
                    f"a word is sung {end // 60_000} minutes into the song: check the file's times"
                )
            last[line.singer] = spans, index
