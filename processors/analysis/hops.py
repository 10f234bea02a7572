"""Sound cut into 10 ms hops, at rates that hundredths divide and at those they don't."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.floating]
Powers = npt.NDArray[np.float64]

HOPS_A_SECOND = 100
"""The 10 ms grid of short-term and momentary maxima (Tech 3341, cases 10 and 13)."""


class Hops:
    """The hops of a slab that starts on a whole second; a rest shorter than a hop is left out."""

    def __init__(self, rate: int) -> None:
        self._rate = rate

    def edges(self, frames: int) -> npt.NDArray[np.int64]:
        """Frame numbers between the hops of a slab of ``frames``, the first being 0."""
        count = frames * HOPS_A_SECOND // self._rate
        return np.arange(count + 1) * self._rate // HOPS_A_SECOND

    def mean_squares(self, samples: Samples) -> npt.NDArray[np.float64]:
        """Mean power of each hop, ``(channels, hops)``."""
        return self.mean_products(samples, samples)

    def mean_products(
        self,
        one: Samples,
        other: Samples,
    ) -> npt.NDArray[np.float64]:
        """Mean product of two signals in each hop, ``(channels, hops)``."""
        cut, matching = self._cut(one), self._cut(other)
        if cut is not None and matching is not None:
            products = np.einsum("chn,chn->ch", cut, matching)
            means: Powers = np.asarray(products, np.float64) / cut.shape[2]
            return means
        edges = self.edges(one.shape[1])
        if len(edges) == 1:
            return np.zeros((len(one), 0))
        sums = np.add.reduceat(
            one[:, : edges[-1]].astype(np.float64) * other[:, : edges[-1]], edges[:-1], axis=1
        )
        return np.asarray(sums / np.diff(edges))

    def extremes(self, samples: Samples) -> tuple[Samples, Samples]:
        """Lowest and highest sample of each hop, each ``(channels, hops)``."""
        cut = self._cut(samples)
        if cut is not None:
            return cut.min(axis=2), cut.max(axis=2)
        edges = self.edges(samples.shape[1])
        if len(edges) == 1:
            return samples[:, :0], samples[:, :0]
        kept = samples[:, : edges[-1]]
        return (
            np.minimum.reduceat(kept, edges[:-1], axis=1),
            np.maximum.reduceat(kept, edges[:-1], axis=1),
        )

    def _cut(self, samples: Samples) -> Samples | None:
        """A view ``(channels, hops, frames a hop)`` when the rate is a multiple of 100."""
        if self._rate % HOPS_A_SECOND:
            return None
        length = self._rate // HOPS_A_SECOND
        count = samples.shape[1] // length
        return samples[:, : count * length].reshape(len(samples), count, length)
