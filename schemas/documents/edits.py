"""A person's changes to lyrics: words respelled, lines moved, times set and locked."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Self

from pydantic import Field, StringConstraints, model_validator

from schemas.documents.lyrics import (
    Document,
    LyricsDocument,
    LyricsLine,
    LyricsWord,
    Milliseconds,
    Singer,
)
from schemas.documents.text import split_line


class LyricsEdit(Document):
    """One change to one word or one line."""

    word_id: str | None = None
    line_id: str | None = None
    text: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)] | None = None
    start_ms: Milliseconds | None = None
    end_ms: Milliseconds | None = None
    singer: str | None = Field(default=None, description="Singer id or name; lines only.")
    locked: bool | None = Field(
        default=None, description="Keep the times in re-alignment; true when times are given."
    )

    @model_validator(mode="after")
    def _names_one_thing(self) -> Self:
        if (self.word_id is None) == (self.line_id is None):
            raise ValueError("an edit names either a wordId or a lineId")
        if self.word_id is not None and self.singer is not None:
            raise ValueError("a singer belongs to a line: name the lineId")
        changes = (self.text, self.start_ms, self.end_ms, self.singer, self.locked)
        if all(change is None for change in changes):
            raise ValueError("the edit changes nothing")
        return self


class EditRefused(ValueError):
    """The edit does not fit the lyrics; the message says which and why."""

    code = "edit_refused"


def apply_edits(lyrics: LyricsDocument, edits: Iterable[LyricsEdit]) -> LyricsDocument:
    """The lyrics with the edits made, in order. Raises `EditRefused`."""
    for edit in edits:
        lyrics = _edit_word(lyrics, edit) if edit.word_id else _edit_line(lyrics, edit)
    _check_locked_order(lyrics)
    return lyrics.model_copy(update={"origin": "edited"})


def _edit_word(lyrics: LyricsDocument, edit: LyricsEdit) -> LyricsDocument:
    for line in lyrics.lines:
        for word in line.words:
            if word.id == edit.word_id:
                changed = _changed_word(word, edit)
                words = tuple(changed if w.id == word.id else w for w in line.words)
                return _with_line(lyrics, line.model_copy(update={"words": words}))
    raise EditRefused(f"there is no word {edit.word_id} in this version")


def _changed_word(word: LyricsWord, edit: LyricsEdit) -> LyricsWord:
    start = word.start_ms if edit.start_ms is None else edit.start_ms
    end = word.end_ms if edit.end_ms is None else edit.end_ms
    timed = edit.start_ms is not None or edit.end_ms is not None
    locked = edit.locked if edit.locked is not None else word.locked or timed
    if edit.text is not None and len(split_line(edit.text)) != 1:
        raise EditRefused(
            f"the text of word {word.id} would be several words; edit the line's text instead"
        )
    return _valid(
        word, {"text": edit.text or word.text, "start_ms": start, "end_ms": end, "locked": locked}
    )


def _edit_line(lyrics: LyricsDocument, edit: LyricsEdit) -> LyricsDocument:
    line = next((line for line in lyrics.lines if line.id == edit.line_id), None)
    if line is None:
        raise EditRefused(f"there is no line {edit.line_id} in this version")
    if edit.text is not None:
        texts = [edit.text if other.id == line.id else other.text for other in lyrics.lines]
        if len(edit.text.splitlines()) != 1:
            raise EditRefused(f"the text of line {line.id} would be several lines; PATCH the text")
        lyrics = _respelled(lyrics, line, texts)
        line = next(other for other in lyrics.lines if other.id == edit.line_id)
    if edit.start_ms is not None or edit.end_ms is not None:
        line = _moved(line, edit)
    elif edit.locked is not None:
        line = _valid_line(line, [{"locked": edit.locked} for _ in line.words])
    if edit.singer is not None:
        lyrics, singer = _singer(lyrics, edit.singer)
        line = line.model_copy(update={"singer": singer})
    return _with_line(lyrics, line)


def _respelled(lyrics: LyricsDocument, line: LyricsLine, texts: list[str]) -> LyricsDocument:
    """The line's text changed and nothing else: the singers stay as they are."""
    changed = lyrics.with_text("\n".join(texts))
    if len(changed.lines) != len(lyrics.lines):
        raise EditRefused(f"the text of line {line.id} is no line of words")
    lines = tuple(
        new.model_copy(update={"id": old.id, "singer": old.singer})
        for old, new in zip(lyrics.lines, changed.lines, strict=True)
    )
    return changed.model_copy(update={"lines": lines, "singers": lyrics.singers})


def _moved(line: LyricsLine, edit: LyricsEdit) -> LyricsLine:
    """The line's words shifted, and stretched when both ends are given."""
    spans = [
        (word.start_ms, word.end_ms)
        for word in line.words
        if word.start_ms is not None and word.end_ms is not None
    ]
    if not spans:
        raise EditRefused(f"line {line.id} has no times yet: set those of its words")
    start, end = min(span[0] for span in spans), max(span[1] for span in spans)
    shift_only = edit.start_ms is None or edit.end_ms is None
    if edit.start_ms is not None:
        new_start = edit.start_ms
        new_end = new_start + end - start if edit.end_ms is None else edit.end_ms
    else:
        assert edit.end_ms is not None
        new_start, new_end = edit.end_ms - (end - start), edit.end_ms
    if new_start < 0 or new_end <= new_start:
        raise EditRefused(f"line {line.id} would end before it starts, or start before the song")
    scale = 1.0 if shift_only else (new_end - new_start) / (end - start)

    def moved(ms: int | None) -> int | None:
        return None if ms is None else new_start + round((ms - start) * scale)

    return _valid_line(
        line,
        [
            {
                "start_ms": moved(word.start_ms),
                "end_ms": moved(word.end_ms),
                "locked": word.start_ms is not None and edit.locked is not False,
            }
            for word in line.words
        ],
    )


def _singer(lyrics: LyricsDocument, wanted: str) -> tuple[LyricsDocument, str]:
    for singer in lyrics.singers:
        if wanted in (singer.id, singer.name):
            return lyrics, singer.id
    taken = {singer.id for singer in lyrics.singers}
    id_ = next(f"s{n}" for n in range(1, len(taken) + 2) if f"s{n}" not in taken)
    singers = (*lyrics.singers, Singer(id=id_, name=wanted))
    return lyrics.model_copy(update={"singers": singers}), id_


def _with_line(lyrics: LyricsDocument, line: LyricsLine) -> LyricsDocument:
    lines = tuple(line if other.id == line.id else other for other in lyrics.lines)
    return lyrics.model_copy(update={"lines": lines})


def _valid_line(line: LyricsLine, changes: list[dict[str, object]]) -> LyricsLine:
    words = tuple(_valid(word, change) for word, change in zip(line.words, changes, strict=True))
    return line.model_copy(update={"words": words})


def _valid(word: LyricsWord, change: dict[str, object]) -> LyricsWord:
    try:
        return LyricsWord.model_validate(
            {**word.model_dump(by_alias=False), **change}, by_name=True
        )
    except ValueError as error:
        raise EditRefused(f"the edit of word {word.id} makes no sense: {_reason(error)}") from error


def _reason(error: ValueError) -> str:
    errors = getattr(error, "errors", None)
    return errors()[0]["msg"].removeprefix("Value error, ") if errors else str(error)


def _check_locked_order(lyrics: LyricsDocument) -> None:
    """Locked words keep their order within a singer: alignment could not hold them otherwise."""
    reached: dict[str, tuple[int, str]] = {}
    for line in lyrics.lines:
        for word in line.words:
            if not word.locked or word.start_ms is None or word.end_ms is None:
                continue
            end, before = reached.get(line.singer, (0, ""))
            if word.start_ms < end:
                raise EditRefused(
                    f"word {word.id} would start at {word.start_ms} ms, before word {before}"
                    f" ends at {end} ms; words of a singer keep their order"
                )
            reached[line.singer] = (word.end_ms, word.id)
