"""What a recognizer gives: the lines that were heard, word by word."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from processors.alignment.memory import Array
from processors.audio.samples import Audio
from processors.backend import Backend

Progress = Callable[[float], None]
"""Called with the share of the work that is done, 0 to 1, from the calling thread."""


@dataclass(frozen=True, slots=True)
class RecognizedWord:
    """A heard word, where it was heard, and how sure the recognizer is, 0 to 1."""

    text: str
    start_ms: int
    end_ms: int
    confidence: float


@dataclass(frozen=True, slots=True)
class RecognizedLine:
    """Words sung in one breath."""

    words: tuple[RecognizedWord, ...]


@dataclass(frozen=True, slots=True)
class Transcript:
    """The sung lines in order; none when nothing was understood.

    ``heard``: what the model heard of the stem, as `alignment.memory` keeps it; empty where
    alignment has no use for it.
    """

    lines: list[RecognizedLine]
    heard: Mapping[str, Array] = field(default_factory=dict)


class LanguageNotRecognized(ValueError):
    """This backend doesn't know the song's language."""

    code = "language_not_recognized"


class Recognizer(Backend, Protocol):
    """Writes down what a vocal stem sings."""

    def transcribe(self, vocals: Audio, language: str | None, progress: Progress) -> Transcript:
        """Write down what is sung.

        ``language`` is a BCP-47 tag, None when nobody said it. Raises ``LanguageNotRecognized``.
        """
        ...
