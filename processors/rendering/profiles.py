"""What matching has to know of a song: its spectrum where it plays, loudness, dynamics, width.

Taken from the sound itself and not from ``analysis/1``, because a match-EQ needs the fine
spectrum to foresee what its curve makes of a band: 4,096 bands of the rate, not 31.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import fft

from processors.analysis.loudness import LoudnessMeter
from processors.rendering.blocks import Block, regrouped
from processors.rendering.files import SongFile
from processors.rendering.filters import Curve
from schemas.documents.chain import THIRD_OCTAVES_HZ

_SILENT_DB = -60.0
"""RMS in dBFS below which a window is a pause and not part of the spectrum."""

WIDTH_BANDS_HZ = (200.0, 2_000.0)
"""Width is compared below, between and above these."""


@dataclass(frozen=True, slots=True)
class Profile:
    """A song as the matching sees it. Powers are mean squares, full scale 1."""

    seconds: float
    rate: int
    channels: int
    power: Curve
    """Mean power spectrum of all channels where it sounds, ``(bins,)`` from 0 to half the rate."""
    mid: Curve
    side: Curve
    """Power spectra of (left + right)/2 and (left − right)/2; zero side for mono."""
    sounding: float
    """Share of the song that isn't silent, 0 to 1."""
    lufs: float | None
    plr_db: float | None
    """Sample peak − integrated loudness."""

    @property
    def frequencies_hz(self) -> Curve:
        """Of the bins."""
        return np.linspace(0, self.rate / 2, len(self.power))

    def third_octaves_db(self, gain: Curve | None = None) -> Curve:
        """Level in each band of `THIRD_OCTAVES_HZ`, dBFS, after a filter of this gain; NaN where
        the rate holds less than the band."""
        power = self.power if gain is None else self.power * gain**2
        return 10 * np.log10(banded(self.frequencies_hz, power) + 1e-16)


def exact_centres_hz() -> Curve:
    """The exact centres of `THIRD_OCTAVES_HZ` (IEC 61260-1, base ten)."""
    return np.asarray(
        1_000.0 * 10 ** (np.round(10 * np.log10(np.array(THIRD_OCTAVES_HZ) / 1e3)) / 10)
    )


def banded(frequencies_hz: Curve, power: Curve) -> Curve:
    """The power in each third octave. Bins count by their share of a band, so that the low bands,
    narrower than a few bins, get what is theirs."""
    step = frequencies_hz[1]
    summed = np.concatenate(((0.0,), np.cumsum(power)))
    edges = np.concatenate((frequencies_hz - step / 2, (frequencies_hz[-1] + step / 2,)))
    centres = exact_centres_hz()
    low = np.interp(centres * 10**-0.05, edges, summed)
    high = np.interp(centres * 10**0.05, edges, summed)
    return np.where(centres * 10**0.05 > frequencies_hz[-1], np.nan, high - low)


def profile(path: Path) -> Profile:
    """Measure a file. Raises `processors.audio.undecodable.Undecodable`."""
    song = SongFile.open(path)
    return profile_of(song.blocks(), song.rate, song.channels)


def profile_of(blocks: Iterable[Block], rate: int, channels: int) -> Profile:
    """Measure a stream: Hann windows of about 0.2 s, half overlapping (Welch)."""
    size = 1 << math.ceil(math.log2(0.17 * rate))
    window = np.hanning(size)
    scale = 1 / (window @ window) / size
    meter = LoudnessMeter(rate, channels)
    spectra = np.zeros((3, size // 2 + 1))
    heard = windows = frames = 0
    peak = 0.0
    line = np.zeros((channels, 0))
    for second in regrouped(blocks, rate):
        frames += second.shape[1]
        peak = max(peak, float(np.abs(second).max()))
        meter.add(second)
        line = np.concatenate((line, second), axis=1)
        while line.shape[1] >= size:
            part, line = line[:, :size], line[:, size // 2 :]
            windows += 1
            if 10 * math.log10(float(np.mean(part**2)) + 1e-16) < _SILENT_DB:
                continue
            heard += 1
            own = np.abs(fft.rfft(part * window, axis=1)) ** 2
            spectra[0] += own.mean(axis=0)
            if channels == 2:
                middle = np.abs(fft.rfft(part.mean(axis=0) * window)) ** 2
                spectra[1] += middle
                spectra[2] += own.mean(axis=0) - middle
            else:
                spectra[1] += own[0]
    spectra *= 2 * scale / max(heard, 1)
    spectra = np.maximum(spectra, 0.0)
    lufs = meter.reading().integrated
    return Profile(
        seconds=frames / rate,
        rate=rate,
        channels=channels,
        power=spectra[0],
        mid=spectra[1],
        side=spectra[2],
        sounding=heard / max(windows, 1),
        lufs=lufs,
        plr_db=None if lufs is None or peak == 0 else 20 * math.log10(peak) - lufs,
    )
