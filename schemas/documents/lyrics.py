"""``lyrics/1``: the words to be sung, before anyone knows when.

Made from the client's text, from transcription, or by editing; read by alignment. Ids are given
once and survive edits, so that a person's changes, an editor's selection and the next version
mean the same word. Where the text says that something is sung again ("(2x)", a bare "[Chorus]"),
each singing has lines and words of its own, with ids of their own (`repeats`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from difflib import SequenceMatcher
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

from schemas.documents.text import MAX_WORDS, TextLine, is_sung, split_line, split_lyrics

DEFAULT_SINGER = "s1"
Milliseconds = Annotated[int, Field(ge=0)]


class Document(BaseModel):
    """A JSON document of the product: camelCase on the wire, closed, finite numbers only."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        extra="forbid",
        frozen=True,
        allow_inf_nan=False,
        serialize_by_alias=True,
    )

    def to_json(self) -> bytes:
        """Canonical bytes: equal documents, equal bytes."""
        return self.model_dump_json(by_alias=True, exclude_none=False).encode()

    @classmethod
    def from_json(cls, data: bytes) -> Self:
        """Read and validate. Raises `pydantic.ValidationError`."""
        return cls.model_validate_json(data)


class Singer(Document):
    """Somebody who sings."""

    id: str
    name: str


class LyricsWord(Document):
    """A word as it is shown, what separates it from the next, and its times when they are fixed."""

    id: str
    text: str = Field(min_length=1)
    sep: str = " "
    start_ms: Milliseconds | None = None
    end_ms: Milliseconds | None = None
    confidence: float | None = Field(
        default=None,
        ge=0.0,
        le=1.0,
        description="How sure the recognizer was of a word that it wrote down.",
    )
    locked: bool = Field(
        default=False, description="A person set the times: alignment does not move the word."
    )

    @model_validator(mode="after")
    def _times_make_sense(self) -> Self:
        if (self.start_ms is None) != (self.end_ms is None):
            raise ValueError(f"word {self.id} has one time without the other; give both")
        if self.start_ms is not None and self.end_ms is not None and self.end_ms <= self.start_ms:
            raise ValueError(f"word {self.id} ends before it starts")
        if self.locked and self.start_ms is None:
            raise ValueError(f"word {self.id} is locked without times")
        return self


class LyricsLine(Document):
    """A line and its singer."""

    id: str
    singer: str = DEFAULT_SINGER
    words: tuple[LyricsWord, ...] = Field(min_length=1)

    @property
    def text(self) -> str:
        """The line as it is shown."""
        return "".join(word.text + word.sep for word in self.words)


class Remark(Document):
    """Something that a person who reads the lyrics should know, in words."""

    code: str
    message: str


class LyricsDocument(Document):
    """The lyrics of one version of a track."""

    schema_: Literal["lyrics/1"] = Field(default="lyrics/1", alias="schema")
    language: str = ""
    origin: Literal["given", "transcribed", "edited"] = "given"
    singers: tuple[Singer, ...] = (Singer(id=DEFAULT_SINGER, name=""),)
    lines: tuple[LyricsLine, ...]
    remarks: tuple[Remark, ...] = Field(
        default=(), description="What transcription has to say about its own text."
    )

    @model_validator(mode="after")
    def _ids_are_unique_and_known(self) -> Self:
        for ids in ([line.id for line in self.lines], [word.id for word in self.words()]):
            if len(set(ids)) != len(ids):
                raise ValueError("an id occurs twice in the lyrics")
        known = {singer.id for singer in self.singers}
        for line in self.lines:
            if line.singer not in known:
                raise ValueError(f"line {line.id} names the unknown singer {line.singer}")
        return self

    @classmethod
    def from_text(
        cls,
        text: str,
        *,
        language: str = "",
        origin: Literal["given", "transcribed", "edited"] = "given",
    ) -> LyricsDocument:
        """Cut pasted lyrics into lines and words. Raises `NothingSung` and `TooManyWords`."""
        return cls.from_lines(split_lyrics(text), language=language, origin=origin)

    @classmethod
    def from_lines(
        cls,
        lines: Sequence[TextLine],
        *,
        language: str = "",
        origin: Literal["given", "transcribed", "edited"] = "given",
    ) -> LyricsDocument:
        """Lyrics of lines that are cut already. Raises `NothingSung` and `TooManyWords`."""
        _check_sung(lines)
        singers, singer_of = _singers(lines, ())
        ids = _Ids((), ())
        return cls(
            language=language,
            origin=origin,
            singers=singers,
            lines=tuple(
                LyricsLine(
                    id=ids.line(),
                    singer=singer_of[line.singer],
                    words=tuple(
                        LyricsWord(id=ids.word(), text=word, sep=sep) for word, sep in line.words
                    ),
                )
                for line in lines
            ),
        )

    def words(self) -> Iterator[LyricsWord]:
        """Every word in order."""
        return (word for line in self.lines for word in line.words)

    @property
    def text(self) -> str:
        """The lyrics as they are shown, a line each."""
        return "\n".join(line.text for line in self.lines)

    def with_text(self, text: str) -> LyricsDocument:
        """The same document saying ``text``: what stays keeps its ids, times, locks and singer.

        Raises `NothingSung` and `TooManyWords`.
        """
        return self.with_lines(split_lyrics(text))

    def with_lines(self, new_lines: Sequence[TextLine]) -> LyricsDocument:
        """`with_text` for lines that are cut already: one line each, in their order."""
        _check_sung(new_lines)
        named = any(line.singer is not None for line in new_lines)
        singers, singer_of = _singers(new_lines, self.singers) if named else (self.singers, {})
        ids = _Ids((line.id for line in self.lines), (word.id for word in self.words()))
        lines: list[LyricsLine] = []
        for old, new, words in _continued(self.lines, new_lines, ids):
            singer = singer_of[new.singer] if named else (old or self.lines[0]).singer
            lines.append(LyricsLine(id=old.id if old else ids.line(), singer=singer, words=words))
        return self.model_copy(
            update={
                "lines": tuple(lines),
                "singers": singers,
                "origin": "edited",
                "remarks": (),
            }
        )


class NothingSung(ValueError):
    """The lyrics hold no letter or digit, so there is nothing to align."""

    code = "lyrics_without_words"


class TooManyWords(ValueError):
    """The lyrics are longer than any song."""

    code = "lyrics_too_long"


def _check_sung(lines: Sequence[TextLine]) -> None:
    """Raise `NothingSung` and `TooManyWords` for what is not fit to be lyrics."""
    if not any(is_sung(word) for line in lines for word, _ in line.words):
        raise NothingSung(
            "the lyrics hold no word that could be sung (only marks or emoji); paste the words,"
            " or leave the lyrics out to have the song transcribed"
        )
    count = sum(len(line.words) for line in lines)
    if count > MAX_WORDS:
        raise TooManyWords(f"the lyrics hold {count} words, more than the {MAX_WORDS} of any song")


class _Ids:
    """Gives out ids that were never used: counting on from the greatest of each kind."""

    def __init__(self, lines: Iterable[str], words: Iterable[str]) -> None:
        self._line = max((int(id_[1:]) for id_ in lines if id_[1:].isdigit()), default=0)
        self._word = max((int(id_[1:]) for id_ in words if id_[1:].isdigit()), default=0)

    def line(self) -> str:
        self._line += 1
        return f"l{self._line}"

    def word(self) -> str:
        self._word += 1
        return f"w{self._word}"


def _singers(
    lines: Iterable[TextLine], known: tuple[Singer, ...]
) -> tuple[tuple[Singer, ...], dict[str | None, str]]:
    """The singers that lines name, in order of entry, and the id of each name."""
    id_of = {singer.name: singer.id for singer in known if singer.name}
    for line in lines:
        name = line.singer or ""
        if name not in id_of:
            id_of[name] = f"s{len(id_of) + 1}"
    ids: dict[str | None, str] = {name or None: id_ for name, id_ in id_of.items()}
    return tuple(Singer(id=id_, name=name) for name, id_ in id_of.items()), ids


_Continued = tuple[LyricsLine | None, TextLine, tuple[LyricsWord, ...]]


def _continued(
    old: Sequence[LyricsLine], new: Sequence[TextLine], ids: _Ids
) -> Iterator[_Continued]:
    """Each new line with the old one it continues and its words.

    Equal lines first. Between them, as many lines as before continue one another in place; where
    lines were split, merged or added, words are followed across line ends.
    """
    stretches = _stretches(
        [line.text.casefold() for line in old],
        ["".join(word + sep for word, sep in line.words).casefold() for line in new],
    )
    for a0, a1, b0, b1 in stretches:
        before, after = old[a0:a1], new[b0:b1]
        count = sum(len(line.words) for line in before) * sum(len(line.words) for line in after)
        if len(before) == len(after) or not before or count > _MAX_COMPARED:
            for index, line in enumerate(after):
                kept = before[index] if index < len(before) else None
                yield kept, line, _carried(kept.words if kept else (), line.words, ids)
        else:
            yield from _recut(before, after, ids)


def _stretches(old: Sequence[str], new: Sequence[str]) -> Iterator[tuple[int, int, int, int]]:
    """Stretches ``old[a0:a1]`` that became ``new[b0:b1]``; equal ones have equal lengths.

    What both begin and end with is equal before anything else is compared: in "la la la" the word
    that was changed is the one at that place, which a search for the longest run would not say.
    """
    shortest = min(len(old), len(new))
    head = next((at for at in range(shortest) if old[at] != new[at]), shortest)
    rest = shortest - head
    tail = next((at for at in range(rest) if old[-1 - at] != new[-1 - at]), rest)
    yield 0, head, 0, head
    inner_old, inner_new = old[head : len(old) - tail], new[head : len(new) - tail]
    size = len(inner_old) * len(inner_new)
    if size > _MAX_SEARCHED or (size > _MAX_COMPARED and len(inner_new) < _LANDMARKS_FROM):
        yield head, len(old) - tail, head, len(new) - tail
    else:
        matcher = SequenceMatcher(a=inner_old, b=inner_new, autojunk=size > _MAX_COMPARED)
        for _, a0, a1, b0, b1 in matcher.get_opcodes():
            yield head + a0, head + a1, head + b0, head + b1
    yield len(old) - tail, len(old), len(new) - tail, len(new)


_MAX_COMPARED = 40_000
"""Old times new words (or lines) that are compared each with each: 200 by 200. Where one word fills
both, the time grows with the third power: 0.5 s at 200, 6 s at 500."""

_MAX_SEARCHED = 1_000_000
"""Beyond it what changed is taken as new between what stayed at both ends; up to it words that
fill a hundredth of the text and more are no landmarks."""

_LANDMARKS_FROM = 200  # new words; `SequenceMatcher` passes over frequent ones only from there on


def _recut(old: Sequence[LyricsLine], new: Sequence[TextLine], ids: _Ids) -> Iterator[_Continued]:
    """Lines cut anew: each continues the old line that most of its words come from."""
    words = _carried(
        tuple(word for line in old for word in line.words),
        tuple(word for line in new for word in line.words),
        ids,
    )
    home = {word.id: at for at, line in enumerate(old) for word in line.words}
    taken: set[int] = set()
    first = 0
    for line in new:
        own = words[first : first + len(line.words)]
        first += len(line.words)
        votes = Counter(home[word.id] for word in own if word.id in home)
        best = next((at for at, _ in votes.most_common() if at not in taken), None)
        if best is not None:
            taken.add(best)
        yield (None if best is None else old[best]), line, own


def _carried(
    old: tuple[LyricsWord, ...], new: tuple[tuple[str, str], ...], ids: _Ids
) -> tuple[LyricsWord, ...]:
    """New words under old ids where the word stayed or was only respelled in place."""
    words: list[LyricsWord] = []
    stretches = _stretches(
        [word.text.casefold() for word in old], [word.casefold() for word, _ in new]
    )
    for a0, a1, b0, b1 in stretches:
        same_place = a1 - a0 == b1 - b0
        for index, (text, sep) in enumerate(new[b0:b1]):
            if same_place:
                kept = old[a0 + index]
                heard = kept.confidence if kept.text == text else None  # a person wrote it since
                words.append(
                    kept.model_copy(update={"text": text, "sep": sep, "confidence": heard})
                )
            else:
                words.append(LyricsWord(id=ids.word(), text=text, sep=sep))
    return tuple(words)


__all__ = [
    "DEFAULT_SINGER",
    "MAX_WORDS",
    "Document",
    "LyricsDocument",
    "LyricsLine",
    "LyricsWord",
    "Milliseconds",
    "NothingSung",
    "Singer",
    "TooManyWords",
    "split_line",
]
