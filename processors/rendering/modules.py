"""From a module's settings to the module at work: each alone, or all in their order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from processors.rendering.blocks import Block, Processor, grid_frames, through
from processors.rendering.dynamics import CompressorAtWork, DynamicEqAtWork, ExpanderAtWork
from processors.rendering.equaliser import DcBlocker, dehummer, equaliser, match_equaliser
from processors.rendering.limiter import LimiterAtWork
from processors.rendering.saturation import SaturationAtWork
from processors.rendering.stereo import StereoAtWork
from schemas.documents.chain import (
    Compressor,
    DcBlock,
    Dehum,
    Dither,
    DynamicEq,
    Eq,
    Expander,
    Gain,
    Limiter,
    MatchEq,
    Module,
    Saturation,
    Stereo,
)


class GainAtWork:
    """A processor: a factor."""

    latency = 0

    def __init__(self, settings: Gain) -> None:
        self._factor = 10 ** (settings.db / 20)

    def __call__(self, block: Block) -> Block:
        """The next grid block, louder or quieter."""
        return block * self._factor


def moves(settings: Module, channels: int) -> bool:
    """Whether the module would change anything: an idle one is left out, so the sound passes it
    bit by bit. Dither belongs to the writing of the file and never moves a stream."""
    if not settings.enabled or settings.wet == 0:
        return False
    match settings:
        case Eq():
            passes = ("highpass", "lowpass")
            return any(band.db != 0 or band.kind in passes for band in settings.bands)
        case MatchEq():
            return any(settings.curve_db)
        case DynamicEq():
            return any(band.ratio > 1 and band.range_db != 0 for band in settings.bands)
        case Expander():
            return settings.ratio > 1 and settings.range_db > 0
        case Compressor():
            return any(band.ratio > 1 or band.makeup_db != 0 for band in settings.bands)
        case Saturation():
            return settings.drive_db > 0
        case Stereo():
            narrowed = settings.mono_below_hz is not None
            return channels == 2 and (narrowed or any(width != 1 for width in settings.widths))
        case Dehum():
            return settings.depth_db > 0
        case Gain():
            return settings.db != 0
        case Dither():
            return False
        case DcBlock() | Limiter():
            return True


def processor(settings: Module, rate: int, channels: int) -> Processor:
    """The module at work on a song of this rate. Raises ``TypeError`` for dither."""
    match settings:
        case Eq():
            return equaliser(settings, rate, channels)
        case MatchEq():
            return match_equaliser(settings, rate, channels)
        case DynamicEq():
            return DynamicEqAtWork(settings, rate, channels)
        case Expander():
            return ExpanderAtWork(settings, rate, channels)
        case Compressor():
            return CompressorAtWork(settings, rate, channels)
        case Saturation():
            return SaturationAtWork(settings, rate, channels)
        case Stereo():
            return StereoAtWork(settings, rate)
        case Dehum():
            return dehummer(settings, rate, channels)
        case DcBlock():
            return DcBlocker(settings, rate, channels)
        case Gain():
            return GainAtWork(settings)
        case Limiter():
            return LimiterAtWork(settings, rate, channels)
        case Dither():
            raise TypeError("dither belongs to quantising: see processors.rendering.dithering")


def apply(
    modules: Iterable[Module], blocks: Iterable[Block], rate: int, channels: int
) -> Iterator[Block]:
    """A stream through modules in their order: as long as it was, and not late."""
    stream: Iterator[Block] = iter(blocks)
    for settings in modules:
        if moves(settings, channels):
            at_work = processor(settings, rate, channels)
            stream = through(at_work, stream, grid=grid_frames(rate), wet=settings.wet)
    return stream


def process(settings: Module, samples: Block, rate: int) -> Block:
    """One module on a whole sound, ``(channels, frames)``."""
    made = list(apply([settings], [samples], rate, len(samples)))
    return np.concatenate(made, axis=1) if made else samples[:, :0]
