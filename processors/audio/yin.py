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
WINDOW = RATE // 20  # 50 ms: three periods of C2
SHORTEST_LAG = int(RATE / HIGHEST_HZ)
LONGEST_LAG = int(RATE / LOWEST_HZ) + 1
FRAME = WINDOW + LONGEST_LAG
"""Samples that one decision looks at."""
FFT_SIZE = int(fft.next_fast_len(FRAME, real=True))
"""Long enough that no lag of interest wraps around."""


@dataclass(frozen=True, slots=True)
class Dips:
    """Of each frame: ``lags`` and ``depths`` ``(frames, places)``; depth ∞ where no dip is."""

    lags: Lags
    depths: Lags


def frames(sound: Lags) -> Lags:
    """``(frames, FRAME)`` views, 10 ms apart; none when the sound at `RATE` is shorter."""
    if len(sound) < FRAME:
        return np.empty((0, FRAME), sound.dtype)
    return np.lib.stride_tricks.sliding_window_view(sound, FRAME)[::HOP]


def normalised_difference(cut: Lags) -> Lags:
    """YIN's d' of each frame at lags 0 to the longest, ``(frames, lags)`` (equations 6 and 8)."""
    head = fft.rfft(cut[:, :WINDOW], FFT_SIZE)
    whole = fft.rfft(cut, FFT_SIZE)
    product = fft.irfft(np.conj(head) * whole, FFT_SIZE)[:, : LONGEST_LAG + 1]
    # the energy of the shifted window, from lag to lag: one sample in, one sample out
    energy = np.empty(product.shape)
    energy[:, 0] = np.einsum("fn,fn->f", cut[:, :WINDOW], cut[:, :WINDOW])
    gone = np.square(cut[:, :LONGEST_LAG], dtype=np.float64)
    come = np.square(cut[:, WINDOW : WINDOW + LONGEST_LAG], dtype=np.float64)
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
    shift = np.divide(0.5 * (before - after), bend, out=np.zeros_like(bend), where=bend > 0)
    depths = np.where(bottoms, here - 0.25 * (before - after) * shift, np.inf)
    return Dips(np.arange(1.0, LONGEST_LAG) + shift, depths)
