"""Where sung phrases begin and end, and which of their words hold against the stem."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from processors.audio.activity import HOP_MS, Activity, Span
from processors.transcription.recognizer import RecognizedLine, RecognizedWord

_BREATH_MS = 350
"""A pause this long ends a phrase; stop consonants and word gaps are shorter."""

_LONGEST_MS = 10_000
"""A phrase is cut at its quietest place when it lasts longer: nobody sings 10 s in one breath, and
recognition slows down and drifts on long input."""

_SHORTEST_MS = 200
"""Shorter phrases hold no word worth guessing."""

_MARGIN_MS = 150
"""Sound kept around a phrase: quiet consonants fall outside vocal activity."""

_LINE_PAUSE_MS = 600
_LINE_WORDS = 10
"""A karaoke line ends at such a pause, and at the longest pause when it has more words."""

_SUNG = 0.4
"""Share of a word that must be sung; what is recognised over silence is invented."""


def phrases(activity: Activity, song_ms: int) -> list[Span]:
    """Stretches to recognise one by one, in order, with their margins, within the song."""
    spans: list[Span] = []
    for span in activity.spans(_BREATH_MS):
        spans += _cut(span, activity)
    kept = [span for span in spans if span.end_ms - span.start_ms >= _SHORTEST_MS]
    grown: list[Span] = []
    for i, span in enumerate(kept):
        before = kept[i - 1].end_ms if i else 0
        after = kept[i + 1].start_ms if i + 1 < len(kept) else song_ms
        grown.append(
            Span(
                max(span.start_ms - _MARGIN_MS, (before + span.start_ms) // 2 if i else 0, 0),
                min(span.end_ms + _MARGIN_MS, max(span.end_ms, (span.end_ms + after) // 2)),
            )
        )
    return [Span(s.start_ms, min(s.end_ms, song_ms)) for s in grown if s.start_ms < song_ms]


def _cut(span: Span, activity: Activity) -> list[Span]:
    if span.end_ms - span.start_ms <= _LONGEST_MS:
        return [span]
    # the quietest 100 ms of the middle half
    quarter = (span.end_ms - span.start_ms) // 4
    low, high = (span.start_ms + quarter) // HOP_MS, (span.end_ms - quarter) // HOP_MS
    level = np.convolve(activity.rms[low:high], np.full(10, 0.1), mode="same")
    at = (low + int(np.argmin(level))) * HOP_MS
    return _cut(Span(span.start_ms, at), activity) + _cut(Span(at, span.end_ms), activity)


def supported(words: Sequence[RecognizedWord], activity: Activity) -> list[RecognizedWord]:
    """The words that somebody sings, in order and without overlap."""
    kept: list[RecognizedWord] = []
    for word in words:
        start = max(word.start_ms, kept[-1].end_ms if kept else 0)
        if start < word.end_ms and activity.share(start, word.end_ms) >= _SUNG:
            kept.append(RecognizedWord(word.text, start, word.end_ms, word.confidence))
    return kept


def to_lines(words: Sequence[RecognizedWord]) -> list[RecognizedLine]:
    """Lines as a singer breathes: cut at pauses, long ones at their longest pause."""
    lines: list[list[RecognizedWord]] = []
    for word in words:
        if lines and word.start_ms - lines[-1][-1].end_ms < _LINE_PAUSE_MS:
            lines[-1].append(word)
        else:
            lines.append([word])
    return [RecognizedLine(tuple(part)) for line in lines for part in _shortened(line)]


def _shortened(line: list[RecognizedWord]) -> list[list[RecognizedWord]]:
    if len(line) <= _LINE_WORDS:
        return [line]
    # the longest pause not too near the ends; the middle one when there is none
    middle = len(line) / 2
    at = max(
        range(2, len(line) - 1),
        key=lambda i: (line[i].start_ms - line[i - 1].end_ms, -abs(i - middle)),
    )
    return _shortened(line[:at]) + _shortened(line[at:])
