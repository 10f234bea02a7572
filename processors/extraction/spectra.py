"""What extractors share of a spectrum: mel bands, cepstra, pitch classes, shapes, flux.

Definitions are librosa's where it has one (Slaney's mel scale and area norm, orthonormal DCT-II),
so that figures can be compared; levels are absolute (full scale = 0 dB), so that blocks can be
worked on one after another.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Protocol

import numpy as np
import numpy.typing as npt
from scipy import fft, signal, sparse

Floats = npt.NDArray[np.float32]

RATE_HZ = 22_050
"""The analysis rate: what librosa and most published features use; music's pulse, harmony and
timbre lie below 11 kHz."""
WINDOW = 2048  # samples, 93 ms: bins 10.8 Hz apart
HOP = 512  # 23 ms
FRAME_RATE = RATE_HZ / HOP
BINS = WINDOW // 2 + 1

MELS = 128
CEPSTRA = 20
STEPS_A_SEMITONE = 5
"""Chroma is folded with the tuning known only at the end, so it is kept in fifths of a semitone."""
CLASSES = 12 * STEPS_A_SEMITONE

_QUIETEST = 1e-10  # power; librosa's amin
_LOWEST_PEAK_HZ, _HIGHEST_PEAK_HZ = 100.0, 4_200.0
"""Pitch classes: below, neighbouring notes share a bin; above, partials no longer name a note."""
PEAK_FLOOR = 1e-2  # −40 dB below the frame's strongest peak
_FLUX_GAIN = 1e3
"""Compression of the flux, log(1 + g·mel): what lies 60 dB below full scale counts little."""


def hann() -> Floats:
    """The window of every spectrum, periodic."""
    return np.asarray(signal.get_window("hann", WINDOW), np.float32)


def hertz() -> Floats:
    """The frequency of each bin."""
    return np.asarray(np.arange(BINS) * (RATE_HZ / WINDOW), np.float32)


@lru_cache
def mel_filters() -> Floats:
    """``(MELS, BINS)``: triangles on Slaney's scale from 0 to half the rate, of equal area."""
    top = _mel(np.array(RATE_HZ / 2))
    edges = _hz(np.linspace(0.0, float(top), MELS + 2))
    ramps = edges[:, None] - hertz()[None, :].astype(np.float64)
    widths = np.diff(edges)
    rising = -ramps[:-2] / widths[:-1, None]
    falling = ramps[2:] / widths[1:, None]
    filters = np.maximum(0, np.minimum(rising, falling))
    filters *= (2 / (edges[2:] - edges[:-2]))[:, None]
    return filters.astype(np.float32)


@lru_cache
def _sparse_mel() -> sparse.csr_array:
    """Nine filters in ten bins are zero."""
    return sparse.csr_array(mel_filters())


def _mel(hz: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Slaney, Auditory Toolbox (1998): linear to 1 kHz, logarithmic above."""
    log = 15 + np.log(np.maximum(hz, 1e-9) / 1000) * (27 / np.log(6.4))
    return np.asarray(np.where(hz < 1000, hz * 3 / 200, log))


def _hz(mel: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.asarray(
        np.where(mel < 15, mel * 200 / 3, 1000 * np.exp((mel - 15) * np.log(6.4) / 27))
    )


@lru_cache
def cosines() -> Floats:
    """``(MELS, CEPSTRA)``: the orthonormal DCT-II."""
    return fft.dct(np.eye(MELS), type=2, norm="ortho", axis=0)[:CEPSTRA].T.astype(np.float32)


class Spectra(Protocol):
    """The shared computations of a device; everything comes and goes as numpy arrays."""

    @property
    def device(self) -> str:
        """cpu, cuda, …"""
        ...

    def magnitudes(self, windows: Floats) -> Floats:
        """``(frames, WINDOW)`` of samples to ``(frames, BINS)``; a full-scale sine reaches
        WINDOW / 4 as in librosa."""
        ...

    def mel(self, magnitudes: Floats) -> Floats:
        """Mel power ``(frames, MELS)``."""
        ...

    def cepstra(self, mel: Floats) -> Floats:
        """MFCC ``(frames, CEPSTRA)`` of the mel power in dB."""
        ...

    def chroma(self, magnitudes: Floats) -> Floats:
        """Peak magnitude by pitch class in fifths of a semitone, ``(frames, CLASSES)``, the
        first five around C."""
        ...

    def shapes(self, magnitudes: Floats) -> Floats:
        """Centroid, bandwidth, roll-off at 85 % (Hz) and flatness, ``(frames, 4)``."""
        ...


class CpuSpectra:
    """By scipy and numpy."""

    device = "cpu"

    def __init__(self) -> None:
        self._window = hann()

    def magnitudes(self, windows: Floats) -> Floats:
        """See `Spectra`."""
        return np.abs(fft.rfft(windows * self._window, axis=1))

    def mel(self, magnitudes: Floats) -> Floats:
        """See `Spectra`."""
        return np.ascontiguousarray((_sparse_mel() @ np.square(magnitudes).T).T)

    def cepstra(self, mel: Floats) -> Floats:
        """See `Spectra`."""
        decibels = np.float32(10) * np.log10(np.maximum(mel, np.float32(_QUIETEST)))
        cepstra: Floats = decibels @ cosines()
        return cepstra

    def chroma(self, magnitudes: Floats) -> Floats:
        """See `Spectra`."""
        first, last = peak_range()
        part = magnitudes[:, first - 1 : last + 1]
        before, here, after = part[:, :-2], part[:, 1:-1], part[:, 2:]
        floor = PEAK_FLOOR * here.max(axis=1, keepdims=True)
        rows, bins = np.nonzero((here > before) & (here >= after) & (here > floor))
        left, top, right = (
            np.log(np.maximum(each[rows, bins], 1e-12)) for each in (before, here, after)
        )
        bend = left - 2 * top + right
        shift = np.divide(0.5 * (left - right), bend, out=np.zeros_like(bend), where=bend < -1e-9)
        hz = (bins + first + shift) * np.float32(RATE_HZ / WINDOW)
        steps = np.floor(CLASSES * np.log2(hz / np.float32(C0_HZ)) + 0.5 * STEPS_A_SEMITONE)
        classes = steps.astype(np.int64) % CLASSES
        flat = np.bincount(rows * CLASSES + classes, here[rows, bins], len(magnitudes) * CLASSES)
        return flat.reshape(-1, CLASSES).astype(np.float32)

    def shapes(self, magnitudes: Floats) -> Floats:
        """See `Spectra`."""
        hz = hertz()
        total = magnitudes.sum(axis=1)
        safe = np.maximum(total, np.float32(1e-12))
        centroid = magnitudes @ hz / safe
        spread = np.maximum(magnitudes @ np.square(hz) / safe - np.square(centroid), 0)
        running = np.cumsum(magnitudes, axis=1)
        rolled = (running < np.float32(0.85) * running[:, -1:]).sum(axis=1)
        power = np.maximum(np.square(magnitudes), np.float32(_QUIETEST))
        flatness = np.exp(np.log(power).mean(axis=1)) / power.mean(axis=1)
        return np.stack(
            [centroid, np.sqrt(spread), hz[np.minimum(rolled, BINS - 1)], flatness], axis=1
        ).astype(np.float32)


C0_HZ = 440.0 * 2 ** (-57 / 12)


def peak_range() -> tuple[int, int]:
    """First and one past the last bin where peaks name pitch classes."""
    return (
        round(_LOWEST_PEAK_HZ * WINDOW / RATE_HZ),
        round(_HIGHEST_PEAK_HZ * WINDOW / RATE_HZ),
    )


def compressed(mel: Floats) -> Floats:
    """Mel magnitudes on a scale on which attacks of quiet and loud instruments compare.

    The windows' gain is taken off first, so that 1 is a full-scale sine.
    """
    level = np.sqrt(mel) * np.float32(4 / WINDOW)
    return np.asarray(np.log1p(np.float32(_FLUX_GAIN) * level))
