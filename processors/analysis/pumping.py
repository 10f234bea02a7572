"""Side-chain pumping: does the music duck after every beat and swell back before the next?

The level between 200 Hz and 4 kHz is folded on the beat. Drums only ever add level, and notes
decay, so both make the start of a beat louder; a compressor keyed by the kick makes it softer.
That is why the depth is signed, and why it is read twice: from the median over beats and from a
low percentile, which snares on every other beat and stray hats do not reach.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage, signal

from processors.analysis.histogram import decibels
from processors.analysis.hops import HOPS_A_SECOND, Hops

Powers = npt.NDArray[np.float64]

_SEGMENT_HOPS = 20 * HOPS_A_SECOND
"""Tempo and depth are found anew every 20 s, and the medians reported."""
_SHORTEST_HOPS = 6 * HOPS_A_SECOND
_SLOWEST_BPM, _FASTEST_BPM, _USUAL_BPM = 60.0, 200.0, 120.0
_MID_HZ = (200.0, 4_000.0)
_LOW_HZ = 150.0  # where the kick is
_FLOOR_DB = 50.0  # below the loudest hop: what lies deeper is a pause
_POINTS = 32  # of a beat
_EARLY, _LATE = slice(1, 13), slice(22, 31)
_LOW_SHARE = 0.2
_LEAST_BEATS = 6
_STEADY = 0.15
"""Mean autocorrelation of onsets at 1, 2 and 4 beats below which there is no beat to fold on."""
_RECOVERED_DB = 1.0


@dataclass(frozen=True, slots=True)
class PumpingReading:
    """Depths in dB, positive for a dip after the beat; ``beats`` is what they rest on."""

    tempo_bpm: float
    depth_db: float
    duck_db: float
    recovery_ms: float | None
    beats: int


class PumpingMeter:
    """Keeps the envelopes of the segment at hand and one reading per segment before."""

    def __init__(self, rate: int, channels: int) -> None:
        self._hops = Hops(rate)
        # not the plain mean: a song with an inverted channel has an envelope, too
        self._mix = np.array([0.6, 0.4]) if channels == 2 else np.full(channels, 1 / channels)
        top = min(_MID_HZ[1], 0.45 * rate)
        self._mid = signal.butter(2, (_MID_HZ[0], top), "bandpass", fs=rate, output="sos")
        self._low = signal.butter(2, _LOW_HZ, "lowpass", fs=rate, output="sos")
        self._mid_state = np.zeros((len(self._mid), 2))
        self._low_state = np.zeros((len(self._low), 2))
        self._envelopes = np.zeros((2, 0))
        self._readings: list[PumpingReading] = []

    def add(self, samples: npt.NDArray[np.float64]) -> None:
        """Take in ``(channels, frames)``, whole seconds."""
        mono = self._mix @ samples
        mid, self._mid_state = signal.sosfilt(self._mid, mono, zi=self._mid_state)
        low, self._low_state = signal.sosfilt(self._low, mono, zi=self._low_state)
        new = self._hops.mean_squares(np.stack([mid, low]))
        self._envelopes = np.concatenate([self._envelopes, new], axis=1)
        while self._envelopes.shape[1] >= _SEGMENT_HOPS:
            self._segment(self._envelopes[:, :_SEGMENT_HOPS])
            self._envelopes = self._envelopes[:, _SEGMENT_HOPS:]

    def finish(self) -> PumpingReading | None:
        """The medians over the segments; None without a steady beat anywhere."""
        if self._envelopes.shape[1] >= _SHORTEST_HOPS:
            self._segment(self._envelopes)
        self._envelopes = self._envelopes[:, :0]
        found = self._readings
        if not found:
            return None
        recoveries = [r.recovery_ms for r in found if r.recovery_ms is not None]
        return PumpingReading(
            tempo_bpm=float(np.median([r.tempo_bpm for r in found])),
            depth_db=float(np.median([r.depth_db for r in found])),
            duck_db=float(np.median([r.duck_db for r in found])),
            recovery_ms=float(np.median(recoveries)) if recoveries else None,
            beats=sum(r.beats for r in found),
        )

    def _segment(self, envelopes: Powers) -> None:
        reading = fold(envelopes[0], envelopes[1])
        if reading is not None:
            self._readings.append(reading)


def fold(mid: Powers, low: Powers) -> PumpingReading | None:
    """Pumping of one segment from hop powers ``(hops,)``; None without a beat."""
    levels, kicks = _level(mid), _level(low)
    if levels is None or kicks is None:
        return None
    onsets = _rises(kicks) + 0.5 * _rises(levels)
    period = _period(onsets)
    if period is None:
        return None
    readings = []
    for factor in (1.0, 2.0, 0.5):
        candidate = period * factor
        if _lag(_FASTEST_BPM) <= candidate <= _lag(_SLOWEST_BPM):
            reading = _folded(levels, onsets, _refined(onsets, candidate))
            if reading is not None:
                readings.append(reading)
    return max(readings, key=lambda r: min(r.depth_db, r.duck_db), default=None)


def _level(power: Powers) -> Powers | None:
    top = float(power.max(initial=0.0))
    if top <= 1e-7:  # −70 dBFS
        return None
    return decibels(np.maximum(power, top * 10 ** (-_FLOOR_DB / 10)))


def _rises(levels: Powers) -> Powers:
    rises: Powers = np.maximum(np.diff(levels, prepend=levels[:1]), 0.0)
    return ndimage.gaussian_filter1d(np.minimum(rises, 20.0), 1.0)


def _lag(bpm: float) -> float:
    return 60 * HOPS_A_SECOND / bpm


def _period(onsets: Powers) -> float | None:
    """The beat in hops: the peak of the autocorrelation at one, two and four beats."""
    centred = onsets - onsets.mean()
    power = float(centred @ centred)
    if power <= 0:
        return None
    correlation = signal.correlate(centred, centred, method="fft")[len(centred) - 1 :]
    # unbiased, so that four beats count as much as one
    correlation = correlation / (power * (1 - np.arange(len(centred)) / len(centred)).clip(0.1))
    lags = np.arange(_lag(_FASTEST_BPM), _lag(_SLOWEST_BPM), 0.05)
    places = np.arange(len(correlation))
    score = sum(np.interp(lags * beats, places, correlation) for beats in (1, 2, 4))
    preferred = np.exp(-0.5 * (np.log2(lags / _lag(_USUAL_BPM)) / 0.9) ** 2)
    best = int(np.argmax(score * preferred))
    return float(lags[best]) if score[best] / 3 >= _STEADY else None


def _refined(onsets: Powers, period: float) -> float:
    """The period near ``period`` whose fold of the onsets is the most uneven."""
    candidates = period * np.linspace(0.985, 1.015, 61)
    places = np.arange(len(onsets))
    return float(max(candidates, key=lambda p: _folded_onsets(onsets, places, p).max()))


def _folded_onsets(
    onsets: Powers, places: npt.NDArray[np.int64], period: float
) -> npt.NDArray[np.float64]:
    phases = (places / period * _POINTS).astype(np.int64) % _POINTS
    counts = np.maximum(np.bincount(phases, minlength=_POINTS), 1)
    folded = np.bincount(phases, onsets, minlength=_POINTS) / counts
    return np.asarray(ndimage.uniform_filter1d(folded, 3, mode="wrap"))


def _folded(levels: Powers, onsets: Powers, period: float) -> PumpingReading | None:
    phase = int(_folded_onsets(onsets, np.arange(len(onsets)), period).argmax())
    start = phase / _POINTS * period
    beats = int((len(levels) - 1 - start) / period)
    if beats < _LEAST_BEATS:
        return None
    places = start + period * (np.arange(beats)[:, None] + np.arange(_POINTS) / _POINTS)
    rows = np.interp(places, np.arange(len(levels)), levels)
    rows -= rows.mean(axis=1, keepdims=True)
    middle = _smooth(np.median(rows, axis=0))
    lowest = _smooth(np.quantile(rows, _LOW_SHARE, axis=0))
    depth, dip = _dip(middle)
    duck, _ = _dip(lowest)
    recovered = np.flatnonzero(middle[dip:] >= middle[_LATE].mean() - _RECOVERED_DB)
    step_ms = period * 1000 / HOPS_A_SECOND / _POINTS
    return PumpingReading(
        tempo_bpm=60 * HOPS_A_SECOND / period,
        depth_db=depth,
        duck_db=duck,
        recovery_ms=float(recovered[0] * step_ms)
        if depth > _RECOVERED_DB and len(recovered)
        else None,
        beats=beats,
    )


def _smooth(curve: Powers) -> Powers:
    return np.asarray(ndimage.uniform_filter1d(curve, 3, mode="nearest"))


def _dip(curve: Powers) -> tuple[float, int]:
    """How far the early part dips under the late one (negative: stands above it), and where."""
    dip = int(curve[_EARLY].argmin()) + 1
    late = float(curve[_LATE].mean())
    fall = late - float(curve[dip])
    rise = float(curve[_EARLY].max()) - late
    return (fall if fall >= rise else -rise), dip
