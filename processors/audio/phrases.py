"""Where sung phrases begin and end: the pieces in which a song is given to a speech model."""

from __future__ import annotations

import numpy as np

from processors.audio.activity import HOP_MS, Activity, Span

_BREATH_MS = 350
"""A pause this long ends a phrase; stop consonants and word gaps are shorter."""

_LONGEST_MS = 10_000
"""A phrase is cut at its quietest place when it lasts longer: nobody sings 10 s in one breath, and
recognition slows down and drifts on long input."""

_SHORTEST_MS = 200
"""Shorter phrases hold no word worth guessing."""

_MARGIN_MS = 150
"""Sound kept around a phrase: quiet consonants fall outside vocal activity."""


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
