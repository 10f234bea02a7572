"""Lyrics with times in the formats that players read: one module a format, listed here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from schemas.documents.formats.ass import to_ass
from schemas.documents.formats.cues import About
from schemas.documents.formats.lrc import from_lrc, looks_like_lrc, to_enhanced_lrc, to_lrc
from schemas.documents.formats.subtitles import to_srt, to_webvtt
from schemas.documents.formats.timed import TimedLyrics, UnreadableLyrics
from schemas.documents.formats.ttml import from_ttml, looks_like_ttml, to_ttml
from schemas.documents.formats.ultrastar import (
    from_ultrastar,
    looks_like_ultrastar,
    to_ultrastar,
)
from schemas.documents.karaoke import Karaoke

Pitches = Mapping[str, int]
"""MIDI notes by word id."""


@dataclass(frozen=True, slots=True)
class Format:
    """A format that lyrics are offered in. ``label`` is what people call it."""

    name: str
    label: str
    media_type: str
    suffix: str
    write: Callable[[Karaoke, About, Pitches], str]


def _without_pitch(
    write: Callable[[Karaoke, About], str],
) -> Callable[[Karaoke, About, Pitches], str]:
    return lambda karaoke, about, pitches: write(karaoke, about)


# text/vtt, application/ttml+xml and application/json are registered with IANA; the rest never was
WRITTEN: Mapping[str, Format] = {
    one.name: one
    for one in (
        Format(
            "karaoke",
            "karaoke-json",
            "application/json",
            ".json",
            lambda karaoke, about, pitches: karaoke.to_json().decode(),
        ),
        Format("lrc", "LRC", "text/plain", ".lrc", _without_pitch(to_lrc)),
        Format("elrc", "enhanced LRC", "text/plain", ".lrc", _without_pitch(to_enhanced_lrc)),
        Format("ass", "ASS", "text/x-ssa", ".ass", _without_pitch(to_ass)),
        Format("vtt", "WebVTT", "text/vtt", ".vtt", _without_pitch(to_webvtt)),
        Format("srt", "SRT", "application/x-subrip", ".srt", _without_pitch(to_srt)),
        Format("ttml", "TTML", "application/ttml+xml", ".ttml", _without_pitch(to_ttml)),
        Format("ultrastar", "UltraStar TXT", "text/plain", ".txt", to_ultrastar),
    )
}
"""Every format that lyrics are offered in, by the name that the API gives it."""

READ: Mapping[str, Callable[[str], TimedLyrics]] = {
    "lrc": from_lrc,
    "elrc": from_lrc,
    "ttml": from_ttml,
    "ultrastar": from_ultrastar,
}
"""Every format with times that lyrics are taken in."""


def guess(text: str) -> str:
    """The format that a text with times is written in; ``text`` when it has none."""
    if looks_like_ttml(text):
        return "ttml"
    if looks_like_ultrastar(text):
        return "ultrastar"
    return "lrc" if looks_like_lrc(text) else "text"


__all__ = [
    "READ",
    "WRITTEN",
    "About",
    "Format",
    "Pitches",
    "TimedLyrics",
    "UnreadableLyrics",
    "guess",
]
