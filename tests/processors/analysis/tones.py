"""The test signals of EBU Tech 3341 and 3342."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
from scipy import signal

Wave = npt.NDArray[np.float64]

TONE_HZ = 1_000.0


def tones(
    rate: int, parts: Iterable[tuple[float, Sequence[float] | float | None]], channels: int = 2
) -> Wave:
    """1 kHz tones one after the other, ``(frames, channels)``.

    A part is (seconds, peak dBFS of each channel, or of all, or None for silence).
    """
    levels, lengths = [], []
    for seconds, peak in parts:
        peaks = np.full(channels, -np.inf) if peak is None else np.broadcast_to(peak, channels)
        levels.append(10 ** (np.asarray(peaks, np.float64) / 20))
        lengths.append(round(seconds * rate))
    envelope = np.repeat(np.array(levels), lengths, axis=0)
    phase = 2 * np.pi * TONE_HZ * np.arange(len(envelope)) / rate
    wave: Wave = envelope * np.sin(phase)[:, None]
    return wave


def faded_sine(rate: int, divisor: int, degrees: float, peak: float, seconds: float = 1.0) -> Wave:
    """Cases 15 to 19: a sine at rate / ``divisor`` with fades of 10 ms, in both channels."""
    count = np.arange(round(seconds * rate))
    wave = peak * np.sin(2 * np.pi * count / divisor + np.radians(degrees))
    fade = np.minimum(1, count / (0.01 * rate))
    return np.repeat((wave * fade * fade[::-1])[:, None], 2, axis=1)


def burst(rate: int, offset: int) -> Wave:
    """Cases 20 to 23: one period of rate/4 at 1.00 inside rate/6 at 0.50, between the samples.

    Made at four times the rate, spliced at zero crossings, low-passed, and decimated from
    ``offset`` on.
    """
    slow = 0.5 * np.sin(2 * np.pi * np.arange(24 * 100) / 24)
    fast = np.sin(2 * np.pi * np.arange(16) / 16)
    dense = np.concatenate([slow, fast, slow])
    count = np.arange(len(dense))
    fade = np.minimum(1, np.minimum(count, count[::-1]) / (0.01 * 4 * rate / 4))
    taps = signal.firwin(511, 0.95 / 4, window=("kaiser", 10.0))
    smooth = np.convolve(dense * fade, taps, mode="same")
    return np.repeat(smooth[offset::4][:, None], 2, axis=1)
