"""The shared computations by torch, on a GPU where there is one.

The same definitions as `CpuSpectra`, from the same tables. Where a device runs out of memory,
``MemoryError`` is raised, so that nobody else needs to know torch.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from processors import gpu
from processors.audio import yin
from processors.extraction import spectra
from processors.extraction.spectra import BINS, CLASSES, RATE_HZ, STEPS_A_SEMITONE, WINDOW, Floats


def best_device() -> str:
    """A GPU where there is one."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def _with_memory(compute: Callable[[Any, Floats], Floats]) -> Callable[[Any, Floats], Floats]:
    @wraps(compute)
    def named(self: Any, rows: Floats) -> Floats:
        try:
            with gpu.watched(), torch.inference_mode():
                return compute(self, rows)
        except RuntimeError as error:
            if not gpu.ran_out(error):
                raise
            torch.cuda.empty_cache()
            raise MemoryError(str(error).partition("\n")[0]) from None

    return named


class TorchSpectra:
    """See `processors.extraction.spectra.Spectra`; ``device`` is torch's name of one."""

    def __init__(self, device: str) -> None:
        self._on = torch.device(device)
        self._device = f"torch:{device}"
        self._window = self._sent(spectra.hann())
        self._mel = self._sent(np.ascontiguousarray(spectra.mel_filters().T))
        self._cosines = self._sent(spectra.cosines())
        self._hertz = self._sent(spectra.hertz())

    @property
    def device(self) -> str:
        """``torch:cuda``, ``torch:cpu``."""
        return self._device

    def _sent(self, rows: Floats) -> Any:
        return torch.from_numpy(np.array(rows, np.float32)).to(self._on)

    @_with_memory
    def magnitudes(self, windows: Floats) -> Floats:
        """See `Spectra`."""
        return _back(torch.fft.rfft(self._sent(windows) * self._window, dim=1).abs())

    @_with_memory
    def mel(self, magnitudes: Floats) -> Floats:
        """See `Spectra`."""
        return _back(self._sent(magnitudes).square() @ self._mel)

    @_with_memory
    def cepstra(self, mel: Floats) -> Floats:
        """See `Spectra`."""
        return _back(10 * self._sent(mel).clamp_min(1e-10).log10() @ self._cosines)

    @_with_memory
    def chroma(self, magnitudes: Floats) -> Floats:
        """See `Spectra`."""
        first, last = spectra.peak_range()
        part = self._sent(magnitudes)[:, first - 1 : last + 1]
        before, here, after = part[:, :-2], part[:, 1:-1], part[:, 2:]
        floor = spectra.PEAK_FLOOR * here.amax(dim=1, keepdim=True)
        tops = (here > before) & (here >= after) & (here > floor)
        left, top, right = (each.clamp_min(1e-12).log() for each in (before, here, after))
        bend = left - 2 * top + right
        steep = bend < -1e-9
        shift = torch.where(steep, 0.5 * (left - right) / torch.where(steep, bend, 1.0), 0.0)
        bins = torch.arange(first, last, device=self._on)
        hz = (bins + shift) * (RATE_HZ / WINDOW)
        steps = (
            CLASSES * (hz / spectra.C0_HZ).clamp_min(1e-3).log2() + STEPS_A_SEMITONE / 2
        ).floor()
        classes = steps.long() % CLASSES
        found = torch.zeros(len(part), CLASSES, device=self._on)
        found.scatter_add_(1, classes, torch.where(tops, here, 0.0))
        return _back(found)

    @_with_memory
    def shapes(self, magnitudes: Floats) -> Floats:
        """See `Spectra`."""
        rows, hz = self._sent(magnitudes), self._hertz
        total = rows.sum(dim=1).clamp_min(1e-12)
        centroid = rows @ hz / total
        spread = (rows @ hz.square() / total - centroid.square()).clamp_min(0)
        running = rows.cumsum(dim=1)
        rolled = (running < 0.85 * running[:, -1:]).sum(dim=1).clamp_max(BINS - 1)
        power = rows.square().clamp_min(1e-10)
        flatness = power.log().mean(dim=1).exp() / power.mean(dim=1)
        return _back(torch.stack([centroid, spread.sqrt(), hz[rolled], flatness], dim=1))


class TorchDifferences:
    """YIN's d' by torch: `processors.audio.yin.normalised_difference` in float32 transforms."""

    def __init__(self, device: str) -> None:
        self._on = torch.device(device.removeprefix("torch:"))

    def __call__(self, cut: Floats) -> npt.NDArray[np.floating]:
        """``(frames, samples)`` to ``(frames, lags)``. Raises ``MemoryError``."""
        try:
            with torch.inference_mode():
                return self._differences(torch.from_numpy(np.array(cut)).to(self._on))
        except torch.OutOfMemoryError as error:
            torch.cuda.empty_cache()
            raise MemoryError(str(error).partition("\n")[0]) from None

    def _differences(self, cut: Any) -> npt.NDArray[np.floating]:
        lags = yin.LONGEST_LAG
        window, size = cut.shape[1] - lags, yin.fft_size(cut.shape[1])
        head = torch.fft.rfft(cut[:, :window], size)
        product = torch.fft.irfft(head.conj() * torch.fft.rfft(cut, size), size)[:, : lags + 1]
        squares = cut.double().square()
        first = squares[:, :window].sum(dim=1, keepdim=True)
        moved = (squares[:, window:] - squares[:, :lags]).cumsum(dim=1)
        energy = torch.cat([first, first + moved], dim=1)
        difference = (first + energy - 2 * product).clamp_min(0)
        steps = torch.arange(1, lags + 1, device=self._on)
        mean = difference[:, 1:].cumsum(dim=1) / steps
        heard = mean > 1e-12
        normal = torch.where(heard, difference[:, 1:] / torch.where(heard, mean, 1.0), 1.0)
        ones = torch.ones(len(normal), 1, device=self._on, dtype=normal.dtype)
        found: npt.NDArray[np.floating] = torch.cat([ones, normal], dim=1).cpu().numpy()
        return found


def _back(rows: Any) -> Floats:
    found: Floats = rows.cpu().numpy()
    return found
