"""What alignment takes and gives: lyrics as lines of words in, a placement for every word out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from processors.audio.samples import Audio

Source = Literal["aligned", "interpolated", "manual"]
Progress = Callable[[float], None]
"""Called with the share of the work that is done, 0 to 1, from the calling thread."""


@dataclass(frozen=True, slots=True)
class LyricWord:
    """A word as the lyrics write it. ``locked`` words have both times, set by a person."""

    text: str
    start_ms: int | None = None
    end_ms: int | None = None
    locked: bool = False


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a word is sung. Times are None when it couldn't be placed; ``reason`` then says why.

    ``confidence`` is 0 to 1: 0 for an unplaced word, 1 for one whose times a person set.
    """

    start_ms: int | None
    end_ms: int | None
    confidence: float
    src: Source
    reason: str | None = None


class LyricsDontFit(ValueError):
    """There are more words than anyone could sing in the time that is sung."""

    code = "lyrics_dont_fit"

    def __init__(self, words: int, sung_s: float) -> None:
        super().__init__(
            f"alignment: {words} words cannot be sung in the {sung_s:.0f} s of singing that the "
            "song holds; check that the lyrics are this song's and hold nothing but what is sung"
        )


class NoSinging(ValueError):
    """The stem is silent, so no word can be placed."""

    code = "no_singing"

    def __init__(self) -> None:
        super().__init__(
            "alignment: no singing was found in this song's vocals; "
            "check that it isn't an instrumental"
        )


class Aligner(Protocol):
    """Places given lyrics on a vocal stem."""

    @property
    def name(self) -> str:
        """Backend name, as karaoke-json's ``source`` shows it."""
        ...

    @property
    def model(self) -> str:
        """Model name and version, as karaoke-json's ``source`` shows it."""
        ...

    def align(
        self,
        vocals: Audio,
        lines: Sequence[Sequence[LyricWord]],
        language: str,
        progress: Progress,
    ) -> list[list[Placement]]:
        """One placement a word, in the shape of ``lines``.

        Words are in order, never overlap and lie inside the song, locked words keep their times.
        Raises ``UnknownLanguage``, ``LyricsDontFit`` or ``NoSinging`` (all ``ValueError``), whose
        messages are written for the person who gave the song.
        """
        ...
