"""True peak: the wave between the samples, eight times oversampled (BS.1770-5, annex 2).

Most of a song can't hold the peak, and that can be known without oversampling. The interpolator
keeps straight lines straight, so each of its phases is linear interpolation plus a short filter
``g`` over second differences: |y| ≤ max(|x₀|, |x₁|) + Σ|g| · max|δ²x|. Only where this bound
exceeds what is already known is the wave computed; the result is that of computing it everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.float32]
Taps = npt.NDArray[np.float64]

OVERSAMPLING = 8
"""4× misses up to 0.35 dB on clipped noise; 8× less than 0.14 dB below 0.45 of the rate."""
_REACH = 24  # samples to either side of an interval; the band up to 0.45 of the rate is flat
_KAISER_BETA = 8.0  # about −80 dB beside the pass band
_CHUNK = 32  # samples that are judged together
_ROUNDING = np.float32(1e-5)  # of full scale; more than float32 arithmetic can lose


def _phases() -> Taps:
    """Taps ``(7, 48)`` for the seven points inside an interval, each exact on straight lines."""
    offsets = np.arange(1 - _REACH, _REACH + 1)
    rows = []
    for phase in range(1, OVERSAMPLING):
        t = phase / OVERSAMPLING
        distance = offsets - t
        window = np.i0(_KAISER_BETA * np.sqrt(1 - (distance / (_REACH + 0.5)) ** 2))
        taps = np.sinc(distance) * window / np.i0(_KAISER_BETA)
        # the least change in the middle that makes Σh = 1 and Σ(k − t)h = 0
        near = np.stack([np.ones(len(taps)), distance]) * (window / window.max())
        lines = np.stack([np.ones(len(taps)), distance])
        missing = np.array([1.0, 0.0]) - lines @ taps
        rows.append(taps + near.T @ np.linalg.solve(lines @ near.T, missing))
    return np.array(rows)


def _bend(phases: Taps) -> float:
    """The greatest Σ|g|: how far a phase can leave the straight line, per second difference."""
    worst = 0.0
    for phase, taps in enumerate(phases, start=1):
        rest = taps.copy()
        rest[_REACH - 1] -= 1 - phase / OVERSAMPLING
        rest[_REACH] -= phase / OVERSAMPLING
        # dividing by (1 − z⁻¹)² leaves no remainder, as Σ and first moment of ``rest`` are zero
        worst = max(worst, float(np.abs(np.cumsum(np.cumsum(rest))).sum()))
    return worst


PHASES = _phases()
BEND = _bend(PHASES)
_TAPS = np.ascontiguousarray(PHASES.T.astype(np.float32))


@dataclass(frozen=True, slots=True)
class TruePeaks:
    """Linear peaks of a slab: per channel, where the highest lies (frames), and overs."""

    peaks: npt.NDArray[np.float64]
    at: int
    overs: int


class TruePeakMeter:
    """Feed it slabs in order; each answer covers what could be computed, 24 samples behind."""

    def __init__(self, channels: int, *, pruned: bool = True) -> None:
        self._tail = np.zeros((channels, 2 * _REACH), np.float32)
        self._pruned = pruned
        self._seen = -_REACH  # frame number of the next interval's left sample

    def add(self, samples: Samples) -> TruePeaks:
        """Peaks of the intervals that ``(channels, frames)`` completes."""
        joined = np.concatenate([self._tail, samples], axis=1)
        self._tail = joined[:, -2 * _REACH :]
        intervals = joined.shape[1] - 2 * _REACH
        peaks = np.zeros(len(joined))
        best, at, overs = -1.0, 0, 0
        for channel, wave in enumerate(joined):
            peak, where, over = self._channel(wave, intervals)
            peaks[channel] = peak
            overs += over
            if peak > best:
                best, at = peak, where
        start = self._seen
        self._seen += intervals
        return TruePeaks(peaks, max(0, start + at), overs)

    def finish(self) -> TruePeaks:
        """Peaks of the last intervals, with silence after them."""
        return self.add(np.zeros((len(self._tail), 2 * _REACH), np.float32))

    def _channel(self, wave: Samples, intervals: int) -> tuple[float, int, int]:
        """Of intervals i between ``wave[i + 23]`` and ``wave[i + 24]``: peak, its i, overs."""
        if not intervals:
            return 0.0, 0, 0
        size = np.abs(wave)
        ends = size[_REACH - 1 : _REACH + intervals]
        where = int(ends.argmax())
        peak = float(ends[where])
        if self._pruned:
            bound = _bounds(wave, size, intervals)
            chunks = np.flatnonzero(bound > min(peak, 1.0))
            chunks = chunks[np.argsort(-bound[chunks], kind="stable")]
        else:
            bound = np.full(-(-intervals // _CHUNK), np.inf, np.float32)
            chunks = np.arange(len(bound))
        overs = 0
        for first in range(0, len(chunks), _CHUNKS_AT_ONCE):
            some = chunks[first : first + _CHUNKS_AT_ONCE]
            some = some[bound[some] > min(peak, 1.0)]
            if not len(some):
                break
            highest, index, over = _between(wave, some, intervals)
            overs += over
            if highest > peak:
                peak, where = highest, index
        return peak, where, overs


_CHUNKS_AT_ONCE = 64


def _bounds(wave: Samples, size: Samples, intervals: int) -> Samples:
    """What no point of each chunk of intervals can exceed."""
    chunks = -(-intervals // _CHUNK)
    padded = np.zeros(chunks * _CHUNK + 2 * _REACH + 1, np.float32)
    padded[: len(size)] = size
    near = padded[_REACH - 1 :]
    tops = near[: chunks * _CHUNK].reshape(chunks, _CHUNK).max(axis=1)
    tops = np.maximum(tops, near[_CHUNK::_CHUNK][:chunks])  # the right end of the last interval
    bends = np.zeros((chunks + 2) * _CHUNK, np.float32)
    second = np.abs(np.diff(wave, 2))
    bends[: len(second)] = second
    tall = bends.reshape(-1, _CHUNK).max(axis=1)
    # a chunk's taps see 32 + 46 second differences from its first one: three chunks of them
    reach = np.maximum(np.maximum(tall[:-2], tall[1:-1]), tall[2:])
    bounds: Samples = tops + np.float32(BEND) * reach + _ROUNDING * (1 + tops)
    return bounds


def _between(wave: Samples, chunks: npt.NDArray[np.intp], intervals: int) -> tuple[float, int, int]:
    """Highest inner point of these chunks, its interval, and how many intervals pass 0 dBTP."""
    starts = (chunks[:, None] * _CHUNK + np.arange(_CHUNK)).ravel()
    starts = starts[starts < intervals]
    windows = np.lib.stride_tricks.sliding_window_view(wave, 2 * _REACH)[starts]
    highest = np.abs(windows @ _TAPS).max(axis=1)
    index = int(highest.argmax())
    ends = np.abs(windows[:, _REACH - 1 : _REACH + 1]).max(axis=1)
    overs = int(np.count_nonzero((highest > 1.0 + _ROUNDING) & (ends <= 1.0)))
    return float(highest[index]), int(starts[index]), overs
