"""The lead voice without those that back it, out of the vocal stem of a stereo song.

Mixers put the lead in the middle and spread the backing voices to both sides. What both channels
have in common, at each frequency and moment, is the lead (after Avendano and Jot 2004, who tell
from the similarity of the channels where a source stands); the rest is the backing. A lead that
stands aside, backing voices in the middle and reverberation go the wrong way: a model that was
trained for it (``LEAD_SPLIT``) hears better.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import uniform_filter

from processors.audio.samples import Audio, Samples
from processors.separation.light import in_segments
from processors.separation.separator import Progress, Stems
from processors.separation.spectrum import Transform

_WINDOW_S = 0.093  # 4,096 samples at 44.1 kHz: tells harmonics of two voices apart
_SMOOTHED = (3, 5)  # frames and bins: one alone says little about where a source stands
_SHARPNESS = 4.0
"""Power of the similarity: equal voices hard left or right, with the lead in the middle, have 0 and
1; what is in between belongs to both."""
_TINY = np.float32(1e-12)


class CentreSplitter:
    """A ``Separator`` of vocal stems: ``vocals`` is the lead, ``minus`` the backing voices."""

    name = "light"
    model = "centre/1"
    hash = ""
    device = "cpu"
    gpu_mib = 0
    fallback = ""

    def separate(self, mix: Audio, progress: Progress) -> Stems:
        """Split a vocal stem; one in mono, or the same on both sides, is all lead."""
        if mix.channels == 1:
            progress(1.0)
            lead = mix.samples.copy()
        else:
            lead = in_segments(mix, _lead_of, progress)
        return Stems(Audio(lead, mix.rate), Audio(mix.samples - lead, mix.rate))


def _lead_of(samples: Samples, rate: int, progress: Progress) -> Samples:
    transform = Transform(4 * max(1, round(_WINDOW_S * rate / 4)))
    spectrum = transform.forward(samples)
    left, right = spectrum
    common = uniform_filter((left * right.conj()).real, _SMOOTHED)
    both = uniform_filter(np.abs(left) ** 2 + np.abs(right) ** 2, _SMOOTHED)
    progress(0.5)
    similarity = np.clip(2 * common / (both + _TINY), 0, 1)
    middle = (left + right) / 2 * similarity**_SHARPNESS
    lead = transform.inverse(np.stack([middle, middle]).astype(np.complex64), samples.shape[1])
    progress(1.0)
    return lead
