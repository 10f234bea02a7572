"""YIN: how much a frame differs from itself one lag later, and the dips that may be its period.

de Cheveigné and Kawahara, "YIN, a fundamental frequency estimator for speech and music", JASA 111
(2002), 1917. Written here because the kept library for F0, pyworld, comes without wheels and so
would ask users for a compiler.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import fft

Lags = npt.NDArray[np.floating[Any]]

RATE = 16_000
"""Hz; a period of the highest note has 15 samples."""

BANDWIDTH_HZ = 2_000
"""What is above is taken off: it says nothing of the period, and makes dips so narrow that they
fall between two lags."""

LOWEST_HZ, HIGHEST_HZ = 65.0, 1_050.0
"""C2 to C6: from a low bass to a soprano's top."""

HOP = RATE // 100  # 10 ms
WINDOW = RATE // 20
"""50 ms, three periods of C2: for notes that are held."""
SHORTEST_LAG = int(RATE / HIGHEST_HZ)
LONGEST_LAG = int(RATE / LOWEST_HZ) + 1


@dataclass(frozen=True, slots=True)
class Dips:
    """Of each frame: ``lags`` and ``depths`` ``(frames, places)``; depth ∞ where no dip is."""

    lags: Lags
    depths: Lags


def frames(sound: Lags, window: int = WINDOW) -> Lags:
    """``(frames, window + longest lag)`` views, 10 ms apart; none when the sound is shorter."""
    length = window + LONGEST_LAG
    if len(sound) < length:
        return np.empty((0, length), sound.dtype)
    return np.lib.stride_tricks.sliding_window_view(sound, length)[::HOP]


def fft_size(length: int) -> int:
    """For frames of ``length`` samples: long enough that no lag of interest wraps around."""
    return int(fft.next_fast_len(length, real=True))


def normalised_difference(cut: Lags) -> Lags:
    """YIN's d' of each frame at lags 0 to the longest, ``(frames, lags)`` (equations 6 and 8)."""
    window, size = cut.shape[1] - LONGEST_LAG, fft_size(cut.shape[1])
    head = fft.rfft(cut[:, :window], size)
    whole = fft.rfft(cut, size)
    product = fft.irfft(np.conj(head) * whole, size)[:, : LONGEST_LAG + 1]
    # the energy of the shifted window, from lag to lag: one sample in, one sample out
    energy = np.empty(product.shape)
    energy[:, 0] = np.einsum("fn,fn->f", cut[:, :window], cut[:, :window])
    gone = np.square(cut[:, :LONGEST_LAG], dtype=np.float64)
    come = np.square(cut[:, window:], dtype=np.float64)
    energy[:, 1:] = energy[:, :1] + np.cumsum(come - gone, axis=1)
    difference = np.maximum(energy[:, :1] + energy - 2 * product, 0.0)
    mean = np.cumsum(difference[:, 1:], axis=1) / np.arange(1, LONGEST_LAG + 1)
    normal = np.ones_like(difference)
    np.divide(difference[:, 1:], mean, out=normal[:, 1:], where=mean > 1e-12)
    return normal


def dips(normal: Lags) -> Dips:
    """The local minima of d', each placed between the lags by a parabola (YIN, step 5)."""
    before, here, after = normal[:, :-2], normal[:, 1:-1], normal[:, 2:]
    bottoms = (here <= before) & (here < after)
    bottoms[:, : SHORTEST_LAG - 1] = False
    bend = before - 2 * here + after
    steep = bottoms & (bend > 0)
    shift = np.divide(0.5 * (before - after), bend, out=np.zeros_like(bend), where=steep)
    depths = np.where(bottoms, here - 0.25 * (before - after) * shift, np.inf)
    return Dips(np.arange(1.0, LONGEST_LAG) + shift, depths)


def nearer(cut: Lags, hz: Lags, window: int) -> Lags:
    """Pitches ``(frames,)`` found again in ``window`` samples about the middle of each frame.

    A long window is sure of the octave and averages over vibrato; a short one that is told where
    to look is neither. Pitches move by less than two lags.
    """
    lags = np.round(RATE / hz).astype(np.int64)
    start = (cut.shape[1] - window - lags) // 2
    rows = np.arange(len(cut))[:, None]
    still = np.arange(window)
    early = cut[rows, start[:, None] + still]
    reach = np.arange(-_NEAR, _NEAR + 1)
    moved = start[:, None] + lags[:, None] + np.arange(-_NEAR, window + _NEAR)
    late = np.lib.stride_tricks.sliding_window_view(
        cut[rows, np.clip(moved, 0, cut.shape[1] - 1)], window, axis=1
    )
    difference = np.square(late - early[:, None, :]).sum(axis=2)
    best = difference[:, 1:-1].argmin(axis=1) + 1
    flat = np.arange(len(cut))
    before, here, after = (difference[flat, best + step] for step in (-1, 0, 1))
    bend = before - 2 * here + after
    bottom = (here <= before) & (here <= after) & (bend > 0)
    shift = np.divide(0.5 * (before - after), bend, out=np.zeros(len(cut)), where=bottom)
    return np.asarray(np.where(bottom, RATE / (lags + reach[best] + shift), hz))


_NEAR = 3  # lags to either side
