"""What changed between two versions of a track's words, told by the ids that survive edits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, TypeVar

from pydantic import Field

from schemas.documents.karaoke import Karaoke
from schemas.documents.lyrics import Document, LyricsDocument

WordChange = Literal["added", "removed", "text", "moved", "timed", "untimed", "locked", "unlocked"]
LineChange = Literal["added", "removed", "singer", "split", "merged"]
_Change = TypeVar("_Change")


class ChangedWord(Document):
    """A word that differs, and how; what does not apply is null."""

    id: str
    line_id: str = Field(description="Its line in the later version; in the earlier, if removed.")
    changes: tuple[WordChange, ...]
    text: str
    text_before: str | None = None
    start_ms: int | None = None
    end_ms: int | None = None
    start_moved_ms: int | None = Field(default=None, description="Later is positive.")
    end_moved_ms: int | None = None


class ChangedLine(Document):
    """A line that differs. ``others``: the lines it was split into or merged from."""

    id: str
    changes: tuple[LineChange, ...]
    text: str
    singer: str | None = None
    singer_before: str | None = None
    others: tuple[str, ...] = ()


class Summary(Document):
    """How many words and lines differ in each way."""

    words: dict[WordChange, int]
    lines: dict[LineChange, int]
    unchanged_words: int
    mean_move_ms: float | None = Field(
        default=None, description="Of the starts that moved, whichever way; null when none did."
    )
    largest_move_ms: int | None = None


class Difference(Document):
    """From an earlier version's words to a later one's."""

    summary: Summary
    lines: tuple[ChangedLine, ...]
    words: tuple[ChangedWord, ...]

    def told(self) -> Iterator[str]:
        """The difference in sentences, for people: one a line or word."""
        for line in self.lines:
            yield f"line {line.id} {_line_told(line)}: {line.text}"
        for word in self.words:
            yield f"word {word.id} '{word.text}' {_word_told(word)}"


@dataclass(frozen=True, slots=True)
class _Word:
    id: str
    line: str
    text: str
    start_ms: int | None
    end_ms: int | None
    locked: bool


@dataclass(frozen=True, slots=True)
class _Line:
    id: str
    singer: str  # the name where there is one: ids may be given anew
    text: str
    words: tuple[_Word, ...]


def difference(before: Karaoke | LyricsDocument, after: Karaoke | LyricsDocument) -> Difference:
    """What ``after`` changed. Drafts without times may be compared with published versions."""
    old, new = list(_lines(before)), list(_lines(after))
    words = tuple(_words(_by_id(old), _by_id(new)))
    lines = tuple(_changed_lines(old, new))
    moves = [abs(word.start_moved_ms) for word in words if word.start_moved_ms]
    kept = sum(1 for line in new for _ in line.words)
    return Difference(
        summary=Summary(
            words=_counted(change for word in words for change in word.changes),
            lines=_counted(change for line in lines for change in line.changes),
            unchanged_words=kept - sum("removed" not in word.changes for word in words),
            mean_move_ms=round(sum(moves) / len(moves), 1) if moves else None,
            largest_move_ms=max(moves, default=None),
        ),
        lines=lines,
        words=words,
    )


def _lines(document: Karaoke | LyricsDocument) -> Iterator[_Line]:
    names = {singer.id: singer.name or singer.id for singer in document.singers}
    for line in document.lines:
        yield _Line(
            line.id,
            names[line.singer],
            line.text,
            tuple(
                _Word(word.id, line.id, word.text, word.start_ms, word.end_ms, word.locked)
                for word in line.words
            ),
        )


def _by_id(lines: Iterable[_Line]) -> dict[str, _Word]:
    return {word.id: word for line in lines for word in line.words}


def _words(old: Mapping[str, _Word], new: Mapping[str, _Word]) -> Iterator[ChangedWord]:
    """Changed words in the order of the later version, removed ones behind."""
    for id_, word in new.items():
        before = old.get(id_)
        changes = ("added",) if before is None else tuple(_word_changes(before, word))
        if not changes:
            continue
        moved = before is not None and "moved" in changes
        yield ChangedWord(
            id=id_,
            line_id=word.line,
            changes=changes,
            text=word.text,
            text_before=before.text if before is not None and "text" in changes else None,
            start_ms=word.start_ms,
            end_ms=word.end_ms,
            start_moved_ms=_moved(before.start_ms, word.start_ms) if moved and before else None,
            end_moved_ms=_moved(before.end_ms, word.end_ms) if moved and before else None,
        )
    for id_, word in old.items():
        if id_ not in new:
            yield ChangedWord(
                id=id_,
                line_id=word.line,
                changes=("removed",),
                text=word.text,
                start_ms=word.start_ms,
                end_ms=word.end_ms,
            )


def _word_changes(before: _Word, after: _Word) -> Iterator[WordChange]:
    if before.text != after.text:
        yield "text"
    if (before.start_ms is None) != (after.start_ms is None):
        yield "timed" if before.start_ms is None else "untimed"
    elif (before.start_ms, before.end_ms) != (after.start_ms, after.end_ms):
        yield "moved"
    if before.locked != after.locked:
        yield "locked" if after.locked else "unlocked"


def _moved(before: int | None, after: int | None) -> int | None:
    return None if before is None or after is None else after - before


def _changed_lines(old: list[_Line], new: list[_Line]) -> Iterator[ChangedLine]:
    """Changed lines in the order of the later version, removed ones behind.

    A line was split when its words are in several now, and merged when its words come from several
    (both, where words moved across line ends). One that vanished in a merge is no removed one.
    """
    earlier = {line.id: line for line in old}
    later = {line.id: line for line in new}
    home = {word.id: line.id for line in old for word in line.words}
    spread: dict[str, list[str]] = {}  # earlier line -> later lines with its words, in order
    sources: dict[str, list[str]] = {}  # later line -> earlier lines of its words, in order
    for line in new:
        for word in line.words:
            source = home.get(word.id)
            if source is not None:
                _once(sources.setdefault(line.id, []), source)
                _once(spread.setdefault(source, []), line.id)
    for line in new:
        before = earlier.get(line.id)
        changes: list[LineChange] = []
        others: list[str] = []
        came_from = sources.get(line.id, [])
        if len(came_from) > 1:
            changes.append("merged")
            others += [one for one in came_from if one != line.id]
        if before is not None and len(spread.get(line.id, [])) > 1:
            changes.append("split")
            others += [one for one in spread[line.id] if one != line.id]
        if before is None and not came_from:
            changes.append("added")
        origin = before or (earlier[came_from[0]] if came_from else None)
        if origin is not None and origin.singer != line.singer:
            changes.append("singer")
        if changes:
            yield ChangedLine(
                id=line.id,
                changes=tuple(changes),
                text=line.text,
                singer=line.singer,
                singer_before=origin.singer if origin and "singer" in changes else None,
                others=tuple(dict.fromkeys(others)),
            )
    for line in old:
        if line.id not in later and line.id not in spread:
            yield ChangedLine(id=line.id, changes=("removed",), text=line.text, singer=line.singer)


def _once(found: list[str], id_: str) -> None:
    if id_ not in found:
        found.append(id_)


def _counted(changes: Iterable[_Change]) -> dict[_Change, int]:
    counts: dict[_Change, int] = {}
    for change in changes:
        counts[change] = counts.get(change, 0) + 1
    return counts


def _line_told(line: ChangedLine) -> str:
    told: list[str] = []
    for change in line.changes:
        match change:
            case "split":
                told.append(f"was split ({', '.join(line.others)})")
            case "merged":
                told.append(f"was merged ({', '.join(line.others)})")
            case "singer":
                told.append(f"is sung by {line.singer}, no longer by {line.singer_before}")
            case _:
                told.append(f"was {change}")
    return " and ".join(told)


def _word_told(word: ChangedWord) -> str:
    told: list[str] = []
    for change in word.changes:
        match change:
            case "text":
                told.append(f"was '{word.text_before}'")
            case "moved":
                start, end = word.start_moved_ms or 0, word.end_moved_ms or 0
                told.append(f"starts {start:+} ms, ends {end:+} ms")
            case "timed" | "untimed":
                told.append("has times now" if change == "timed" else "lost its times")
            case _:
                told.append(f"was {change}")
    return ", ".join(told)
