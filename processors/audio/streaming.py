"""A song block by block at its own rate and channels, for what must not hold it in memory.

The same refusals as `decode`, by the same names; those that only the samples can tell (not
finite, cut off, too long) come from the iterator.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from processors.audio.decoding import (
    SoundFacts,
    Source,
    check_length,
    not_finite,
    opened,
    too_long,
    unreadable,
)
from processors.audio.samples import Samples
from processors.audio.undecodable import Undecodable

_LOUDEST = 1e4
"""+80 dBFS. Floating-point masters run a few dB over full scale; this far out it is damage."""
_SLACK_S = 1.0  # FFmpeg is asked for a little more than the limit, so that passing it shows


@dataclass(frozen=True, slots=True)
class SoundStream:
    """``blocks`` are ``(frames, channels) float32`` and can be read once."""

    facts: SoundFacts
    blocks: Iterator[Samples]


@contextmanager
def stream(path: Path, *, max_seconds: float, min_seconds: float = 0.0) -> Iterator[SoundStream]:
    """Open a song to be read in blocks. Raises `Undecodable`, here or while it is read."""
    with opened(path, max_seconds + _SLACK_S) as source:
        seconds = source.facts.seconds
        if seconds is not None and seconds > max_seconds:
            raise too_long(max_seconds, seconds)
        yield SoundStream(source.facts, _checked(source, max_seconds, min_seconds))


def _checked(source: Source, max_seconds: float, min_seconds: float) -> Iterator[Samples]:
    facts, frames = source.facts, 0
    try:
        for block in source.blocks:
            frames += len(block)
            if frames > max_seconds * facts.rate:
                raise too_long(max_seconds, None)
            peak = max(float(block.max(initial=0.0)), -float(block.min(initial=0.0)))
            if not np.isfinite(peak):
                raise not_finite()
            if peak > _LOUDEST:
                raise Undecodable(
                    "damaged",
                    f"The file holds samples {20 * np.log10(peak):.0f} dB above full scale, which"
                    " no export means; export the song again.",
                )
            yield block
    except soundfile.LibsndfileError:
        raise unreadable(facts) from None
    check_length(frames / facts.rate, facts, min_seconds)
