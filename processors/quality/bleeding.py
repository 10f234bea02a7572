"""How much of the voice is left in the minus, in dB below the voice that was taken out.

The stem's own spectrum is looked for in the minus: what of the minus runs in phase with the stem
while somebody sings, bin by bin over the whole song, is voice. A separated stem holds a little of
the band as well, which is in the minus too; where nobody sings that is all they share, and it is
taken off.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import fft

from processors.audio.activity import HOP_MS, Activity
from processors.audio.samples import Audio, Samples

_WINDOW_S = 0.093
"""4096 samples at 44.1 kHz: resolves harmonics of the lowest voices, 11 Hz apart."""
_LOWEST_HZ, _HIGHEST_HZ = 100.0, 8000.0
"""Where voices have their energy; below is the bass."""
_FEWEST = 20
"""Frames (1 s) with singing, and without it, that an estimate needs."""
_FLOOR_DB = -60.0
_AT_ONCE = 32  # frames; their spectra stay in a core's cache

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]


def bleed_db(minus: Audio, vocals: Audio, activity: Activity) -> float | None:
    """The voice in the minus against the voice in the stem, dB (-60 at least).

    None where there is too little singing to tell, or the two don't belong together.
    """
    if minus.rate != vocals.rate or abs(minus.frames - vocals.frames) > minus.rate:
        return None
    size = 1 << round(np.log2(_WINDOW_S * vocals.rate))
    length = min(vocals.frames, minus.frames)
    starts = np.arange(0, length - size + 1, size // 2)
    share = _sung(starts, size, vocals.rate, activity)
    own, rest = vocals.mono(), minus.mono()
    sung = _shared(own, rest, starts[share > 0.9], size)
    unsung = _shared(own, rest, starts[share < 0.1], size)
    if sung.frames < _FEWEST:
        return None
    bins = np.fft.rfftfreq(size, 1 / vocals.rate)
    band = (bins >= _LOWEST_HZ) & (bins <= _HIGHEST_HZ)
    cross, voice = sung.cross[band] / sung.frames, sung.own[band] / sung.frames
    # What unrelated sounds share by chance over so many frames, in power.
    chance = sung.rest[band] * sung.own[band] / sung.frames**3
    if unsung.frames >= _FEWEST:
        cross = cross - unsung.cross[band] / unsung.frames
        voice = np.maximum(voice - unsung.own[band] / unsung.frames, 0.1 * voice)
        chance = chance + unsung.rest[band] * unsung.own[band] / unsung.frames**3
    total = float(voice.sum())
    if total <= 0:
        return None
    left = float(((np.abs(cross) ** 2 - chance) / np.maximum(voice, 1e-20)).sum())
    return round(max(_FLOOR_DB, 10 * float(np.log10(max(left / total, 1e-12)))), 1)


def _sung(starts: Indices, size: int, rate: int, activity: Activity) -> Floats:
    """How much of each frame is sung; 0 behind the end of what is known."""
    until = np.concatenate([[0], np.cumsum(activity.active)])
    first, last = (
        np.minimum(edge * 1000 // (rate * HOP_MS), len(activity.active))
        for edge in (starts, starts + size)
    )
    return np.asarray((until[last] - until[first]) / np.maximum(last - first, 1), np.float64)


@dataclass(frozen=True, slots=True)
class _Shared:
    """Power of stem and minus and what they share, summed over frames, by bin."""

    frames: int
    own: Floats
    rest: Floats
    cross: npt.NDArray[np.complex128]


def _shared(own: Samples, rest: Samples, starts: Indices, size: int) -> _Shared:
    window = np.hanning(size).astype(np.float32)
    alone, other = np.zeros((2, size // 2 + 1))
    cross = np.zeros(size // 2 + 1, np.complex128)
    for first in range(0, len(starts), _AT_ONCE):
        chosen = starts[first : first + _AT_ONCE, None] + np.arange(size)
        mine, others = fft.rfft(own[chosen] * window), fft.rfft(rest[chosen] * window)
        alone += _power(mine)
        other += _power(others)
        cross += (others * np.conj(mine)).sum(axis=0, dtype=np.complex128)
    return _Shared(len(starts), alone, other, cross)


def _power(spectra: npt.NDArray[np.complex64]) -> Floats:
    return np.asarray((spectra.real**2 + spectra.imag**2).sum(axis=0, dtype=np.float64))
