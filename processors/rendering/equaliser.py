"""The modules that only filter: equaliser, match-EQ, hum notches and the DC blocker."""

from __future__ import annotations

import numpy as np
from scipy import signal
from scipy.interpolate import PchipInterpolator

from processors.rendering.blocks import Block, Processor, grid_frames
from processors.rendering.filters import (
    HIGHEST_SHARE,
    Curve,
    Fir,
    Sections,
    bins_hz,
    biquad,
    linear_phase,
    magnitude,
    minimum_phase,
)
from schemas.documents.chain import THIRD_OCTAVES_HZ, DcBlock, Dehum, Eq, MatchEq

_LOWEST_HZ = 5.0  # a curve is held below: no filter of the grid's length resolves less


def equaliser(settings: Eq, rate: int, channels: int) -> Processor:
    """Minimum phase: the biquads themselves. Linear phase: a FIR with their magnitude."""
    sections = np.array([biquad(band, rate) for band in settings.bands]).reshape(-1, 6)
    if settings.phase == "minimum":
        return Sections(sections, channels)
    grid = grid_frames(rate)
    return _linear(magnitude(sections, bins_hz(grid, rate), rate), channels, grid)


def match_equaliser(settings: MatchEq, rate: int, channels: int) -> Processor:
    """The curve as a FIR filter of either phase."""
    grid = grid_frames(rate)
    gains = 10 ** (curve_at(settings.curve_db, bins_hz(grid, rate)) / 20)
    if settings.phase == "minimum":
        return Fir(minimum_phase(gains, grid), 0, channels, grid)
    return _linear(gains, channels, grid)


def curve_at(curve_db: tuple[float, ...], frequencies_hz: Curve) -> Curve:
    """The smooth curve through the third-octave gains, dB: monotone between its points (PCHIP
    over log frequency), so that it never swings past a bound; level beyond its ends."""
    points = np.log2(np.asarray(THIRD_OCTAVES_HZ))
    gains = np.round(curve_db, 9)  # subnormal slopes have no finite reciprocal, which PCHIP takes
    where = np.clip(np.log2(np.maximum(frequencies_hz, _LOWEST_HZ)), points[0], points[-1])
    return np.asarray(PchipInterpolator(points, gains)(where))


def dehummer(settings: Dehum, rate: int, channels: int) -> Processor:
    """A narrow cut at the mains frequency and each harmonic, as wide in Hz at all of them: the
    mains drifts by a share of its frequency, but a harmonic hides more music."""
    sections: list[Curve] = []
    for number in range(1, settings.harmonics + 1):
        hz = number * settings.hz
        if hz > HIGHEST_SHARE * rate:
            break
        sections.append(_notch(hz, settings.depth_db, settings.q * number, rate))
    return Sections(np.array(sections).reshape(-1, 6), channels)


def _notch(hz: float, depth_db: float, q: float, rate: int) -> Curve:
    """A bell cut whose ``q`` is that of the notch at its -3 dB points, deeper than an
    `EqBand` may go (Orfanidis, Introduction to Signal Processing, 11.4)."""
    omega = 2 * np.pi * hz / rate
    floor = 10 ** (-depth_db / 20)
    width = np.tan(omega / (2 * q))
    a0 = 1 + width
    middle = -2 * np.cos(omega)
    section = np.array([1 + floor * width, middle, 1 - floor * width, a0, middle, 1 - width])
    return np.asarray(section / a0)


class DcBlocker:
    """A processor: the known offset taken away, then a high-pass of second order.

    Its state starts as if the first block's mean had lasted for ever, so that an offset which is
    not known makes no thump at the start.
    """

    latency = 0

    def __init__(self, settings: DcBlock, rate: int, channels: int) -> None:
        self._sections = signal.butter(2, settings.hz, "highpass", fs=rate, output="sos")
        offset = np.resize(np.array(settings.offset or (0.0,)), channels)
        self._offset = offset[:, np.newaxis]
        self._filter: Sections | None = None

    def __call__(self, block: Block) -> Block:
        """The next grid block without its offset."""
        centred = block - self._offset
        if self._filter is None:
            resting = signal.sosfilt_zi(self._sections)[:, np.newaxis, :]
            state = resting * centred.mean(axis=1)[np.newaxis, :, np.newaxis]
            self._filter = Sections(self._sections, len(block), state)
        return self._filter(centred)


def _linear(gains: Curve, channels: int, grid: int) -> Processor:
    return Fir(linear_phase(gains, grid), grid // 2 - 1, channels, grid)
