"""What the sound says about an alignment: flags in words, and a score.

The aligner's own confidence is a poor witness (r = 0.36 with the true error). Better ones need the
stem: words that start in silence, singing without words, lines sung at an impossible pace, lines
that sound more like another text. What is true of the whole song is told in `verdict`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from processors.audio.activity import HOP_MS, Activity, Span, detect
from processors.audio.samples import Audio
from processors.quality.thresholds import Thresholds
from schemas.documents.evidence import Evidence, LineEvidence

Code = Literal[
    "word_unplaced",
    "word_interpolated",
    "word_in_silence",
    "word_duration",
    "line_confidence",
    "line_differs",
    "line_pace",
    "singing_without_words",
    "no_singing",
]


@dataclass(frozen=True, slots=True)
class TimedWord:
    """A word as published; both times are None when it couldn't be placed."""

    id: str
    text: str
    start_ms: int | None
    end_ms: int | None
    confidence: float = 1.0
    src: str = "aligned"
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class TimedLine:
    """A line and its words in order."""

    id: str
    words: tuple[TimedWord, ...]


@dataclass(frozen=True, slots=True)
class Flag:
    """One finding: where it is and what it means, for a person who edits the karaoke.

    ``word_id`` is set when it is about a single word, ``line_id`` when about one line.
    """

    code: Code
    line_id: str | None
    word_id: str | None
    start_ms: int | None
    end_ms: int | None
    message: str


@dataclass(frozen=True, slots=True)
class QualityReport:
    """``score`` is 1 when nothing speaks against the alignment, 0 when nothing speaks for it."""

    score: float
    flags: tuple[Flag, ...]


_WEIGHT: dict[Code, float] = {
    "word_unplaced": 1.0,
    "word_in_silence": 0.7,
    "line_differs": 0.7,
    "line_pace": 0.7,
    "line_confidence": 0.5,
    "word_interpolated": 0.3,
    "word_duration": 0.3,
}
"""How much of a word each finding takes away; the worst one of a word counts."""


def assess(
    lines: Sequence[TimedLine], vocals: Audio, thresholds: Thresholds | None = None
) -> QualityReport:
    """Judge placed words by the vocal stem (true or separated) they were placed on."""
    return weigh(lines, detect(vocals), thresholds or Thresholds(), None)


def weigh(
    lines: Sequence[TimedLine], activity: Activity, limits: Thresholds, heard: Evidence | None
) -> QualityReport:
    """`assess` where the activity is known, and maybe how each line sounds."""
    if not activity.active.any():
        message = "No singing was found in the vocals; the song may be an instrumental."
        return QualityReport(0.0, (Flag("no_singing", None, None, None, None, message),))
    typical = _ms_per_letter(lines)
    sounds = {} if heard is None else {line.line_id: line for line in heard.lines}
    flags: list[Flag] = []
    lost = 0.0
    for line in lines:
        found = _of_line(line, activity, typical, limits, sounds)
        flags += [_flag(line, code, words) for code, words in found]
        worst: dict[str, float] = {}
        for code, words in found:
            for word in words:
                worst[word.id] = max(worst.get(word.id, 0.0), _WEIGHT[code])
        lost += sum(worst.values())
    runs = uncovered(lines, activity, limits)
    flags += [
        Flag(
            "singing_without_words",
            None,
            None,
            run.start_ms,
            run.end_ms,
            f"Someone sings for {(run.end_ms - run.start_ms) / 1000:.0f} s without any words: "
            "a line may be missing from the lyrics or placed elsewhere.",
        )
        for run in runs
    ]
    count = sum(len(line.words) for line in lines)
    missing = sum(run.end_ms - run.start_ms for run in runs) / max(1, activity.sung_ms())
    score = (1.0 - lost / count) * (1.0 - min(1.0, missing)) if count else 0.0
    ordered = sorted(flags, key=lambda flag: (flag.start_ms is None, flag.start_ms or 0))
    return QualityReport(round(max(0.0, score), 3), tuple(ordered))


def uncovered(lines: Iterable[TimedLine], activity: Activity, limits: Thresholds) -> list[Span]:
    """Runs of singing, as loud as the words, in which there are none."""
    covered = np.zeros(len(activity.active), np.bool_)
    for line in lines:
        for word in line.words:
            if word.start_ms is not None and word.end_ms is not None:
                covered[word.start_ms // HOP_MS : -(-word.end_ms // HOP_MS)] = True
    sung = covered & activity.active
    if not sung.any():
        return []
    loud = float(np.median(activity.rms[sung])) * 10 ** (-limits.uncovered_db / 20)
    free = Activity(activity.rms, activity.active & ~covered)
    runs: list[Span] = []
    for span in free.spans(limits.bridge_ms):
        if span.end_ms - span.start_ms < limits.uncovered_ms:
            continue
        inside = slice(span.start_ms // HOP_MS, span.end_ms // HOP_MS)
        if covered[inside].any():  # a word within the bridged pause: not a run without words
            continue
        if float(np.median(activity.rms[inside])) >= loud:
            runs.append(span)
    return runs


Found = list[tuple[Code, list[TimedWord]]]


def _of_line(
    line: TimedLine,
    activity: Activity,
    ms_per_letter: float,
    limits: Thresholds,
    sounds: Mapping[str, LineEvidence],
) -> Found:
    placed = [w for w in line.words if w.start_ms is not None and w.end_ms is not None]
    machine = [w for w in placed if w.src != "manual"]
    found: Found = [
        ("word_unplaced", [w for w in line.words if w.start_ms is None and _is_sung(w)]),
        ("word_interpolated", [w for w in placed if w.src == "interpolated"]),
        ("word_in_silence", [w for w in machine if _starts_in_silence(w, activity, limits)]),
        ("word_duration", [w for w in machine if _odd_duration(w, ms_per_letter, limits)]),
    ]
    if machine and float(np.mean([w.confidence for w in machine])) < limits.line_confidence:
        found.append(("line_confidence", machine))
    if line.id in sounds and sounds[line.id].margin <= limits.line_margin:
        found.append(("line_differs", machine))
    if len(placed) >= limits.paced_words:
        first, last = placed[0].start_ms, placed[-1].end_ms
        assert first is not None
        assert last is not None
        if len(placed) * 1000 > limits.words_per_s * max(1, last - first):
            found.append(("line_pace", placed))
    return [(code, words) for code, words in found if words]


def _is_sung(word: TimedWord) -> bool:
    """Punctuation and emoji on their own are never sung, so their absence is no finding."""
    return any(map(str.isalnum, word.text))


def _starts_in_silence(word: TimedWord, activity: Activity, limits: Thresholds) -> bool:
    assert word.start_ms is not None
    return activity.share(word.start_ms, word.start_ms + limits.onset_ms) < limits.onset_sung


def _odd_duration(word: TimedWord, ms_per_letter: float, limits: Thresholds) -> bool:
    assert word.start_ms is not None
    assert word.end_ms is not None
    lasts = word.end_ms - word.start_ms
    expected = ms_per_letter * max(1, sum(map(str.isalnum, word.text)))
    return lasts < limits.shortest_ms or (
        lasts > limits.longest_ms and lasts > limits.longest_ratio * expected
    )


def _ms_per_letter(lines: Sequence[TimedLine]) -> float:
    paces = [
        (word.end_ms - word.start_ms) / max(1, sum(map(str.isalnum, word.text)))
        for line in lines
        for word in line.words
        if word.start_ms is not None and word.end_ms is not None
    ]
    return float(np.median(paces)) if paces else 0.0


def _flag(line: TimedLine, code: Code, words: list[TimedWord]) -> Flag:
    placed = [w for w in (words if len(words) == 1 else line.words) if w.start_ms is not None]
    return Flag(
        code,
        line.id,
        words[0].id if len(words) == 1 else None,
        placed[0].start_ms if placed else None,
        placed[-1].end_ms if placed else None,
        _message(code, line, words),
    )


def _message(code: Code, line: TimedLine, words: list[TimedWord]) -> str:
    if len(words) == 1:
        who, verb = f"“{words[0].text}”", "was"
    elif len(words) == len(line.words):
        who, verb = "The whole line", "was"
    else:
        who, verb = f"{len(words)} of the line's {len(line.words)} words", "were"
    starts = "starts" if verb == "was" else "start"
    lasts = "lasts" if verb == "was" else "last"
    match code:
        case "word_unplaced":
            why = words[0].reason
            return f"{who} could not be placed" + (f": {why}." if why else ".")
        case "word_interpolated":
            return f"{who} {verb} not heard clearly and {verb} placed between the neighbours."
        case "word_in_silence":
            return f"{who} {starts} where nobody sings."
        case "word_duration":
            return f"{who} {lasts} unusually long or short."
        case "line_confidence":
            return "The line doesn't fit well to what is sung here; listen to it once."
        case "line_differs":
            return "Other words fit better to what is sung here; compare the line with the song."
        case "line_pace":
            return "The line is faster than anyone sings; it may be squeezed into a wrong place."
        case _:
            return ""
