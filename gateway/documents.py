"""Lyrics and karaoke documents: stored before an event names them, read for clients."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import Literal

from gateway.guard.problems import Code, Problem
from schemas.documents.changes import Changes
from schemas.documents.formats import READ, TimedLyrics, UnreadableLyrics, guess
from schemas.documents.karaoke import KaraokeDocument
from schemas.documents.lyrics import LyricsDocument, NothingSung, TooManyWords
from schemas.documents.pitch import Pitch
from schemas.events import Artifact
from topics.artifacts.protocol import ArtifactStore

MEDIA_TYPE = "application/json"

_CHARACTERS_A_WORD = 40
"""Marks and spaces included; the longest words that are sung are shorter."""

_CHARACTERS_A_TIMED_WORD = 200
"""A TTML span with an id and two times has about 100, an enhanced LRC word 20."""

_GUESSED_BY = 20_000
"""Characters that tell what a text is written in; a header of tags is shorter."""

_KEPT = 64
"""Published documents kept in memory: a few hundred kB each at most."""


class Documents:
    """Documents by reference. What lies behind a reference never changes, so it may be kept."""

    def __init__(self, artifacts: ArtifactStore) -> None:
        self._artifacts = artifacts
        self._lock = threading.Lock()
        self._karaoke: OrderedDict[str, KaraokeDocument] = OrderedDict()

    def keep_lyrics(self, tenant: str, lyrics: LyricsDocument) -> Artifact:
        """Store a lyrics document; equal documents of a tenant share an object."""
        data = lyrics.to_json()
        digest = hashlib.sha256(data).hexdigest()
        key = f"lyrics/{tenant}/{digest}.json"
        self._artifacts.put_if_absent(key, data, MEDIA_TYPE)
        return Artifact(
            name="lyrics",
            uri=self._artifacts.uri(key),
            sha256=digest,
            bytes=len(data),
            media_type=MEDIA_TYPE,
        )

    def lyrics(self, reference: Artifact) -> LyricsDocument:
        """Read a lyrics document. Raises `ArtifactError`."""
        return LyricsDocument.from_json(self._artifacts.read(reference.uri))

    def karaoke(self, reference: Artifact) -> KaraokeDocument:
        """Read a published karaoke document. Raises `ArtifactError`."""
        with self._lock:
            kept = self._karaoke.get(reference.uri)
            if kept is not None:
                self._karaoke.move_to_end(reference.uri)
                return kept
        document = KaraokeDocument.from_json(self._artifacts.read(reference.uri))
        with self._lock:
            self._karaoke[reference.uri] = document
            while len(self._karaoke) > _KEPT:
                self._karaoke.popitem(last=False)
        return document

    def changes(self, reference: Artifact) -> Changes:
        """Read what a version changed. Raises `ArtifactError`."""
        return Changes.from_json(self._artifacts.read(reference.uri))

    def pitch(self, reference: Artifact) -> Pitch:
        """Read the notes of a version's words. Raises `ArtifactError`."""
        return Pitch.from_json(self._artifacts.read(reference.uri))


@dataclass(frozen=True, slots=True)
class GivenLyrics:
    """Lyrics as a client sends them.

    ``format_``: auto, text or a format with times; ``times``: whether those bind the alignment
    (locked) or not (soft). auto locks times of words and not those that lines only have.
    """

    text: str
    format_: str = "auto"
    times: Literal["auto", "soft", "locked"] = "auto"

    def timed(self, max_words: int) -> TimedLyrics | None:
        """The lyrics with their times; None when they are plain text. Raises 422."""
        name = guess(self.text[:_GUESSED_BY]) if self.format_ == "auto" else self.format_
        check_characters(self.text, max_words, timed=name != "text")
        if name == "text":
            return None
        try:
            return READ[name](self.text)
        except UnreadableLyrics as refused:
            raise refused_lyrics(refused) from None

    def locks(self, timed: TimedLyrics) -> bool:
        """Whether words of ``timed`` keep their times in alignment."""
        return timed.word_times if self.times == "auto" else self.times == "locked"


def lyrics_from(given: GivenLyrics, *, language: str, max_words: int) -> LyricsDocument:
    """Given lyrics as a document. Raises 422."""
    timed = given.timed(max_words)
    try:
        if timed is None:
            document = LyricsDocument.from_text(given.text, language=language)
        else:
            document = timed.document(language=language, locked=given.locks(timed))
    except (NothingSung, TooManyWords, UnreadableLyrics) as refused:
        raise refused_lyrics(refused) from None
    check_length(document, max_words)
    return document


def lyrics_into(given: GivenLyrics, lyrics: LyricsDocument, max_words: int) -> LyricsDocument:
    """``lyrics`` that say what is given from now on, ids kept. Raises 422."""
    timed = given.timed(max_words)
    try:
        if timed is None:
            return lyrics.with_text(given.text)
        return timed.into(lyrics, locked=given.locks(timed))
    except (NothingSung, TooManyWords, UnreadableLyrics) as refused:
        raise refused_lyrics(refused) from None


def check_characters(text: str, max_words: int, *, timed: bool = False) -> None:
    """Raise 422 for a text so long that it need not be cut into words to see that it is no song's.

    Cutting and comparing cost time that grows with the text; this bounds it.
    """
    most = max_words * (_CHARACTERS_A_TIMED_WORD if timed else _CHARACTERS_A_WORD)
    if len(text) > most:
        raise _lyrics_problem(
            Code.LYRICS_TOO_LONG,
            f"The lyrics have {len(text)} characters; up to {most} are taken.",
        )


def check_length(document: LyricsDocument, max_words: int) -> None:
    """Raise 422 for more words than any song has."""
    words = sum(1 for _ in document.words())
    if words > max_words:
        raise _lyrics_problem(
            Code.LYRICS_TOO_LONG, f"The lyrics have {words} words; up to {max_words} are taken."
        )


def refused_lyrics(refused: NothingSung | TooManyWords | UnreadableLyrics) -> Problem:
    """What a client reads of lyrics that cannot be sung."""
    match refused:
        case NothingSung():
            code = Code.LYRICS_WITHOUT_WORDS
        case TooManyWords():
            code = Code.LYRICS_TOO_LONG
        case _:
            code = Code.LYRICS_UNREADABLE
    text = str(refused)
    return _lyrics_problem(code, f"{text[:1].upper()}{text[1:]}.")


def _lyrics_problem(code: Code, detail: str) -> Problem:
    return Problem(code, detail, errors=[{"pointer": "#/lyrics", "message": code.title.lower()}])
