"""The light backend's ears, lent to a speech model: which language a line is sung in.

A CTC model hears letters of the one language that it was trained on. Whatever is sung, its
log-probabilities say how well a text fits in that language's letters, and nothing of how the same
text would sound in another; a text in the wrong language fits worse than a right one, and so does
one of another song. Sounds differ between languages: cepstra of the stem are kept beside what the
model heard, and a line is compared in the phones of each language it may be in.

Only the lines that are asked for are scored, in the colour of the song's mean (`first_bias`): 324
of 428 wrong languages are above the threshold then, and none of 88 right ones (``python -m
tests.bench.bench_languages``). The colour that a first pass over these lines tells costs as much
again and found no more of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache, cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from processors.alignment.cepstra import at_model_rate, cepstra
from processors.alignment.hearing import Floats, Hearing, first_bias, hearing
from processors.alignment.light import LightHeard
from processors.alignment.pronunciation import Pronouncer
from processors.audio.activity import HOP_MS, Activity
from processors.audio.samples import Audio


def ears(vocals: Audio, activity: Activity) -> Ears:
    """What of a stem is kept for them."""
    return Ears(cepstra(at_model_rate(vocals)), activity)


class Ears:
    """Cepstra of a stem ``(frames, 13)``, rounded to what is kept of them, and where it is sung."""

    def __init__(self, statics: npt.NDArray[np.floating[Any]], activity: Activity) -> None:
        self.statics = statics.astype(np.float16, copy=False)
        self._activity = activity
        self._parts: dict[tuple[int, int], LightHeard] = {}

    @cached_property
    def _hearing(self) -> Hearing:
        return hearing(self.statics.astype(np.float32), self._activity)

    @cached_property
    def _bias(self) -> Floats:
        return first_bias(self._hearing)

    def fit(
        self, lines: Sequence[Sequence[str]], language: str, start_ms: int, end_ms: int
    ) -> float | None:
        """See ``Heard.fit``. Each stretch is scored once, whatever languages it is read in."""
        first = min(max(start_ms, 0) // HOP_MS, self._hearing.frames)
        last = min(end_ms // HOP_MS, self._hearing.frames)
        if last <= first:
            return None
        part = self._parts.get((first, last))
        if part is None:
            part = self._parts[first, last] = self._part(first, last)
        return part.fit(lines, language, 0, (last - first) * HOP_MS)

    def _part(self, first: int, last: int) -> LightHeard:
        whole, inside = self._hearing, slice(first, last)
        sung = replace(
            whole.activity, rms=whole.activity.rms[inside], active=whole.activity.active[inside]
        )
        part = Hearing(whole.statics[inside], whole.active[inside], whole.voice[inside], sung)
        return LightHeard(_pronouncer(), part, self._bias, (last - first) * HOP_MS)


@cache
def _pronouncer() -> Pronouncer:
    """Held by the child process from one song to the next, as the light aligner's is."""
    return Pronouncer()
