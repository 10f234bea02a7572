"""What alignment takes and gives: lyrics as lines of words in, a placement for every word out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from processors.alignment.memory import Array
from processors.audio.activity import Activity
from processors.audio.samples import Audio
from processors.backend import Backend

Source = Literal["aligned", "interpolated", "manual"]
Progress = Callable[[float], None]
"""Called with the share of the work that is done, 0 to 1, from the calling thread."""


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


@dataclass(frozen=True, slots=True)
class LyricWord:
    """A word as the lyrics write it. ``locked`` words have both times, set by a person.

    ``known``: the place that an earlier alignment gave a word which neither changed nor has a
    neighbour that did; it holds like a lock, and its confidence stays its own.
    """

    text: str
    start_ms: int | None = None
    end_ms: int | None = None
    locked: bool = False
    known: Placement | None = None


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


FASTEST_WORDS_PER_S = 8.0
"""Sung words a second that nobody exceeds over a whole song (the fastest rap on record: 6.5)."""

_SPARE_WORDS = 10  # a short stem may be all chatter


def check_singable(words: int, activity: Activity) -> None:
    """Raise `NoSinging` and `LyricsDontFit` where no alignment could be right."""
    sung_s = activity.sung_ms() / 1000
    if sung_s == 0:
        raise NoSinging
    if words > FASTEST_WORDS_PER_S * sung_s + _SPARE_WORDS:
        raise LyricsDontFit(words, sung_s)


class Fit(Protocol):
    """How well a stretch of a stem sounds like these lines, see ``Heard.fit``."""

    def __call__(
        self, lines: Sequence[Sequence[str]], language: str, start_ms: int, end_ms: int
    ) -> float | None: ...


class Heard(Protocol):
    """What an aligner heard of one stem: lyrics are placed on it as often as they are edited."""

    @property
    def activity(self) -> Activity:
        """Where somebody sings."""
        ...

    @property
    def by_sound(self) -> Fit | None:
        """`fit` where it compares sounds, which differ between languages, and not letters."""
        ...

    def place(
        self, lines: Sequence[Sequence[LyricWord]], language: str, progress: Progress
    ) -> list[list[Placement]]:
        """One placement a word, as `Aligner.align` gives them; the model does not run again."""
        ...

    def fit(
        self, lines: Sequence[Sequence[str]], language: str, start_ms: int, end_ms: int
    ) -> float | None:
        """How well a stretch sounds like these lines, mean nats a frame; None: they aren't there.

        Comparable within one stem only.
        """
        ...

    def arrays(self) -> dict[str, Array]:
        """All of it, for `memory.keep`."""
        ...


class Aligner(Backend, Protocol):
    """Places given lyrics on a vocal stem."""

    def hear(
        self,
        vocals: Audio,
        lines: Sequence[Sequence[LyricWord]],
        language: str,
        progress: Progress,
    ) -> Heard:
        """Run the model over the stem. Raises as `align`."""
        ...

    def again(self, arrays: Mapping[str, Array]) -> Heard:
        """What was heard before: the arrays of a `Heard` of this aligner and model."""
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
