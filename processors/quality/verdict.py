"""Everything that the sound says about a karaoke: flags by line and song, measures, a score, and
whether that is good enough.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from processors.alignment.languages import UnknownLanguage, reader, resolve, script
from processors.audio.activity import HOP_MS, Activity
from processors.quality import evidence
from processors.quality.evidence import TimedLine
from processors.quality.listening import Listened
from processors.quality.thresholds import Thresholds
from processors.quality.timing import offset_of
from schemas.documents.evidence import Evidence
from schemas.documents.karaoke import Flag, Measures, Quality, Severity

_SEVERITY: dict[str, Severity] = {
    "no_singing": "error",
    "no_voice": "error",
    "coverage_low": "error",
    "lyrics_differ": "error",
    "times_shifted": "error",
    "language_differs": "error",
    "word_interpolated": "info",
    "minus_silent": "info",
}
"""What is not named here is a warning: worth a look, no reason to hold the song back."""


@dataclass(frozen=True, slots=True)
class Recording:
    """What is judged against: what was heard of the stems, and the language they are sung in."""

    stems: Listened
    language: str = ""


def judge(
    lines: Sequence[TimedLine],
    recording: Recording,
    heard: Evidence | None,
    limits: Thresholds,
    bar: float,
) -> Quality:
    """The judgement of placed words. ``heard``: how the lines sound, where alignment told it."""
    activity = recording.stems.activity
    report = evidence.weigh(lines, activity, limits, heard)
    measures = _measured(lines, activity, heard, limits, recording.stems.bleed_db)
    flags = [
        *_of_song(measures, limits),
        *_language(lines, recording.language),
        *_sounds(heard, recording.language, limits),
        *_silent(recording.stems, limits),
        *(_written(flag) for flag in report.flags),
    ]
    score = round(report.score * _of_all(measures, limits), 3)
    return Quality(
        score=score,
        flags=tuple(flags),
        measures=measures,
        needs_review=bool(reasons := tuple(_reasons(score, flags, bar))),
        reasons=reasons,
    )


def _of_all(measures: Measures, limits: Thresholds) -> float:
    """What the whole song takes off the score: nothing where each measure is good enough."""
    share = 1.0
    if measures.coverage is not None:
        share *= min(1.0, measures.coverage / limits.coverage)
    if measures.lyrics_margin is not None:
        wanted = limits.lyrics_margin
        share *= min(1.0, max(0.0, (measures.lyrics_margin + wanted) / (2 * wanted)))
    if measures.late_ms is not None and abs(measures.late_ms) >= limits.offset_ms:
        share *= _SHIFTED
    return share


_SHIFTED = 0.5
"""Every word is heard, and none where it stands."""


def _reasons(score: float, flags: Sequence[Flag], bar: float) -> Iterator[str]:
    if score < bar:
        yield f"The score is {round(100 * score)} of 100, below the bar of {round(100 * bar)}."
    yield from (flag.message for flag in flags if flag.severity == "error")


def _measured(
    lines: Sequence[TimedLine],
    activity: Activity,
    heard: Evidence | None,
    limits: Thresholds,
    bleed: float | None,
) -> Measures:
    times = [
        (word.start_ms, word.end_ms)
        for line in lines
        for word in line.words
        if word.start_ms is not None and word.end_ms is not None
    ]
    offset = offset_of(times, activity)
    late = None
    if offset is not None:
        late = offset.late_ms if offset.gain >= limits.offset_gain else 0
    margin = None
    if heard is not None and len(heard.lines) >= limits.judged_lines:
        margin = float(np.mean([line.margin for line in heard.lines]))
    return Measures(
        coverage=_coverage(times, activity),
        lyrics_margin=None if margin is None else round(margin, 3),
        late_ms=late,
        bleed_db=bleed,
    )


def _coverage(times: Sequence[tuple[int, int]], activity: Activity) -> float | None:
    """Share of the sung energy within words: residue of the band in breaks is quiet, so it counts
    for little.
    """
    power = np.where(activity.active, activity.rms.astype(np.float64) ** 2, 0.0)
    total = float(power.sum())
    if total <= 0:
        return None
    covered = np.zeros(len(power), np.bool_)
    for start, end in times:
        covered[start // HOP_MS : -(-end // HOP_MS)] = True
    return round(float(power[covered].sum()) / total, 3)


def _of_song(measures: Measures, limits: Thresholds) -> Iterator[Flag]:
    margin, coverage = measures.lyrics_margin, measures.coverage
    late, bleed = measures.late_ms, measures.bleed_db
    if margin is not None and margin < limits.lyrics_margin:
        yield _flag(
            "lyrics_differ",
            "The lines sound no more like their words than like other texts: the lyrics may be of"
            " another song, in another language, or in another order.",
        )
    if coverage is not None and coverage < limits.coverage:
        yield _flag(
            "coverage_low",
            f"The words cover only {round(100 * coverage)} % of the singing: a part of the lyrics"
            " is missing, or could not be placed.",
        )
    if late is not None and abs(late) >= limits.offset_ms:
        how = "late" if late > 0 else "early"
        yield _flag(
            "times_shifted",
            f"All words seem to stand {abs(late) / 1000:.1f} s too {how}: the times may belong to"
            " another edit of the song.",
        )
    if bleed is not None and bleed > limits.no_voice_db:
        yield _flag(
            "no_voice",
            "What was taken for the voice sounds just like the minus: the song seems to be an"
            " instrumental, or voice and band could not be separated.",
        )
    elif bleed is not None and bleed > limits.bleed_db:
        yield _flag(
            "vocal_bleed",
            f"The voice can still be heard in the minus, {-bleed:.0f} dB below the voice that was"
            " taken out.",
        )


def _language(lines: Sequence[TimedLine], language: str) -> Iterator[Flag]:
    """Letters that the language is not written in."""
    try:
        asked = resolve(language) if language else ""
    except UnknownLanguage:
        return
    text = " ".join(word.text for line in lines for word in line.words)
    if not asked or reader(text, asked) == asked:
        return
    written = (script(text) or "other").capitalize()
    yield _flag(
        "language_mismatch",
        f"The lyrics are in {written} letters, and the song was said to be in '{language}': set the"
        f" language ('{reader(text, asked)}' is read so) and align again.",
    )


def _sounds(heard: Evidence | None, language: str, limits: Thresholds) -> Iterator[Flag]:
    """Another language of the same letters that the singing sounds like."""
    if heard is None or len(heard.lines) < limits.judged_lines:
        return
    best = max(heard.languages, key=lambda tried: tried.margin, default=None)
    if best is not None and best.margin >= limits.language_margin:
        yield _flag(
            "language_differs",
            f"The song was said to be in '{language}', and it sounds more like '{best.language}':"
            " set the language and align again.",
        )


def _silent(stems: Listened, limits: Thresholds) -> Iterator[Flag]:
    if stems.rest is None or stems.voice <= 0:
        return
    if 20 * np.log10(max(stems.rest / stems.voice, 1e-9)) < limits.quiet_minus_db:
        yield _flag(
            "minus_silent",
            "There is nearly nothing in the minus: the song seems to be sung a cappella.",
        )


def _flag(code: str, message: str) -> Flag:
    return Flag(code=code, message=message, severity=_SEVERITY.get(code, "warning"))


def _written(flag: evidence.Flag) -> Flag:
    return Flag(
        code=flag.code,
        message=flag.message,
        severity=_SEVERITY.get(flag.code, "warning"),
        line_id=flag.line_id,
        word_id=flag.word_id,
        start_ms=flag.start_ms,
        end_ms=flag.end_ms,
    )
