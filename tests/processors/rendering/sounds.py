"""Test signals and what is measured on them."""

from __future__ import annotations

import numpy as np
from scipy import signal

from processors.rendering.blocks import Block
from schemas.documents.chain import (
    THIRD_OCTAVES_HZ,
    Compressor,
    DcBlock,
    Dehum,
    DynamicEq,
    DynamicEqBand,
    Eq,
    EqBand,
    Expander,
    Gain,
    Limiter,
    MatchEq,
    Module,
    Saturation,
    Stereo,
)

BANDS = (
    EqBand(kind="highpass", hz=30),
    EqBand(hz=300, db=-4, q=1.5),
    EqBand(kind="low_shelf", hz=120, db=3),
    EqBand(kind="high_shelf", hz=6_000, db=-2),
)
CURVE = tuple(3.0 * np.sin(np.arange(len(THIRD_OCTAVES_HZ)) / 4))
LOUD = 0.25  # standard deviation of the noise; peaks pass full scale now and then

EACH: tuple[Module, ...] = (
    Eq(bands=BANDS),
    Eq(bands=BANDS, phase="minimum"),
    MatchEq(curve_db=CURVE),
    MatchEq(curve_db=CURVE, phase="minimum"),
    DynamicEq(bands=(DynamicEqBand(hz=100), DynamicEqBand(hz=4_000, range_db=3))),
    Expander(),
    Expander(mode="downward", threshold_db=-10),
    Compressor(),
    Saturation(),
    Stereo(crossovers_hz=(300,), widths=(0.5, 1.4), mono_below_hz=100),
    Dehum(),
    DcBlock(offset=(0.01,)),
    Gain(db=-3),
    Limiter(ceiling_dbtp=-3),
)
"""Every module, set so that it does something to loud noise."""


def noise(seed: int, frames: int, channels: int = 2, level: float = LOUD) -> Block:
    """White noise ``(channels, frames)``."""
    return level * np.random.default_rng(seed).standard_normal((channels, frames))


def sine(hz: float, seconds: float, rate: int = 44_100, level: float = 1.0) -> Block:
    """``(1, frames)``."""
    return level * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)[np.newaxis]


def decibels(value: float) -> float:
    return float(20 * np.log10(max(value, 1e-15)))


def distortion_db(wave: Block, hz: float, rate: int) -> float:
    """THD+N: what isn't the tone, nor an offset, against the tone."""
    t = np.arange(wave.shape[1]) / rate
    tone = np.stack(
        (np.sin(2 * np.pi * hz * t), np.cos(2 * np.pi * hz * t), np.ones_like(t)), axis=1
    )
    found = np.linalg.lstsq(tone, wave[0])[0]
    rest = wave[0] - tone @ found
    return decibels(float(np.std(rest)) / (float(np.hypot(found[0], found[1])) / np.sqrt(2)))


def gain_at(dry: Block, wet: Block, hz: float, rate: int) -> float:
    """The gain between two sounds around a frequency, dB: cross spectrum over spectrum."""
    size = 1 << 13
    where, both = signal.csd(dry[0], wet[0], rate, nperseg=size)
    _, own = signal.welch(dry[0], rate, nperseg=size)
    near = np.abs(where - hz) < max(0.02 * hz, rate / size)
    return decibels(float(np.abs(both[near].sum()) / own[near].sum()))


def ideal_true_peak(sound: Block, times: int = 16) -> float:
    """By zero-padding the spectrum of the whole sound, a way of its own; full scale 1."""
    room = 4_000
    return max(
        float(np.abs(signal.resample(np.pad(one, room), times * (len(one) + 2 * room))).max())
        for one in sound
    )
