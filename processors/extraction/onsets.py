"""``onsets``: when sounds begin, by peaks of the spectral flux (Böck et al., ISMIR 2012)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from processors.extraction.beats import refined
from processors.extraction.extractor import Context, Cost, Extraction, Features, Sound
from processors.extraction.frames import Rows, rounded
from processors.extraction.sound import Block

Curve = npt.NDArray[np.float64]

_TOP_S = 0.05  # the highest within 50 ms to either side …
_AROUND_S = 0.5  # … and above the level of the half second to either side
_TIMES = 1.4
"""A rise is this many times the level around it: a hiss rises and falls by a tenth all the time."""
_ABOVE = 0.12  # of the piece's strong rises (95th percentile)
_LEAST = 0.02
"""Compressed rise that a hiss does not reach."""


class OnsetExtractor:
    """See the module."""

    name, version, device = "onsets", "1", "shared"
    description = "Onset times and strengths, onsets a second."

    def cost(self, seconds: float, rate: int) -> Cost:
        """Peaks of one curve."""
        return Cost(0.0005 * seconds, round(43 * 8 * seconds))

    def extract(self, audio: Sound, context: Context) -> Extraction:
        """Begin with a file."""
        return _Onsets(context.frame_rate)


class _Onsets:
    def __init__(self, frame_rate: float) -> None:
        self._frame_rate = frame_rate
        self._envelope = Rows()
        self._seconds = 0.0

    def add(self, block: Block) -> None:
        self._envelope.add(block.rises.mean(axis=1))

    def finish(self) -> Features:
        envelope = self._envelope.whole().astype(np.float64)
        places = peaks(envelope, self._frame_rate)
        times = places / self._frame_rate
        strengths = envelope[np.round(places).astype(np.int64)] if len(places) else places
        seconds = len(envelope) / self._frame_rate
        gaps = np.diff(times)
        return Features(
            {
                "count": len(times),
                "rate_per_s": rounded(len(times) / seconds) if seconds else 0.0,
                "median_interval_s": rounded(np.median(gaps)) if len(gaps) else None,
                "mean_strength": rounded(strengths.mean(), 4) if len(strengths) else None,
            },
            reasons={
                name: "too few onsets were found"
                for name, missing in (
                    ("median_interval_s", not len(gaps)),
                    ("mean_strength", not len(strengths)),
                )
                if missing
            },
            arrays={
                "onsets_s": times,
                "strengths": strengths,
                "envelope": envelope.astype(np.float32),
            },
            units={"onsets_s": "s", "envelope": "compressed mel flux a frame"},
            parameters={"hop_s": 1 / self._frame_rate},
        )


def peaks(envelope: Curve, frame_rate: float) -> Curve:
    """Frames (with fractions) where the envelope tops what is around it."""
    if len(envelope) < 3:
        return np.zeros(0)
    top = max(1, round(_TOP_S * frame_rate))
    around = round(_AROUND_S * frame_rate)
    highest = ndimage.maximum_filter1d(envelope, 2 * top + 1, mode="constant")
    level = ndimage.uniform_filter1d(envelope, 2 * around + 1, mode="nearest")
    threshold = _TIMES * level + max(_ABOVE * float(np.percentile(envelope, 95)), _LEAST)
    found = np.flatnonzero((envelope >= highest) & (envelope > threshold))
    return refined(envelope, found) if len(found) else np.zeros(0)
