"""Short-time spectra with perfect reconstruction, laid out ``(channels, frames, bins)``."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import fft

from processors.audio.samples import Samples

Spectrum = npt.NDArray[np.complex64]
Magnitude = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Transform:
    """A Hann-windowed transform with 75 % overlap; ``size`` is a multiple of four samples."""

    size: int

    @property
    def hop(self) -> int:
        """Samples between frames."""
        return self.size // 4

    def _window(self) -> Samples:
        # periodic Hann: squared and overlapped by 75 % it sums to 1.5 everywhere
        phase = 2 * np.pi * np.arange(self.size) / self.size
        return (0.5 - 0.5 * np.cos(phase)).astype(np.float32)

    def forward(self, samples: Samples) -> Spectrum:
        """Spectrum of ``(channels, n)`` samples, padded so that every sample has four frames."""
        hops = -(-samples.shape[1] // self.hop) + 3
        tail = hops * self.hop + self.size - self.hop - samples.shape[1] - 3 * self.hop
        padded = np.pad(samples, ((0, 0), (3 * self.hop, tail)))
        views = np.lib.stride_tricks.sliding_window_view(padded, self.size, axis=1)
        window = self._window()
        spectra: Spectrum = fft.rfft(views[:, :: self.hop] * window, axis=2)
        return spectra

    def inverse(self, spectrum: Spectrum, length: int) -> Samples:
        """The ``(channels, length)`` samples whose ``forward`` is nearest to the spectrum."""
        channels, frames, _ = spectrum.shape
        sound = np.zeros((channels, frames + 3, self.hop), dtype=np.float32)
        pieces = fft.irfft(spectrum, self.size, axis=2)
        pieces *= self._window() / np.float32(1.5)
        quarters = pieces.reshape(channels, frames, 4, self.hop)
        for quarter in range(4):
            sound[:, quarter : quarter + frames] += quarters[:, :, quarter]
        flat = sound.reshape(channels, -1)
        return np.ascontiguousarray(flat[:, 3 * self.hop : 3 * self.hop + length])
