"""``tempo_extractor``: tempo, beats, bars, regularity.

The tempo is the slope of a straight line through the beats, numbered by their distances: frames
quantise single beats, not the line (a tempo read off 23 ms frames says 117.45 for 120).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pydantic import JsonValue

from processors.extraction.beats import Pulse, pulse, track
from processors.extraction.extractor import Context, Cost, Extraction, Features, Sound
from processors.extraction.frames import Rows, rounded
from processors.extraction.sound import Block

Curve = npt.NDArray[np.float64]

_BANDS = 32
"""Mel bands are pooled by four to tell one beat's sound from the next."""
_LOW_BANDS = 8  # mel bands up to 200 Hz: kick and bass
_PULSE_BANDS = 48
"""Mel bands up to 2 kHz tell how to count: hi-hats above play in eighths as loud as the beat."""
_FEWEST_BEATS = 4
_OFF_THE_LINE = 0.1
"""Beats that stray from the line by more than a tenth of a beat (RMS) have no single tempo."""
_CURVE_BEATS = 8
_LATENCY_FRAMES = 0.25
"""A window feels an attack before its centre reaches it; measured on clicks and drums, 6 ms."""


@dataclass(frozen=True, slots=True)
class Bars:
    """Beats a bar, the number of the first downbeat, and how clearly they stand out, 0 to 1."""

    beats: int
    first: int
    confidence: float


class TempoExtractor:
    """See the module."""

    name, version, device = "tempo_extractor", "1", "shared"
    description = "Tempo with candidates, beats, downbeats, rhythm regularity, tempo curve."

    def cost(self, seconds: float, rate: int) -> Cost:
        """Mostly the dynamic programming over 43 frames a second."""
        return Cost(0.001 * seconds, round(43 * (2 * _BANDS + 12) * seconds))

    def extract(self, audio: Sound, context: Context) -> Extraction:
        """Begin with a file."""
        return _Tempo(context.frame_rate)


class _Tempo:
    def __init__(self, frame_rate: float) -> None:
        self._frame_rate = frame_rate
        self._envelope, self._counted, self._low = Rows(), Rows(), Rows()
        self._colour = Rows(np.float16)

    def add(self, block: Block) -> None:
        rises = block.rises
        self._envelope.add(rises.mean(axis=1))
        self._counted.add(rises[:, :_PULSE_BANDS].mean(axis=1))
        self._low.add(rises[:, :_LOW_BANDS].mean(axis=1))
        pooled = block.mel.reshape(len(rises), _BANDS, -1).mean(axis=2)
        self._colour.add(np.log10(np.maximum(pooled, 1e-4)))

    def finish(self) -> Features:
        envelope = self._envelope.whole().astype(np.float64)
        found = pulse(self._counted.whole().astype(np.float64), self._frame_rate)
        parameters: dict[str, JsonValue] = {"frame_rate_hz": rounded(self._frame_rate, 4)}
        if found is None:
            return _none("no pulse repeats itself here: silence, noise, or free rhythm", parameters)
        places = track(envelope, found.periods)
        if len(places) < _FEWEST_BEATS:
            return _none(
                f"only {len(places)} beats were found; {_FEWEST_BEATS} are needed", parameters
            )
        beats = np.maximum((places + _LATENCY_FRAMES) / self._frame_rate, 0.0)
        period = np.interp(places, np.arange(len(envelope)), found.periods) / self._frame_rate
        numbers = numbered(beats, period)
        slope, misses = fitted(numbers, beats)
        steady = misses <= _OFF_THE_LINE * slope
        curve = tempo_curve(numbers, beats)
        tempo = 60 / slope if steady else float(np.median(curve))
        bars = self._bars(places)
        return _features(found, beats, curve, tempo, steady, misses, bars, parameters)

    def _bars(self, places: Curve) -> Bars | None:
        """What each beat has more than its neighbours: bass, weight, a new sound (chord)."""
        envelope, low = self._envelope.whole(), self._low.whole()
        at = np.round(places).astype(np.int64)
        near = np.clip(at[:, None] + np.arange(-2, 3), 0, len(envelope) - 1)
        colour = self._colour.whole()
        ends = np.append(at[1:], len(colour))
        sounds = np.array(
            [
                colour[a : max(a + 1, b)].mean(axis=0, dtype=np.float32)
                for a, b in zip(at, ends, strict=True)
            ]
        )
        change = np.concatenate([[0.0], np.abs(np.diff(sounds, axis=0)).mean(axis=1)])
        rows = (low[near].max(axis=1), envelope[near].max(axis=1), change)
        return metre(np.sum([_standard(row) for row in rows], axis=0))


def _standard(row: npt.NDArray[np.floating]) -> Curve:
    wide = row.astype(np.float64)
    spread = float(wide.std())
    return (wide - wide.mean()) / spread if spread > 1e-9 else np.zeros(len(wide))


def _none(reason: str, parameters: dict[str, JsonValue]) -> Features:
    fields = ("tempo_bpm", "regularity", "beats_per_bar", "downbeat_confidence", "first_beat_s")
    return Features(
        {**dict.fromkeys(fields), "beat_count": 0, "candidates": [], "pulse_clarity": 0.0},
        reasons=dict.fromkeys(fields, reason),
        arrays={"beats_s": np.zeros(0), "downbeats_s": np.zeros(0), "tempo_curve_bpm": np.zeros(0)},
        units={"beats_s": "s", "downbeats_s": "s", "tempo_curve_bpm": "BPM"},
        parameters=parameters,
    )


def _features(
    found: Pulse, beats: Curve, curve: Curve, tempo: float, steady: bool, misses: float,
    bars: Bars | None, parameters: dict[str, JsonValue],
) -> Features:  # fmt: skip
    reasons = {}
    downbeats = np.zeros(0)
    if bars is None:
        for field in ("beats_per_bar", "downbeat_confidence"):
            reasons[field] = "no beat stands out often enough to tell where bars begin"
    else:
        downbeats = beats[bars.first :: bars.beats]
    return Features(
        {
            "tempo_bpm": rounded(tempo, 4),
            "tempo_method": "line through all beats" if steady else "median of the tempo curve",
            "candidates": [
                {"bpm": rounded(each.bpm, 2), "weight": rounded(each.weight)}
                for each in found.candidates
            ],
            "pulse_clarity": rounded(found.clarity),
            "beat_count": len(beats),
            "first_beat_s": rounded(beats[0]),
            "regularity": rounded(regularity(beats)),
            "beat_deviation_ms": rounded(1000 * misses, 1),
            "tempo_min_bpm": rounded(curve.min(), 2),
            "tempo_max_bpm": rounded(curve.max(), 2),
            "beats_per_bar": bars.beats if bars else None,
            "downbeat_confidence": rounded(bars.confidence) if bars else None,
        },
        reasons=reasons,
        arrays={"beats_s": beats, "downbeats_s": downbeats, "tempo_curve_bpm": curve},
        units={"beats_s": "s", "downbeats_s": "s", "tempo_curve_bpm": "BPM at each beat"},
        parameters=parameters,
    )


def numbered(beats: Curve, periods: Curve) -> Curve:
    """Which beat each one is: two periods to the next mean that one was missed."""
    steps = np.maximum(1, np.round(np.diff(beats) / periods[1:]))
    return np.concatenate([[0.0], np.cumsum(steps)])


def fitted(numbers: Curve, beats: Curve) -> tuple[float, float]:
    """Seconds a beat by least squares, and how far the beats are off the line (RMS, s).

    Beats further off than three times the typical distance are left out of a second fit.
    """
    slope, off = _line(numbers, beats, np.ones(len(beats), np.bool_))
    near = off <= max(3 * 1.4826 * float(np.median(off)), 0.01)
    if near.sum() >= _FEWEST_BEATS:
        slope, off = _line(numbers, beats, near)
    return slope, float(np.sqrt(np.mean(off**2)))


def _line(numbers: Curve, beats: Curve, kept: npt.NDArray[np.bool_]) -> tuple[float, Curve]:
    slope, start = np.polyfit(numbers[kept], beats[kept], 1)
    return float(slope), np.abs(beats - (slope * numbers + start))


def tempo_curve(numbers: Curve, beats: Curve) -> Curve:
    """BPM around each beat: the slope over the eight beats about it."""
    size = min(_CURVE_BEATS, len(beats))
    x = np.lib.stride_tricks.sliding_window_view(numbers, size)
    y = np.lib.stride_tricks.sliding_window_view(beats, size)
    x, y = x - x.mean(axis=1, keepdims=True), y - y.mean(axis=1, keepdims=True)
    bpm = 60 * (x * x).sum(axis=1) / np.maximum((x * y).sum(axis=1), 1e-9)
    left = (len(beats) - len(bpm)) // 2
    return np.asarray(np.pad(bpm, (left, len(beats) - len(bpm) - left), mode="edge"))


def regularity(beats: Curve) -> float:
    """1 when all intervals equal those around them, 0 when they differ by a tenth (median)."""
    intervals = np.diff(beats)
    around = np.array([np.median(intervals[max(0, i - 4) : i + 5]) for i in range(len(intervals))])
    return float(np.clip(1 - 10 * np.median(np.abs(intervals / around - 1)), 0.0, 1.0))


def metre(accents: Curve) -> Bars | None:
    """Bars of three or four whose first beats carry the most accent; None for too few beats."""
    best: Bars | None = None
    for beats in (4, 3):
        if len(accents) < 2 * beats + 1:
            continue
        means = np.array([accents[phase::beats].mean() for phase in range(beats)])
        order = np.argsort(means)
        # how far the best place leads the next, against how much places differ by chance
        noise = float(accents.std()) / np.sqrt(len(accents) / beats)
        lead = float(means[order[-1]] - means[order[-2]])
        spread = float(accents.std()) or 1.0
        confidence = float(np.clip(lead / spread, 0, 1)) * float(
            np.clip(lead / (3 * noise + 1e-9), 0, 1)
        )
        if best is None or confidence > best.confidence:
            best = Bars(beats, int(order[-1]), confidence)
    return best
