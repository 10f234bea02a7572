"""What is seen besides the lyrics: the title at the start, a count before singing begins again."""

from __future__ import annotations

from collections.abc import Iterator

from schemas.documents.formats.ass import Caption
from schemas.documents.formats.cues import About, cues, label
from schemas.documents.karaoke import Karaoke

BREAK_MS = 5_000
"""Singing that begins after a longer break is counted in; so is a song with such an intro."""

_COUNT = 3
_BEAT_MS = 1_000  # a count of seconds: the song's tempo is not known here
_COUNT_Y, _COUNT_SIZE = 410, 84

_TITLE_FROM_MS, _TITLE_TO_MS = 300, 5_000
_TITLE_Y, _TITLE_SIZE = 235, 68
_ARTIST_Y, _ARTIST_SIZE = 312, 40


def captions(
    karaoke: Karaoke, about: About, *, title_card: bool, countdown: bool
) -> tuple[Caption, ...]:
    """The captions of a song, in the middle of the picture, where no lyrics are."""
    made = [*(_title(karaoke, about) if title_card else ())]
    made += _counts(karaoke) if countdown else ()
    return tuple(made)


def starts_after_breaks(karaoke: Karaoke) -> Iterator[int]:
    """When singing begins after at least `BREAK_MS` without, in milliseconds."""
    reached = 0
    for cue in cues(karaoke):
        if cue.start_ms - reached >= BREAK_MS:
            yield cue.start_ms
        reached = max(reached, cue.end_ms)


def _title(karaoke: Karaoke, about: About) -> Iterator[Caption]:
    end_ms = min(_TITLE_TO_MS, karaoke.duration_ms)
    rows = ((about.title, _TITLE_SIZE, _TITLE_Y), (about.artist, _ARTIST_SIZE, _ARTIST_Y))
    for text, size, y in rows:
        if label(text) and end_ms > _TITLE_FROM_MS:
            yield Caption(_TITLE_FROM_MS, end_ms, text, size, y)


def _counts(karaoke: Karaoke) -> Iterator[Caption]:
    for start_ms in starts_after_breaks(karaoke):
        for left in range(_COUNT, 0, -1):
            begin_ms = start_ms - left * _BEAT_MS
            yield Caption(begin_ms, begin_ms + _BEAT_MS, str(left), _COUNT_SIZE, _COUNT_Y)
