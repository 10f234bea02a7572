"""Lyrics and placements joined into karaoke content, with a reason for every word left out."""

from __future__ import annotations

from collections.abc import Sequence

from processors.alignment.aligner import LyricWord, Placement
from schemas.documents.karaoke import (
    Flag,
    Karaoke,
    Line,
    Quality,
    Word,
    WordSource,
    find_gaps,
)
from schemas.documents.lyrics import LyricsDocument, LyricsWord


def to_align(lyrics: LyricsDocument) -> list[list[LyricWord]]:
    """The lyrics as an aligner takes them: only times that a person locked bind it."""
    return [[_lyric_word(word) for word in line.words] for line in lyrics.lines]


class LockedBeyondSong(ValueError):
    """A word that a person or a file locked is sung after the song has ended."""

    code = "locked_beyond_song"


def check_locked(lyrics: LyricsDocument, duration_ms: int) -> None:
    """Raise `LockedBeyondSong` for the first locked word that does not lie in the song."""
    for word in lyrics.words():
        if word.locked and word.end_ms is not None and word.end_ms > duration_ms:
            raise LockedBeyondSong(
                f"alignment: '{word.text}' ({word.id}) is locked until {word.end_ms} ms, and the"
                f" song ends at {duration_ms} ms; correct its times, or send the lyrics with"
                " lyricsTimes: soft to have them aligned"
            )


def _lyric_word(word: LyricsWord) -> LyricWord:
    if not word.locked:
        return LyricWord(word.text)
    return LyricWord(word.text, word.start_ms, word.end_ms, locked=True)


def compose(
    lyrics: LyricsDocument,
    placements: Sequence[Sequence[Placement]],
    *,
    language: str,
    duration_ms: int,
) -> Karaoke:
    """The karaoke content of these placements, one a word in the shape of the lyrics.

    ``source`` stays empty: equal vocals may come from different backends, so publishing fills it.
    """
    lines: list[Line] = []
    flags: list[Flag] = []
    for line, placed in zip(lyrics.lines, placements, strict=True):
        words = [_word(word, place) for word, place in zip(line.words, placed, strict=True)]
        lines.append(Line.of(line.id, line.singer, words))
        flags += [
            Flag(
                code="word_unplaced",
                message=f"'{word.text}'{_UNPLACED}{place.reason or 'no reason given'}",
                line_id=line.id,
                word_id=word.id,
            )
            for word, place in zip(line.words, placed, strict=True)
            if place.start_ms is None
        ]
    return Karaoke(
        language=language,
        duration_ms=duration_ms,
        singers=lyrics.singers,
        lines=tuple(lines),
        gaps=find_gaps(lines, duration_ms),
        qc=Quality(flags=tuple(flags)),
    )


def with_flags(content: Karaoke, flags: Sequence[Flag]) -> Karaoke:
    """The content with more to say about itself."""
    qc = content.qc.model_copy(update={"flags": (*content.qc.flags, *flags)})
    return content.model_copy(update={"qc": qc})


def unplaced_because(content: Karaoke) -> dict[str, str]:
    """The reason of each word without times, by its id, as `compose` was given it."""
    return {
        flag.word_id: flag.message.partition(_UNPLACED)[2]
        for flag in content.qc.flags
        if flag.code == "word_unplaced" and flag.word_id is not None
    }


_UNPLACED = " could not be placed: "


def _word(word: LyricsWord, place: Placement) -> Word:
    src: WordSource = "manual" if word.locked else place.src
    return Word(
        id=word.id,
        text=word.text,
        sep=word.sep,
        start_ms=place.start_ms,
        end_ms=place.end_ms,
        confidence=round(place.confidence, 3),
        src=src,
        locked=word.locked,
    )
