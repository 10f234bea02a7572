"""From any number of channels to one or two."""

from __future__ import annotations

import numpy as np

from processors.audio.samples import Samples

MOST_CHANNELS = 8
_HALF_POWER = np.sqrt(0.5)  # -3 dB, ITU-R BS.775-3 table 2
_ROLES = {  # default WAVE orders by count: L, R, C, F(LFE), B(ack centre), l/r (any surround)
    3: "LRC",
    4: "LRlr",
    5: "LRClr",
    6: "LRCFlr",
    7: "LRCFBlr",
    8: "LRCFlrlr",
}
_GAINS = {
    "L": (1.0, 0.0),
    "R": (0.0, 1.0),
    "C": (_HALF_POWER, _HALF_POWER),
    "F": (0.0, 0.0),  # BS.775 leaves the effects channel out
    "B": (0.5, 0.5),
    "l": (_HALF_POWER, 0.0),
    "r": (0.0, _HALF_POWER),
}


def matrix(channels: int, wanted: int) -> Samples:
    """Gains ``(wanted, channels)``; a sum that can't clip what didn't clip before.

    Surround folds to stereo by ITU-R BS.775-3; mono is the mean of that; stereo from mono is the
    same sound twice. Raises ``KeyError`` for more than `MOST_CHANNELS`.
    """
    if channels == 1:
        return np.ones((wanted, 1), dtype=np.float32)
    if channels == 2:
        stereo = np.eye(2)
    else:
        stereo = np.array([_GAINS[role] for role in _ROLES[channels]]).T
        stereo /= stereo.sum(axis=1, keepdims=True)
    if wanted == 1:
        stereo = stereo.mean(axis=0, keepdims=True)
    return stereo.astype(np.float32)
