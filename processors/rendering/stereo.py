"""Stereo: how wide each band is, and the bass in the middle.

Width is linear, so one filter does it: the side signal through a linear-phase FIR. The middle is
not touched, and the sum to mono stays what it was.
"""

from __future__ import annotations

import numpy as np

from processors.rendering.blocks import Block, grid_frames
from processors.rendering.dynamics import lowpass_curve
from processors.rendering.filters import (
    HIGHEST_SHARE,
    Convolver,
    Curve,
    Delay,
    bins_hz,
    linear_phase,
)
from schemas.documents.chain import Stereo


def side_curve(settings: Stereo, frequencies_hz: Curve, rate: int) -> Curve:
    """The gain of the side signal."""
    curve = np.full(len(frequencies_hz), settings.widths[0])
    for hz, below, above in zip(
        settings.crossovers_hz, settings.widths, settings.widths[1:], strict=False
    ):
        share = lowpass_curve(min(hz, HIGHEST_SHARE * rate), frequencies_hz)
        curve = curve + (above - below) * (1 - share)
    if settings.mono_below_hz is not None:
        curve = curve * (1 - lowpass_curve(settings.mono_below_hz, frequencies_hz))
    return curve


class StereoAtWork:
    """A processor for two channels."""

    def __init__(self, settings: Stereo, rate: int) -> None:
        grid = grid_frames(rate)
        self.latency = grid // 2 - 1
        # what is added to the side: the curve less the side itself
        change = side_curve(settings, bins_hz(grid, rate), rate) - 1
        self._change = Convolver([linear_phase(change, grid)], 1, grid)
        self._delay = Delay(self.latency, 2)

    def __call__(self, block: Block) -> Block:
        """The next grid block with its new width."""
        (added,) = self._change(0.5 * (block[:1] - block[1:]))
        return self._delay(block) + np.concatenate((added, -added))
