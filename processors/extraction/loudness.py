"""``loudness``: the meter of mastering (BS.1770-5, EBU Tech 3341/3342) at the file's own rate."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from pydantic import JsonValue

from processors.analysis.histogram import decibels
from processors.analysis.loudness import LoudnessMeter
from processors.analysis.true_peak import TruePeakMeter
from processors.extraction.extractor import Context, Cost, Extraction, Features, Sound
from processors.extraction.frames import Rows, rounded
from processors.extraction.sound import Block

_STEP_S = 0.1


class LoudnessExtractor:
    """See the module."""

    name, version, device = "loudness", "1", "cpu"
    description = "Integrated, range, short-term, momentary loudness; true peak; crest factor."

    def cost(self, seconds: float, rate: int) -> Cost:
        """Two filters and the true peak over every sample."""
        return Cost(0.012 * seconds * rate / 44_100, round(2 * 8 * seconds / _STEP_S))

    def extract(self, audio: Sound, context: Context) -> Extraction:
        """Begin with a file."""
        return _Loudness(audio.rate, audio.channels)


class _Loudness:
    def __init__(self, rate: int, channels: int) -> None:
        self._rate, self._channels = rate, channels
        self._meter, self._peaks = LoudnessMeter(rate, channels), TruePeakMeter(channels)
        self._waiting = np.zeros((channels, 0), np.float32)
        self._frames, self._squares, self._sample_peak, self._true_peak = 0, 0.0, 0.0, 0.0
        self._short, self._momentary = Rows(), Rows()

    def add(self, block: Block) -> None:
        joined = np.concatenate([self._waiting, block.native], axis=1)
        whole = joined.shape[1] // self._rate * self._rate
        for start in range(0, whole, self._rate):
            self._second(joined[:, start : start + self._rate])
        self._waiting = joined[:, whole:].copy()

    def _second(self, samples: npt.NDArray[np.float32]) -> None:
        exact = samples.astype(np.float64)
        steps = self._meter.add(exact)
        self._short.add(steps.short_term)
        self._momentary.add(steps.momentary)
        self._true_peak = max(
            self._true_peak, float(self._peaks.add(np.ascontiguousarray(samples)).peaks.max())
        )
        self._sample_peak = max(self._sample_peak, float(np.abs(exact).max(initial=0.0)))
        self._squares += float(np.einsum("cn,cn->", exact, exact))
        self._frames += samples.shape[1]

    def finish(self) -> Features:
        if self._waiting.shape[1]:
            self._second(self._waiting)
        true_peak = max(self._true_peak, float(self._peaks.finish().peaks.max()))
        reading = self._meter.reading()
        rms = self._squares / max(1, self._frames * self._channels)
        levels = {
            "true_peak_dbtp": true_peak**2,
            "sample_peak_dbfs": self._sample_peak**2,
            "rms_dbfs": rms,
            "crest_db": self._sample_peak**2 / rms if rms > 0 else 0.0,
        }
        values: dict[str, JsonValue] = {
            "integrated_lufs": _or_none(reading.integrated),
            "range_lu": _or_none(reading.range),
            "short_term_max_lufs": _or_none(reading.short_term_max),
            "momentary_max_lufs": _or_none(reading.momentary_max),
        }
        values |= {
            name: rounded(float(decibels(power)), 2) if power > 0 else None
            for name, power in levels.items()
        }
        reasons = {
            name: "the sound is silent, or shorter than the window of this measure"
            for name, value in values.items()
            if value is None
        }
        return Features(
            values,
            reasons=reasons,
            arrays={
                "short_term_lufs": _finite(self._short.whole()),
                "momentary_lufs": _finite(self._momentary.whole()),
            },
            units={
                "short_term_lufs": "LUFS every 0.1 s from 3 s, -200 in silence",
                "momentary_lufs": "LUFS every 0.1 s from 0.4 s, -200 in silence",
            },
            parameters={"standard": "ITU-R BS.1770-5", "oversampling": 8},
        )


def _or_none(value: float | None) -> float | None:
    return None if value is None else rounded(value, 2)


def _finite(levels: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    return np.maximum(levels, np.float32(-200.0))
