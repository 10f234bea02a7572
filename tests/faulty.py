"""Alignment and judgement of one song as the stages do them, with a fault planted between."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from processors.alignment import recutting
from processors.alignment.aligner import Aligner
from processors.alignment.document import compose, to_align, with_flags
from processors.alignment.strays import strays
from processors.alignment.testimony import sounding_of
from processors.audio.samples import Audio
from processors.quality import verdict
from processors.quality.listening import listen
from processors.quality.stage import behind, timed
from processors.quality.thresholds import Thresholds
from processors.settings import StageSettings
from schemas.documents.karaoke import Karaoke, Line, Quality
from schemas.documents.lyrics import LyricsDocument


@dataclass(frozen=True, slots=True)
class Judged:
    """What the check said; ``refused``: the code with which alignment said no."""

    quality: Quality
    starts: Sequence[int | None]
    refused: str = ""


def judged(
    aligner: Aligner,
    vocals: Audio,
    minus: Audio,
    text: str,
    language: str,
    *,
    shift_ms: int = 0,
) -> Judged:
    """Align ``text``, move every word by ``shift_ms``, and judge."""
    lyrics = LyricsDocument.from_text(text, language=language)
    said = recutting.by_words(lyrics)
    try:
        heard = aligner.hear(vocals, to_align(said), language, _ignore)
        placed = heard.place(to_align(said), language, _ignore)
        if recutting.is_run_on(lyrics):
            said = recutting.at_pauses(lyrics, placed, said)
            placed = heard.place(to_align(said), language, _ignore)
    except ValueError as refusal:
        code = getattr(refusal, "code", "")
        if not code:
            raise
        return Judged(Quality(), (), code)
    duration_ms = round(1000 * vocals.seconds)
    content = compose(said, placed, language=language, duration_ms=duration_ms)
    content = moved(content, shift_ms)
    content = with_flags(content, strays(content, heard, language))
    found = verdict.judge(
        timed(content),
        verdict.Recording(listen(vocals, minus), language),
        sounding_of(content, heard, language),
        Thresholds(),
        StageSettings.model_fields["quality_bar"].default,
    )
    starts = [word.start_ms for word in content.words()]
    return Judged(behind(content.qc, found), starts)


def moved(content: Karaoke, shift_ms: int) -> Karaoke:
    """The content with every word later by ``shift_ms``, as far as it stays within the song."""
    if not shift_ms:
        return content
    lines = []
    for line in content.lines:
        words = []
        for word in line.words:
            if word.start_ms is not None and word.end_ms is not None:
                start, end = word.start_ms + shift_ms, word.end_ms + shift_ms
                inside = start >= 0 and end <= content.duration_ms
                if inside:
                    word = word.model_copy(update={"start_ms": start, "end_ms": end})
                else:
                    word = word.model_copy(update={"start_ms": None, "end_ms": None})
            words.append(word)
        lines.append(Line.of(line.id, line.singer, words))
    return content.model_copy(update={"lines": tuple(lines)})


def _ignore(_share: float) -> None:
    """Progress that nobody watches."""
