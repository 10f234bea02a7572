"""How pasted lyrics say that something is sung again, and what they name without singing it.

"(2x)", "x3", "(twice)" behind a line repeats the line; on a line of its own, the block above it;
behind a heading, the block below. A heading with nothing below it that named a block before
("[Chorus]", "Chorus:") stands for that block.

Every repetition is written out: the copies are lines and words of their own, with ids of their
own, because each is sung at a time of its own and a person may correct one without the other. The
mark is not part of the surface, as headings are not.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Line = TypeVar("Line")

_MOST = 16
"""More repetitions than any song writes with a mark."""

_WORDS = {"twice": 2, "дважды": 2, "bis": 2, "бис": 2}
_COUNT = (
    r"(?:[x×х*]\s?(\d{1,2})"
    r"|(\d{1,2})\s?(?:[x×х]|times|раза?|mal|fois|veces)"
    r"|(twice|дважды|bis|бис))"
)
_MARK = re.compile(rf"(?:^|(?<=\s))[(\[/]{_COUNT}[)\]/]$", re.IGNORECASE)
_BARE = re.compile(r"(?:^|(?<=\s))(?:[x×х](\d{1,2})|(\d{1,2})[x×х])()$", re.IGNORECASE)

_HEADING = re.compile(
    r"(?:(?:pre-?|post-?)?(?:verse|chorus|hook|refrain|bridge|intro|outro|interlude|instrumental"
    r"|solo)|куплет|припев|бридж|проигрыш|вступление|концовка|интро|аутро)(?:\s+\d{1,2})?",
    re.IGNORECASE,
)


def marked(line: str) -> tuple[str, int]:
    """A line (no white space at its ends) without its mark, and how often it is sung, mostly 1."""
    found = _MARK.search(line) or _BARE.search(line)
    if found is None:
        return line, 1
    first, second, word = found.groups()
    times = _WORDS[word.lower()] if word else int(first or second)
    return (line[: found.start()].rstrip(), times) if 1 <= times <= _MOST else (line, 1)


def heading(line: str) -> str | None:
    """The section that a line without square brackets names: "Chorus:", "(Verse 2)"."""
    inner = line[1:-1] if line.startswith("(") and line.endswith(")") else line.removesuffix(":")
    return inner.strip() if inner != line and _HEADING.fullmatch(inner.strip()) else None


@dataclass(slots=True)
class Blocks(Generic[Line]):
    """Lines as they are sung, block by block."""

    most: int
    """Words after which nothing is written out any more: the lyrics are too long as they are."""
    words_of: Callable[[Line], int]
    lines: list[Line] = field(default_factory=list)
    _words: int = 0
    _first: int = 0  # of the block that is open
    _name: str = ""
    _times: int = 1
    _closed: list[Line] = field(default_factory=list)  # the block before the open one
    _named: dict[str, list[Line]] = field(default_factory=dict)

    def add(self, line: Line, times: int) -> None:
        """A line of the open block."""
        self._write([line], times)

    def blank(self) -> None:
        """An empty line ends a block; below a heading that named one before, it stands for it."""
        if len(self.lines) > self._first or self._name in self._named:
            self._end()

    def head(self, name: str, times: int) -> None:
        """A heading opens a block, to be sung ``times`` times."""
        self._end()
        self._name, self._times = name.casefold(), times

    def again(self, times: int) -> None:
        """A mark on a line of its own: the block above, open or closed, is sung ``times`` times."""
        self._write(self.lines[self._first :] or self._closed, times - 1)

    def end(self) -> list[Line]:
        """All lines."""
        self._end()
        return self.lines

    def _end(self) -> None:
        block = self.lines[self._first :]
        if block:
            if self._name:
                self._named.setdefault(self._name, block)
            self._closed = block
            self._write(block, self._times - 1)
        elif self._name in self._named:
            self._closed = self._named[self._name]
            self._write(self._closed, self._times)
        self._first, self._name, self._times = len(self.lines), "", 1

    def _write(self, block: list[Line], times: int) -> None:
        words = sum(map(self.words_of, block))
        for _ in range(times):
            if self._words > self.most:
                return
            self.lines += block
            self._words += words
