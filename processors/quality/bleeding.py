"""How much of the voice is left in the minus, in dB below the voice that was taken out.

The stem's own spectrum is looked for in the minus: what of the minus runs in phase with the stem
while somebody sings, bin by bin over the whole song, is voice. A separated stem holds a little of
the band as well, which is in the minus too; where nobody sings that is all they share, and it is
taken off.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from processors.audio.activity import HOP_MS, Activity
from processors.audio.samples import Audio

_WINDOW_S = 0.093
"""4096 samples at 44.1 kHz: resolves harmonics of the lowest voices, 11 Hz apart."""
_LOWEST_HZ, _HIGHEST_HZ = 100.0, 8000.0
"""Where voices have their energy; below is the bass."""
_FEWEST = 20
"""Frames (1 s) with singing, and without it, that an estimate needs."""
_FLOOR_DB = -60.0

Spectra = npt.NDArray[np.complexfloating]


def bleed_db(minus: Audio, vocals: Audio, activity: Activity) -> float | None:
    """The voice in the minus against the voice in the stem, dB (-60 at least).

    None where there is too little singing to tell, or the two don't belong together.
    """
    if minus.rate != vocals.rate or abs(minus.frames - vocals.frames) > minus.rate:
        return None
    size = 1 << round(np.log2(_WINDOW_S * vocals.rate))
    sung = _Sums(size)
    unsung = _Sums(size)
    own, rest = vocals.mono(), minus.mono()
    window = np.hanning(size).astype(np.float32)
    hop = size // 2
    active = activity.active
    for start in range(0, min(len(own), len(rest)) - size + 1, hop):
        first = start * 1000 // (vocals.rate * HOP_MS)
        last = (start + size) * 1000 // (vocals.rate * HOP_MS)
        share = float(active[first:last].mean()) if last > first else 0.0
        into = sung if share > 0.9 else unsung if share < 0.1 else None
        if into is not None:
            part = slice(start, start + size)
            into.add(np.fft.rfft(own[part] * window), np.fft.rfft(rest[part] * window))
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


class _Sums:
    """Power of stem and minus and what they share, summed over frames, by bin."""

    def __init__(self, size: int) -> None:
        self.frames = 0
        self.own = np.zeros(size // 2 + 1)
        self.rest = np.zeros(size // 2 + 1)
        self.cross = np.zeros(size // 2 + 1, np.complex128)

    def add(self, own: Spectra, rest: Spectra) -> None:
        self.frames += 1
        self.own += np.abs(own) ** 2
        self.rest += np.abs(rest) ** 2
        self.cross += rest * np.conj(own)
