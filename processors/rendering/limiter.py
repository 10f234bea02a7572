"""The look-ahead true-peak limiter.

For every frame the envelope of the true peaks (8 times the rate, all channels together) says
which gain would just fit. From there to the gain that is applied:

1. the running minimum over hold and look-ahead (`scipy.ndimage.minimum_filter1d`, exact);
2. exponential release of what was taken off: ``a[n] = max(a[n], α · a[n−1])``, which is a
   running maximum of ``a[n] · α^-n`` and so exact as well, without a loop;
3. three moving averages as long as the look-ahead together: smooth to the second derivative,
   and never above the minimum they average over.

Since the gain is smooth over the interpolator's length, the wave between the samples follows
it to the second order. What that and the difference between 8 and 16 times leave over is mostly
within `MARGIN_DB`; the renderer measures the result at 16 times, and aims lower where it is not.
Zero gain change leaves the sound as it came, bit by bit.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt
from scipy import ndimage, signal

from processors.rendering.blocks import Block, grid_frames, regrouped, through
from processors.rendering.filters import Delay
from processors.rendering.truepeak import Envelope, PeakEnvelope, TruePeak
from schemas.documents.chain import Limiter

GUARD_DB = 0.1
"""Below the ceiling as we measure it, so that other meters, whose interpolators differ by as much
on cymbals and hiss up to the Nyquist frequency, see the ceiling kept as well."""

MARGIN_DB = GUARD_DB + 0.03
"""Detection aims below the ceiling by this: what 8 times the rate and a moving gain leave open,
and the guard."""

OFFSET_S = 2.0
"""Limiting an asymmetric wave leaves an offset. What was taken off is followed by two poles of this
time constant each and given back. Slow, and two, since a faster or a single one hands a bass note's
own ripple back over the ceiling: as it is by 0.1 dB where 30 dB are taken off 50 Hz, by nothing
where it is 18. It is local, where one constant for the song would put a step into the silence at
its ends."""

Gains = npt.NDArray[np.float64]


class GainCurve:
    """From envelope to gain, ``latency`` frames later. One serves one pass over a song."""

    def __init__(self, settings: Limiter, rate: int) -> None:
        self._grid = grid_frames(rate)
        box = max(1, round(settings.lookahead_ms / 1000 * rate / 3))
        self._box = box
        reach = 3 * box  # three boxes span 3 · box - 2 frames
        self.latency = reach + 1
        hold = round(settings.hold_ms / 1000 * rate)
        self._window = hold + reach + 2
        self._threshold = 10 ** ((settings.ceiling_dbtp - MARGIN_DB) / 20)
        decay = -1 / (settings.release_ms / 1000 * rate)
        self._fading = np.exp(decay * np.arange(1, self._grid + 1))
        self._wanted = np.ones(self._window - 1)
        self._taken = 0.0
        self._runs = [np.zeros(box - 1) for _ in range(3)]

    def __call__(self, envelope: Envelope, gain: float) -> Gains:
        """The factor for each frame of a grid block, for an envelope ``gain`` times as high."""
        height = envelope.astype(np.float64) * gain
        wanted = np.minimum(1.0, self._threshold / np.maximum(height, 1e-9))
        line = np.concatenate((self._wanted, wanted))
        self._wanted = line[self._grid :]
        if line.min() == 1.0 and self._taken < 1e-9 and not any(run.any() for run in self._runs):
            self._taken = 0.0
            return np.ones(self._grid)
        first = self._window // 2
        lowest = ndimage.minimum_filter1d(line, self._window, mode="nearest")
        off = 1.0 - lowest[first : first + self._grid]
        off = np.maximum.accumulate(np.maximum(off / self._fading, self._taken)) * self._fading
        self._taken = float(off[-1])
        for number, run in enumerate(self._runs):
            longer = np.concatenate((run, off))
            self._runs[number] = longer[self._grid :]
            sums = np.concatenate(((0.0,), np.cumsum(longer)))
            off = (sums[self._box :] - sums[: -self._box]) / self._box
        return 1.0 - np.maximum(off, 0.0)


class LimiterAtWork:
    """A processor: the limiter over a stream, with a fixed gain before it.

    With ``envelopes`` those are used instead of looking for peaks again: the envelope of the
    input, one grid block at a time, undelayed.
    """

    def __init__(
        self,
        settings: Limiter,
        rate: int,
        channels: int,
        *,
        gain_db: float = 0.0,
        envelopes: Iterator[Envelope] | None = None,
    ) -> None:
        self._gain = 10 ** (gain_db / 20)
        self._curve = GainCurve(settings, rate)
        self._peaks = PeakEnvelope(channels) if envelopes is None else None
        self._envelopes = envelopes
        self.latency = self._curve.latency + (self._peaks.latency if self._peaks else 0)
        self._delay = Delay(self.latency, channels)
        pole = math.exp(-1 / (OFFSET_S * rate))
        self._follower = np.array([[1 - pole, 0.0, 0.0, 1.0, -pole, 0.0]] * 2)
        self._followed = np.zeros((2, channels, 2))
        self.deepest = 1.0
        """The lowest gain so far."""

        self.gains: deque[Gains] = deque(maxlen=1)
        """The last block's gains, for whoever draws them."""

    def __call__(self, block: Block) -> Block:
        """The next grid block, limited."""
        if self._peaks is not None:
            envelope = self._peaks(block)
        else:
            assert self._envelopes is not None
            envelope = next(self._envelopes)
        gains = self._curve(envelope, self._gain)
        self.gains.append(gains)
        self.deepest = min(self.deepest, float(gains.min()))
        sound = self._delay(block) * self._gain
        if gains.min() == 1.0 and not self._followed.any():
            return sound
        limited = sound * gains
        offset, self._followed = signal.sosfilt(
            self._follower, limited - sound, axis=1, zi=self._followed
        )
        return np.asarray(limited - offset)


def limit(settings: Limiter, blocks: Iterable[Block], rate: int, channels: int) -> Iterator[Block]:
    """The limiter alone over a stream: no true peak above the ceiling but for `MARGIN_DB`'s
    remainder; only a whole-song renderer can trim."""
    return through(LimiterAtWork(settings, rate, channels), blocks, grid=grid_frames(rate))


def true_peak(blocks: Iterable[Block], channels: int) -> float:
    """The highest true peak of a stream at 16 times the rate, full scale 1."""
    meter = TruePeak(channels)
    for block in regrouped(blocks, 1 << 15):
        meter.add(block)
    return meter.finish()
