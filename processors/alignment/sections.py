"""Lyrics cut at the words whose place is settled: between two of them lies one problem."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from processors.alignment.aligner import LyricWord, Placement


@dataclass(frozen=True, slots=True)
class Section:
    """Words to be placed within ``[start_ms, end_ms)``: indices into all words, by line."""

    start_ms: int
    end_ms: int
    lines: tuple[tuple[int, ...], ...]

    @property
    def words(self) -> list[int]:
        """All its words in order."""
        return [word for line in self.lines for word in line]


@dataclass(slots=True)
class _Open:
    start_ms: int
    lines: list[list[int]] = field(default_factory=list)


def sections(lines: Sequence[Sequence[LyricWord]], song_ms: int) -> list[Section]:
    """The stretches between words that are held, in order; words are numbered across lines.

    A locked word that starts before the end of an earlier one (a person may overlap singers) closes
    a section of no length. Sections without words are left out.
    """
    done: list[Section] = []
    current = _Open(0)

    def close(end_ms: int) -> None:
        filled = tuple(tuple(line) for line in current.lines if line)
        if filled:
            end = max(current.start_ms, min(end_ms, song_ms))
            done.append(Section(current.start_ms, end, filled))

    number = 0
    for line in lines:
        current.lines.append([])
        for word in line:
            held = held_place(word)
            if held is not None:
                if held.start_ms is not None and held.end_ms is not None:
                    close(held.start_ms)
                    current = _Open(min(max(current.start_ms, held.end_ms), song_ms), [[]])
            else:
                current.lines[-1].append(number)
            number += 1
    close(song_ms)
    return done


def is_fixed(word: LyricWord) -> bool:
    """Whether a person set both of its times."""
    return word.locked and word.start_ms is not None and word.end_ms is not None


def held_place(word: LyricWord) -> Placement | None:
    """Where a word stays whatever is heard: its lock, or its place in an earlier alignment."""
    if is_fixed(word):
        return Placement(word.start_ms, word.end_ms, 1.0, "manual")
    return word.known
