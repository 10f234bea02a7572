"""From tokens to times: where a word begins and ends, by what the voice does around its tokens.

A CTC model tells a token in one or two frames of 40 ms, late in its sound. Where the word opens a
run of singing, the run's own beginning is the better onset; inside a run nothing is better than the
token. Ends are told by nobody: a word lasts until the next begins, the voice stops, or the model
hears something that is no lyric.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from processors.alignment.ctc import Emissions, TokenSpan
from processors.alignment.placing import SHORTEST_MS, Spot
from processors.audio.activity import Activity, Span

_EARLIER_MS = 320
"""A word's first token comes at most that much behind its onset: a long consonant cluster and a
vowel that the model waits for, eight frames of 40 ms."""
_LATER_MS = 100
"""… and at most two and a half frames before it, from the breath that models take for a word."""
_BRIDGE_MS = 60  # activity has closed the closures of consonants already


def spots(
    spans: Mapping[int, TokenSpan],
    heard: Emissions,
    activity: Activity,
    end_ms: int,
) -> dict[int, Spot]:
    """Each word's time. ``spans``: by number, in order of singing; nothing outlasts ``end_ms``."""
    numbers = list(spans)
    runs = activity.spans(_BRIDGE_MS)
    told = [spans[number] for number in numbers]
    onsets = _onsets(told, heard.frame_ms, runs)
    likeliest = heard.log_probs.argmax(axis=1)
    found: dict[int, Spot] = {}
    for at, (number, span) in enumerate(zip(numbers, told, strict=True)):
        following = onsets[at + 1] if at + 1 < len(told) else end_ms
        until = told[at + 1].first if at + 1 < len(told) else heard.frames
        end = min(
            following,
            _run_end(runs, round((span.last + 0.5) * heard.frame_ms)),
            _next_sound(likeliest, heard, span.last, until),
        )
        # What the model told is sung, whatever the level says.
        end = max(end, min(following, round((span.last + 1) * heard.frame_ms)))
        end = max(end, min(following, onsets[at] + SHORTEST_MS))
        if end > onsets[at]:
            found[number] = Spot(onsets[at], end, span.score)
    return found


def _onsets(told: Sequence[TokenSpan], frame_ms: float, runs: Sequence[Span]) -> list[int]:
    starts = np.array([run.start_ms for run in runs], np.int64)
    onsets: list[int] = []
    before = -1  # where the word before was told last, ms
    for span in told:
        own = round(span.first * frame_ms)
        low = max(own - _EARLIER_MS, before)
        # Nor may the snap pass the word's own last token.
        high = min(own + _LATER_MS, round(span.last * frame_ms) + 1)
        near = starts[(starts >= low) & (starts <= high)]
        if len(near):
            # the nearest; of two equally near ones the earlier: early beats late
            own = int(near[np.lexsort((near, np.abs(near - own)))[0]])
        onsets.append(max(own, onsets[-1] + 1 if onsets else 0))
        before = round((span.last + 1) * frame_ms)
    return onsets


def _run_end(runs: Sequence[Span], at_ms: int) -> int:
    """The end of the run that sounds at a time; of the last before it where none does."""
    ends = [run.end_ms for run in runs if run.start_ms <= at_ms]
    return ends[-1] if ends else at_ms


def _next_sound(likeliest: np.ndarray, heard: Emissions, last: int, until: int) -> int:
    """The first frame behind a word's last token in which the model hears another one, ms."""
    own = likeliest[last]
    rest = likeliest[last + 1 : until]
    other = np.flatnonzero((rest != heard.blank) & (rest != own))
    frame = last + 1 + int(other[0]) if len(other) else until
    return round(frame * heard.frame_ms)
