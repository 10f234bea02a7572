"""How sound passes through a module: in blocks on a fixed grid, with the delay taken out.

Every module counts its blocks from the first sample of the song, whatever blocks its caller
brings, so the result is the same to the byte for any of them, and memory does not grow with the
song. A module's delay is swallowed at the start and flushed at the end: to the caller it has none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

import numpy as np
import numpy.typing as npt

Block = npt.NDArray[np.float64]
"""``(channels, frames)``, full scale at ±1. Double precision, because a 24-bit or float file has
to come out of a bypass bit by bit and low filters at 192 kHz lose ground in single."""

GRID_S = 0.6
"""About the length of a grid block: room for a linear-phase filter that resolves 20 Hz."""


def grid_frames(rate: int) -> int:
    """Frames of a grid block at this rate: the power of two at or above `GRID_S` (32,768 at
    44.1 and 48 kHz, 131,072 at 192 kHz)."""
    return max(1 << 12, 1 << int(np.ceil(np.log2(GRID_S * rate))))


class Processor(Protocol):
    """A module at work, with its state. One serves one song."""

    @property
    def latency(self) -> int:
        """By how many frames what comes out lies behind what goes in."""
        ...

    def __call__(self, block: Block) -> Block:
        """The next grid block, ``(channels, grid_frames)``, and as much of the result."""
        ...


def regrouped(blocks: Iterable[Block], frames: int) -> Iterator[Block]:
    """The same sound in blocks of ``frames``; the last one is as long as what is left."""
    waiting: list[Block] = []
    held = 0
    for block in blocks:
        waiting.append(block)
        held += block.shape[1]
        while held >= frames:
            joined = waiting[0] if len(waiting) == 1 else np.concatenate(waiting, axis=1)
            yield np.ascontiguousarray(joined[:, :frames])
            waiting = [joined[:, frames:]]
            held -= frames
    if held:
        yield np.concatenate(waiting, axis=1)


def through(
    processor: Processor, blocks: Iterable[Block], *, grid: int, wet: float = 1.0
) -> Iterator[Block]:
    """Send sound through a module: as many frames come out as go in, none of them late.

    ``wet`` below 1 leaves that much of the input in, aligned to the sample.
    """
    latency = processor.latency
    skip, taken, given = latency, 0, 0
    dry: Block | None = None
    channels = 0
    for block in regrouped(blocks, grid):
        frames = block.shape[1]
        taken += frames
        padded = block if frames == grid else _padded(block, grid)
        made = processor(padded)
        if wet < 1.0:
            made, dry = _mixed(made, padded, dry, latency, wet)
        piece = made[:, min(skip, grid) :]
        skip -= min(skip, grid)
        piece = piece[:, : taken - given]
        given += piece.shape[1]
        if piece.shape[1]:
            yield piece
        channels = block.shape[0]
    while given < taken:
        silence = np.zeros((channels, grid))
        made = processor(silence)
        if wet < 1.0:
            made, dry = _mixed(made, silence, dry, latency, wet)
        piece = made[:, min(skip, grid) :][:, : taken - given]
        skip -= min(skip, grid)
        given += piece.shape[1]
        yield piece


def _padded(block: Block, frames: int) -> Block:
    return np.pad(block, ((0, 0), (0, frames - block.shape[1])))


def _mixed(
    made: Block, block: Block, dry: Block | None, latency: int, wet: float
) -> tuple[Block, Block]:
    """The share of both, and the dry frames that wait for the next block."""
    before = np.zeros((block.shape[0], latency)) if dry is None else dry
    line = np.concatenate((before, block), axis=1)
    aligned = line[:, : block.shape[1]]
    return aligned + wet * (made - aligned), line[:, block.shape[1] :]
