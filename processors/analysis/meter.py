"""The meter: blocks in, ``analysis/1`` out, in memory that does not grow with the song.

It works second by second, so that the 10 ms hops of every rate fall on the same places, and the
true peak can be told for every second.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from processors.analysis.clipping import ClippingMeter
from processors.analysis.document import Heard, document
from processors.analysis.hum import HumMeter
from processors.analysis.levels import ImageMeter, LevelMeter
from processors.analysis.loudness import (
    GATING_STEP_HOPS,
    MOMENTARY_HOPS,
    SHORT_TERM_HOPS,
    LoudnessMeter,
    lufs,
)
from processors.analysis.plotting import Curve, highest, lowest, mean
from processors.analysis.pumping import PumpingMeter
from processors.analysis.ratios import PeakToShortTerm
from processors.analysis.spectrum import SpectrumMeter
from processors.analysis.true_peak import TruePeakMeter, TruePeaks
from processors.analysis.weighting import layout
from processors.audio.decoding import SoundFacts
from processors.audio.streaming import stream
from schemas.documents.analysis import MOST_POINTS, Analysis, SoundSource

_BITS = {"pcm_s8": 8, "pcm_u8": 8, "pcm_16": 16, "pcm_24": 24, "pcm_32": 32, "float": 32}
_BITS |= {"double": 64, "alac_16": 16, "alac_20": 20, "alac_24": 24, "alac_32": 32}
_FINEST_STEP = 2.0**-23  # what float32 holds of a sample near full scale
_WAVE_HOPS = 10  # 100 ms; the plot's finest step


def measure(path: Path, *, max_seconds: float, min_seconds: float = 0.0) -> Analysis:
    """Measure a file. Raises `processors.audio.undecodable.Undecodable` with the reason."""
    with stream(path, max_seconds=max_seconds, min_seconds=min_seconds) as sound:
        facts = sound.facts
        meter = Meter(facts.rate, facts.channels, step=quantisation_step(facts.encoding))
        for block in sound.blocks:
            meter.add(block)
        return meter.finish(_source(facts, meter.frames))


def measure_blocks(
    blocks: Iterable[npt.NDArray[np.floating]], *, rate: int, channels: int, encoding: str = "float"
) -> Analysis:
    """Measure ``(frames, channels)`` blocks of finite samples that no file holds (yet)."""
    meter = Meter(rate, channels, step=quantisation_step(encoding))
    for block in blocks:
        meter.add(block)
    return meter.finish(describe("memory", encoding, rate, channels, meter.frames))


def quantisation_step(encoding: str) -> float:
    """The step between two sample values, full scale = 1."""
    bits = _BITS.get(encoding)
    integer = encoding.startswith(("pcm", "alac")) and bits is not None
    return max(2.0 ** (1 - bits), _FINEST_STEP) if integer and bits else _FINEST_STEP


def describe(container: str, encoding: str, rate: int, channels: int, frames: int) -> SoundSource:
    """The facts of a file as the document states them."""
    return SoundSource(
        container=container,
        encoding=encoding,
        bit_depth=_BITS.get(encoding),
        floating_point=encoding in ("float", "double"),
        rate_hz=rate,
        channels=channels,
        layout=layout(channels),
        frames=frames,
        duration_s=frames / rate,
    )


def _source(facts: SoundFacts, frames: int) -> SoundSource:
    encoding = facts.encoding or facts.format.name
    return describe(facts.format.name, encoding, facts.rate, facts.channels, frames)


class Meter:
    """Feed it blocks of any size; ask once. Samples must be finite."""

    def __init__(self, rate: int, channels: int, *, step: float = _FINEST_STEP) -> None:
        self._rate, self._channels = rate, channels
        self._waiting = np.zeros((rate, channels), np.float32)
        self._filled = 0
        self._loudness = LoudnessMeter(rate, channels)
        self._true_peak = TruePeakMeter(channels)
        self._levels = LevelMeter(rate, channels)
        self._image = ImageMeter(rate) if channels == 2 else None
        self._spectrum = SpectrumMeter(rate, channels)
        self._clipping = ClippingMeter(channels, step)
        self._pumping = PumpingMeter(rate, channels)
        self._hum = HumMeter(rate, channels)
        self._ratios = PeakToShortTerm()
        self._true_peaks = np.zeros(channels)
        self._true_peak_at = 0
        self._overs = 0
        self._last_peaks: deque[float] = deque(maxlen=3)
        self._short_term, self._momentary = Curve(MOST_POINTS, mean), Curve(MOST_POINTS, highest)
        # both on one clock: before the first full window there is nothing
        self._short_term.add(np.zeros(SHORT_TERM_HOPS // GATING_STEP_HOPS - 1))
        self._momentary.add(np.zeros(MOMENTARY_HOPS // GATING_STEP_HOPS - 1))
        self._low, self._high = Curve(MOST_POINTS, lowest), Curve(MOST_POINTS, highest)

    @property
    def frames(self) -> int:
        """How many were taken in."""
        return self._levels.frames + self._filled

    def add(self, block: npt.NDArray[np.floating]) -> None:
        """Take in ``(frames, channels)``."""
        at = 0
        while at < len(block):
            taken = min(self._rate - self._filled, len(block) - at)
            self._waiting[self._filled : self._filled + taken] = block[at : at + taken]
            self._filled += taken
            at += taken
            if self._filled == self._rate:
                self._second()

    def _second(self) -> None:
        samples = np.ascontiguousarray(self._waiting[: self._filled].T)
        self._filled = 0
        exact = samples.astype(np.float64)
        hops = self._levels.add(exact)
        if self._image is not None:
            self._image.add(exact, hops)
        steps = self._loudness.add(exact)
        peak = self._peak(self._true_peak.add(samples))
        self._clipping.add(samples)
        self._spectrum.add(samples)
        self._pumping.add(exact)
        self._hum.add(samples)
        self._last_peaks.append(peak)
        if len(steps.short_term):
            self._ratios.add(max(self._last_peaks), float(lufs(steps.short_term[-1])))
        self._plot(samples, steps.short_term, steps.momentary)

    def _peak(self, found: TruePeaks) -> float:
        peak = float(found.peaks.max())
        if peak > self._true_peaks.max():
            self._true_peak_at = found.at
        self._true_peaks = np.maximum(self._true_peaks, found.peaks)
        self._overs += found.overs
        return peak

    def _plot(
        self,
        samples: npt.NDArray[np.float32],
        short_term: npt.NDArray[np.float64],
        momentary: npt.NDArray[np.float64],
    ) -> None:
        self._short_term.add(short_term)
        self._momentary.add(momentary)
        edges = np.arange(_WAVE_HOPS) * self._rate // _WAVE_HOPS
        edges = edges[edges < samples.shape[1]]
        self._low.add(np.minimum.reduceat(samples, edges, axis=1).min(axis=0).astype(np.float64))
        self._high.add(np.maximum.reduceat(samples, edges, axis=1).max(axis=0).astype(np.float64))

    def finish(self, source: SoundSource) -> Analysis:
        """Measure what waits, close everything, and write it down."""
        if self._filled:
            self._second()
        self._peak(self._true_peak.finish())
        self._levels.finish()
        self._spectrum.finish()
        self._hum.add(np.zeros((self._channels, 0), np.float32), last=True)
        return document(
            Heard(
                source=source,
                loudness=self._loudness.reading(),
                levels=self._levels,
                image=self._image,
                spectrum=self._spectrum,
                clipping=self._clipping.finish(),
                pumping=self._pumping.finish(),
                hum=self._hum.reading(),
                ratios=self._ratios,
                true_peaks=self._true_peaks,
                true_peak_at_s=self._true_peak_at / self._rate,
                inter_sample_overs=self._overs,
                short_term=self._short_term,
                momentary=self._momentary,
                low=self._low,
                high=self._high,
            )
        )
