"""Sound set down on disk between two passes, one grid block after the other.

A song of any length has to be limited several times until its loudness is right; kept in a
plain file it costs the memory of a block. Single precision: 24-bit samples fit exactly, and
what a module made is rounded 150 dB below itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from processors.rendering.blocks import Block, regrouped


@dataclass(frozen=True, slots=True)
class Take:
    """A recorded stream."""

    path: Path
    channels: int
    grid: int
    frames: int
    means: tuple[float, ...]
    """Of each channel, full scale 1: its offset."""

    @classmethod
    def record(cls, path: Path, blocks: Iterable[Block], channels: int, grid: int) -> Take:
        """Set a stream down."""
        frames = 0
        sums = np.zeros(channels)
        with path.open("wb") as file:
            for block in regrouped(blocks, grid):
                frames += block.shape[1]
                sums += block.sum(axis=1)
                padded = np.zeros((channels, grid), dtype=np.float32)
                padded[:, : block.shape[1]] = block
                file.write(padded.tobytes())
        return cls(path, channels, grid, frames, tuple((sums / max(frames, 1)).tolist()))

    def blocks(self) -> Iterator[Block]:
        """The stream again; the last block is as long as what is left."""
        left = self.frames
        with self.path.open("rb") as file:
            while left > 0:
                read = np.fromfile(file, np.float32, self.channels * self.grid)
                block = read.reshape(self.channels, self.grid)[:, :left].astype(np.float64)
                left -= block.shape[1]
                yield block

    def padded(self) -> Iterator[Block]:
        """Whole grid blocks, silence after the end, for ever."""
        for block in self.blocks():
            yield np.pad(block, ((0, 0), (0, self.grid - block.shape[1])))
        while True:
            yield np.zeros((self.channels, self.grid))
