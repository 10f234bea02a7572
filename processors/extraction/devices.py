"""Where spectra are computed: on the CPU, or by torch until its memory runs out.

Out of memory halves the windows that are sent at once; when even a few do not fit, the CPU does
the rest and the manifest says so. The figures are the same within the tolerance of the tests.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from processors.extraction.spectra import CpuSpectra, Floats, Spectra
from schemas.documents.audio_manifest import Fallback

AT_ONCE = 4096  # windows: 32 MB of samples and about four times that of spectra
FEWEST = 64


class Device:
    """`Spectra` that give way: fewer windows at once, then the CPU."""

    def __init__(
        self,
        asked: str,
        spectra: Spectra,
        fallback: Fallback | None = None,
        *,
        at_once: int = AT_ONCE,
    ) -> None:
        self.asked, self.fallback = asked, fallback
        self._spectra = spectra
        self._at_once = at_once

    @property
    def device(self) -> str:
        """Where it computes now."""
        return self._spectra.device

    def magnitudes(self, windows: Floats) -> Floats:
        """See `Spectra`."""
        return self._yielding(lambda spectra, part: spectra.magnitudes(part), windows)

    def mel(self, magnitudes: Floats) -> Floats:
        """See `Spectra`."""
        return self._yielding(lambda spectra, part: spectra.mel(part), magnitudes)

    def cepstra(self, mel: Floats) -> Floats:
        """See `Spectra`."""
        return self._yielding(lambda spectra, part: spectra.cepstra(part), mel)

    def chroma(self, magnitudes: Floats) -> Floats:
        """See `Spectra`."""
        return self._yielding(lambda spectra, part: spectra.chroma(part), magnitudes)

    def shapes(self, magnitudes: Floats) -> Floats:
        """See `Spectra`."""
        return self._yielding(lambda spectra, part: spectra.shapes(part), magnitudes)

    def _yielding(self, work: Callable[[Spectra, Floats], Floats], rows: Floats) -> Floats:
        if self._spectra.device == "cpu":
            return work(self._spectra, rows)
        done: list[Floats] = []
        at = 0
        while at < len(rows) or not done:
            try:
                done.append(work(self._spectra, rows[at : at + self._at_once]))
            except MemoryError:
                self._give_way()
                continue
            at += self._at_once
        return np.concatenate(done)

    def _give_way(self) -> None:
        if self._at_once > FEWEST:
            self._at_once //= 2
            return
        self.fallback = Fallback(
            asked=self.asked,
            used="cpu",
            reason=f"the device had no memory left for {FEWEST} windows",
        )
        self._spectra = CpuSpectra()


def chosen_device(asked: str, *, at_once: int = AT_ONCE) -> Device:
    """The device of that name; ``auto`` is a GPU where there is one. What is asked for and not
    there is computed by the CPU, with the reason."""
    if asked == "cpu":
        return Device("cpu", CpuSpectra())
    try:
        from processors.extraction.torch_spectra import TorchSpectra, best_device

        name = best_device() if asked == "auto" else asked
        if name == "cpu":
            return Device("cpu", CpuSpectra())
        return Device(asked, TorchSpectra(name), at_once=at_once)
    except ImportError:
        reason = "torch is not installed (extra `models`)"
    except (RuntimeError, AssertionError, ValueError):
        reason = f"there is no device '{asked}' here that torch can use"
    if asked == "auto":
        return Device("cpu", CpuSpectra())
    return Device(asked, CpuSpectra(), Fallback(asked=asked, used="cpu", reason=reason))
