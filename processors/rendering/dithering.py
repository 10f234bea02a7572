"""From samples to the numbers of a file: dither, rounding, and the count of what did not fit."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from processors.rendering.blocks import Block

Depth = Literal[16, 24, 32]
"""Bits a sample: 16 and 24 are integers, 32 is floating point."""


class Quantiser:
    """Rounds a stream to a file's depth.

    The dither is triangular (the sum of two uniform variables, two steps wide in all), which
    leaves no distortion and no noise modulation (Lipshitz, Wannamaker & Vanderkooy, JAES 40
    (1992)). Its numbers are drawn frame by frame from one seeded generator, so they do not
    depend on the blocks. Without dither, what lies on the grid of the depth stays as it is.
    """

    def __init__(self, depth: Depth, seed: int | None) -> None:
        self.depth = depth
        self._random = None if seed is None or depth == 32 else np.random.default_rng(seed)
        self.clipped = 0
        """Samples that had to be held at full scale."""

    def __call__(self, block: Block) -> Block:
        """The samples as the file will hold them, full scale still at ±1."""
        if self.depth == 32:
            return np.asarray(block.astype(np.float32).astype(np.float64))
        full = float(1 << (self.depth - 1))
        steps = block * full
        if self._random is not None:
            # in time order, whatever the block: (frames, channels, the two variables)
            drawn = self._random.random((block.shape[1], block.shape[0], 2))
            steps = steps + (drawn[..., 0] - drawn[..., 1]).T
        rounded = np.rint(steps)
        self.clipped += int(np.count_nonzero((rounded > full - 1) | (rounded < -full)))
        return np.asarray(np.clip(rounded, -full, full - 1) / full)


def pcm(block: Block, depth: Depth) -> bytes:
    """The little-endian bytes of quantised samples, frame by frame."""
    frames: npt.NDArray[np.float64] = np.ascontiguousarray(block.T)
    if depth == 32:
        return frames.astype("<f4").tobytes()
    integers = (frames * float(1 << (depth - 1))).astype("<i4")
    if depth == 16:
        return integers.astype("<i2").tobytes()
    return integers.view(np.uint8).reshape(-1, 4)[:, :3].tobytes()
