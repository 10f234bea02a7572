"""Lyrics in a request: the text, what it is written in and what its times are worth."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from gateway.documents import GivenLyrics

LyricsFormat = Literal["auto", "text", "lrc", "elrc", "ttml", "ultrastar"]
LyricsTimes = Literal["auto", "soft", "locked"]

LYRICS_FORMAT: Any = Field(
    default="auto",
    description="What the lyrics are written in. auto tells text from LRC, enhanced LRC, TTML and"
    " UltraStar TXT.",
)
LYRICS_TIMES: Any = Field(
    default="auto",
    description="locked: words keep the times of the file; soft: alignment places them anew; auto:"
    " locked where the file times words, soft where it times lines only.",
)


def given(text: str | None, format_: LyricsFormat, times: LyricsTimes) -> GivenLyrics | None:
    """The lyrics of a request, None when it has none."""
    return None if text is None else GivenLyrics(text, format_, times)
