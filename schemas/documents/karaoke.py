"""``karaoke/1``: every word of a song with its times, who sings it and how sure we are.

``Karaoke`` is the content that alignment makes and quality judges, free of track and version, so
that equal songs share results; ``KaraokeDocument`` is what publishing stamps and clients read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Literal, Self

from pydantic import Field, model_validator

from schemas.documents.lyrics import (
    DEFAULT_SINGER,
    Document,
    LyricsDocument,
    LyricsLine,
    LyricsWord,
    Milliseconds,
    Singer,
)

WordSource = Literal["aligned", "interpolated", "manual", "asr"]

GAP_MS = 5_000
"""A stretch without words this long is a break that a player counts in from: about two bars at
100 BPM, longer than any breath between lines."""


class Word(Document):
    """A word. Without times it could not be placed, and a flag in ``qc`` says why."""

    id: str
    text: str = Field(min_length=1)
    sep: str = ""
    start_ms: Milliseconds | None = None
    end_ms: Milliseconds | None = None
    confidence: float = Field(default=0.0, ge=0.0, le=1.0)
    src: WordSource = "aligned"
    locked: bool = False
    syllables: tuple[str, ...] | None = None


class Line(Document):
    """A line of one singer; null times when none of its words could be placed."""

    id: str
    start_ms: Milliseconds | None = None
    end_ms: Milliseconds | None = None
    singer: str = DEFAULT_SINGER
    text: str
    words: tuple[Word, ...] = Field(min_length=1)

    @classmethod
    def of(cls, id_: str, singer: str, words: Iterable[Word]) -> Line:
        """A line around these words: text and times follow from them."""
        words = tuple(words)
        starts = [word.start_ms for word in words if word.start_ms is not None]
        ends = [word.end_ms for word in words if word.end_ms is not None]
        return cls(
            id=id_,
            start_ms=min(starts, default=None),
            end_ms=max(ends, default=None),
            singer=singer,
            text="".join(word.text + word.sep for word in words),
            words=words,
        )


class Gap(Document):
    """A stretch of the song without words."""

    start_ms: Milliseconds
    end_ms: Milliseconds


class Made(Document):
    """Which backend made a part of the document."""

    backend: str
    model: str = ""
    hash: str = ""


class Source(Document):
    """How the document came to be."""

    separation: Made | None = None
    transcription: Made | None = None
    alignment: Made | None = None


Severity = Literal["info", "warning", "error"]
"""``error``: the version is not fit to be sung before somebody has looked at it."""


class Flag(Document):
    """Something that a person should look at, in words and in place."""

    code: str
    message: str
    severity: Severity = "warning"
    line_id: str | None = None
    word_id: str | None = None
    start_ms: Milliseconds | None = None
    end_ms: Milliseconds | None = None


class Measures(Document):
    """What was measured of the whole song; null where it could not be."""

    coverage: float | None = Field(
        default=None, ge=0.0, le=1.0, description="Share of the sung energy that words cover."
    )
    lyrics_margin: float | None = Field(
        default=None,
        description="By how much lines sound more like their words than like other texts, in nats"
        " a frame: 0 where any text would do.",
    )
    late_ms: int | None = Field(
        default=None, description="By how much all words seem late; early is negative."
    )
    bleed_db: float | None = Field(
        default=None, description="The voice left in the minus against the voice taken out, dB."
    )


class Quality(Document):
    """What the audio says about the alignment."""

    score: float | None = Field(default=None, ge=0.0, le=1.0)
    flags: tuple[Flag, ...] = ()
    measures: Measures | None = None
    needs_review: bool = Field(
        default=False, description="Below the bar: a person should look before anyone sings it."
    )
    reviewed: bool = Field(default=False, description="A person published it as it is.")
    reasons: tuple[str, ...] = Field(
        default=(), description="Why it is below the bar, in sentences; empty when it is not."
    )


class Karaoke(Document):
    """The content: validated against every promise that a player relies on."""

    language: str = ""
    duration_ms: Milliseconds
    singers: tuple[Singer, ...]
    lines: tuple[Line, ...]
    gaps: tuple[Gap, ...] = ()
    source: Source = Source()
    qc: Quality = Quality()

    @model_validator(mode="after")
    def _keeps_its_promises(self) -> Self:
        known = {singer.id for singer in self.singers}
        word_ids = [word.id for word in self.words()]
        if len(set(word_ids)) != len(word_ids):
            raise ValueError("a word id occurs twice")
        for line in self.lines:
            if line.singer not in known:
                raise ValueError(f"line {line.id} names the unknown singer {line.singer}")
            if line.text != "".join(word.text + word.sep for word in line.words):
                raise ValueError(f"the words of line {line.id} do not rebuild its text")
            self._check_times(line)
        for singer in known:
            self._check_order(singer)
        explained = {flag.word_id for flag in self.qc.flags}
        for word in self.words():
            if word.start_ms is None and word.id not in explained:
                raise ValueError(f"word {word.id} has no times and no flag says why")
        return self

    def words(self) -> Iterator[Word]:
        """Every word, line by line."""
        return (word for line in self.lines for word in line.words)

    def _check_times(self, line: Line) -> None:
        for word in line.words:
            if (word.start_ms is None) != (word.end_ms is None):
                raise ValueError(f"word {word.id} has one time without the other")
            if word.start_ms is None or word.end_ms is None:
                continue
            if line.start_ms is None or line.end_ms is None:
                raise ValueError(f"word {word.id} has times but its line {line.id} has none")
            inside = line.start_ms <= word.start_ms < word.end_ms <= line.end_ms
            if not inside or word.end_ms > self.duration_ms:
                raise ValueError(f"word {word.id} does not lie inside its line and the song")

    def _check_order(self, singer: str) -> None:
        placed = [
            word
            for line in self.lines
            if line.singer == singer
            for word in line.words
            if word.start_ms is not None
        ]
        for before, after in pairwise(placed):
            assert before.end_ms is not None
            assert after.start_ms is not None
            if after.start_ms < before.end_ms:
                raise ValueError(f"word {after.id} starts before word {before.id} has ended")

    def lyrics(self) -> LyricsDocument:
        """The lyrics of this karaoke, with its ids, times and locks: what an edit starts from."""
        return LyricsDocument(
            language=self.language,
            origin="edited",
            singers=self.singers,
            lines=tuple(
                LyricsLine(
                    id=line.id,
                    singer=line.singer,
                    words=tuple(
                        LyricsWord(
                            id=word.id,
                            text=word.text,
                            sep=word.sep,
                            start_ms=word.start_ms,
                            end_ms=word.end_ms,
                            locked=word.locked,
                        )
                        for word in line.words
                    ),
                )
                for line in self.lines
            ),
        )


class KaraokeDocument(Karaoke):
    """A published version: the content and which version of which track it is."""

    schema_: Literal["karaoke/1"] = Field(default="karaoke/1", alias="schema")
    track_id: str
    version: int = Field(ge=1)
    parent: int | None = Field(default=None, ge=1)

    @classmethod
    def stamp(
        cls, content: Karaoke, *, track_id: str, version: int, parent: int | None
    ) -> KaraokeDocument:
        """The content as version ``version`` of a track."""
        fields = {name: getattr(content, name) for name in Karaoke.model_fields}
        return cls(**fields, track_id=track_id, version=version, parent=parent)


def find_gaps(lines: Iterable[Line], duration_ms: int) -> tuple[Gap, ...]:
    """The stretches of at least `GAP_MS` in which nobody sings a word."""
    sung = sorted(
        (word.start_ms, word.end_ms)
        for line in lines
        for word in line.words
        if word.start_ms is not None and word.end_ms is not None
    )
    gaps: list[Gap] = []
    reached = 0
    for start, end in (*sung, (duration_ms, duration_ms)):
        if start - reached >= GAP_MS:
            gaps.append(Gap(start_ms=reached, end_ms=start))
        reached = max(reached, end)
    return tuple(gaps)
