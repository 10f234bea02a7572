"""Which heard words hold against the stem, and the lines that they make."""

from __future__ import annotations

from collections.abc import Sequence

from processors.audio.activity import Activity
from processors.transcription.recognizer import RecognizedLine, RecognizedWord

_LINE_PAUSE_MS = 600
_LINE_WORDS = 10
"""A karaoke line ends at such a pause, and at the longest pause when it has more words."""

_SUNG = 0.4
"""Share of a word that must be sung; what is recognised over silence is invented."""


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
