"""Sound in memory: one plain value that every backend takes and gives."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Audio:
    """Decoded sound.

    ``samples`` is ``(channels, frames) float32`` with full scale at ±1.0; ``rate`` is in Hz.
    """

    samples: Samples
    rate: int

    @property
    def channels(self) -> int:
        """Number of channels."""
        return int(self.samples.shape[0])

    @property
    def frames(self) -> int:
        """Number of samples per channel."""
        return int(self.samples.shape[1])

    @property
    def seconds(self) -> float:
        """Length in seconds."""
        return self.frames / self.rate

    def mono(self) -> Samples:
        """The mean of the channels, ``(frames,) float32``."""
        mean: Samples = self.samples.mean(axis=0, dtype=np.float32)
        return mean
