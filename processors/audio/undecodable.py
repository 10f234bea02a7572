"""Why a file can't be used as a song."""

from __future__ import annotations

from typing import Literal

Fault = Literal[
    "empty_file",
    "not_audio",
    "no_audio_stream",
    "no_samples",
    "truncated",
    "damaged",
    "not_finite",
    "too_short",
    "too_long",
    "unsupported_channels",
    "unsupported_rate",
]


class Undecodable(ValueError):
    """The file can never be decoded.

    ``code`` is a stable machine word, ``message`` a sentence for the musician who sent the file:
    what is wrong and what to do. It never holds a path.
    """

    def __init__(self, code: Fault, message: str) -> None:
        super().__init__(message)
        self.code: Fault = code
        self.message = message
