"""The modules whose gain follows the music: compressor, dynamic EQ and expander.

Bands are cut out by linear-phase filters that add up to the input exactly, and a module adds
only what its gains change: ``y = x + Σ (g_b − 1) · x_b``. Where no gain moves, the sound passes
as it came.
"""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np

from processors.rendering.blocks import Block, grid_frames
from processors.rendering.envelopes import Ballistics, Control, Level, Ramp, over
from processors.rendering.filters import HIGHEST_SHARE, Convolver, Curve, Delay, bins_hz
from processors.rendering.filters import linear_phase as fir
from schemas.documents.chain import Compressor, CompressorBand, DynamicEq, DynamicEqBand, Expander

_CROSSOVER_OCTAVES = 1.0  # from one band wholly to the next: as gentle as 24 dB an octave


def lowpass_curve(crossover_hz: float, frequencies_hz: Curve) -> Curve:
    """The share of each frequency that lies below a crossover: a raised cosine over an octave,
    half at the crossover."""
    octaves = np.log2(np.maximum(frequencies_hz, 1e-3) / crossover_hz) / _CROSSOVER_OCTAVES
    return np.asarray(0.5 - 0.5 * np.sin(math.pi * np.clip(octaves, -0.5, 0.5)))


class CompressorAtWork:
    """A processor: the multiband compressor."""

    def __init__(self, settings: Compressor, rate: int, channels: int) -> None:
        grid = grid_frames(rate)
        crossovers = [min(hz, HIGHEST_SHARE * rate) for hz in settings.crossovers_hz]
        where = bins_hz(grid, rate)
        self.latency = grid // 2 - 1 if crossovers else 0
        self._split = Convolver(
            [fir(lowpass_curve(hz, where), grid) for hz in crossovers], channels, grid
        )
        self._delay = Delay(self.latency, channels)
        self._bands = [_CompressorBand(band, rate, grid) for band in settings.bands]

    def __call__(self, block: Block) -> Block:
        """The next grid block, compressed."""
        whole = self._delay(block)
        below = self._split(block) if self.latency else []
        edges = [*below, whole]
        bands = [edges[0], *(upper - lower for lower, upper in pairwise(edges))]
        made = whole.copy()
        for band, work in zip(bands, self._bands, strict=True):
            if work.idle:
                continue
            made += (work.gain(band) - 1) * band
        return made


class _CompressorBand:
    def __init__(self, settings: CompressorBand, rate: int, grid: int) -> None:
        self.idle = settings.ratio == 1 and settings.makeup_db == 0
        self._settings = settings
        self._level = Level(rate, grid)
        self._ballistics = Ballistics(settings.attack_ms, settings.release_ms, rate, grid)
        self._ramp = Ramp(grid)

    def gain(self, band: Block) -> Control:
        """The factor for every frame."""
        bounds = self._settings
        excess = over(self._level(band), bounds.threshold_db, bounds.knee_db)
        change = self._ballistics((1 - 1 / bounds.ratio) * excess)
        return self._ramp(bounds.makeup_db - change)


class DynamicEqAtWork:
    """A processor: bells that move."""

    def __init__(self, settings: DynamicEq, rate: int, channels: int) -> None:
        grid = grid_frames(rate)
        bands = [band for band in settings.bands if band.hz <= HIGHEST_SHARE * rate]
        where = bins_hz(grid, rate)
        self.latency = grid // 2 - 1
        self._split = Convolver([fir(_bell(band, where), grid) for band in bands], channels, grid)
        self._delay = Delay(self.latency, channels)
        self._bands = [_Bell(band, rate, grid) for band in bands]

    def __call__(self, block: Block) -> Block:
        """The next grid block, equalised."""
        made = self._delay(block)
        for band, work in zip(self._split(block), self._bands, strict=True):
            made = made + (work.gain(band) - 1) * band
        return made


def _bell(band: DynamicEqBand, frequencies_hz: Curve) -> Curve:
    """The power response of an analogue band-pass: 1 at its centre."""
    ratio = np.maximum(frequencies_hz, 1e-3) / band.hz
    return np.asarray(1 / (1 + (band.q * (ratio - 1 / ratio)) ** 2))


class _Bell:
    def __init__(self, settings: DynamicEqBand, rate: int, grid: int) -> None:
        self._settings = settings
        self._level = Level(rate, grid)
        self._ballistics = Ballistics(settings.attack_ms, settings.release_ms, rate, grid)
        self._ramp = Ramp(grid)

    def gain(self, band: Block) -> Control:
        """The factor for every frame."""
        bounds = self._settings
        excess = over(self._level(band), bounds.threshold_db, knee_db=3.0)
        change = np.minimum((1 - 1 / bounds.ratio) * excess, abs(bounds.range_db))
        return self._ramp(math.copysign(1.0, bounds.range_db) * self._ballistics(change))


class ExpanderAtWork:
    """A processor: upward or downward expansion over the whole band."""

    latency = 0

    def __init__(self, settings: Expander, rate: int, channels: int) -> None:
        grid = grid_frames(rate)
        self._settings = settings
        self._level = Level(rate, grid)
        self._ballistics = Ballistics(settings.attack_ms, settings.release_ms, rate, grid)
        self._ramp = Ramp(grid)

    def __call__(self, block: Block) -> Block:
        """The next grid block, expanded."""
        bounds = self._settings
        level = self._level(block)
        if bounds.mode == "upward":
            sign, moved = 1.0, over(level, bounds.threshold_db, bounds.knee_db)
        else:
            sign, moved = -1.0, over(-level, -bounds.threshold_db, bounds.knee_db)
        change = np.minimum((bounds.ratio - 1) * moved, bounds.range_db)
        return block * self._ramp(sign * self._ballistics(change))
