"""One decode and one set of spectra a file: blocks that all extractors look at.

Each block holds the new samples as the file has them, the new mono samples at the analysis rate,
and the windows that these complete. Spectra are computed when the first extractor asks, once, and
their time is billed to none of them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property, wraps
from typing import Any, TypeVar

import numpy as np
import soxr

from processors.audio.mixdown import matrix
from processors.audio.samples import Samples
from processors.extraction.spectra import (
    HOP,
    RATE_HZ,
    WINDOW,
    Floats,
    Spectra,
    compressed,
)

_FRAMES_A_BLOCK = 512
"""12 s: 2 MB of magnitudes, which stay in the cache; the Python around them is paid rarely."""

Clock = Callable[[], float]
_T = TypeVar("_T")


class Bill:
    """What shared work took, in seconds, and on which clock."""

    def __init__(self, clock: Clock = time.perf_counter) -> None:
        self.clock = clock
        self.seconds = 0.0


def _shared(compute: Callable[[Any], _T]) -> Callable[[Any], _T]:
    """Bill the computation to everyone; what it needs of others is not counted twice."""

    @wraps(compute)
    def billed(block: Any) -> _T:
        bill: Bill = block.bill
        before, started = bill.seconds, bill.clock()
        made = compute(block)
        bill.seconds = before + bill.clock() - started
        return made

    return billed


class Block:
    """A stretch of the file.

    ``native`` is ``(channels, frames) float32`` at the file's rate, ``mono`` ``(samples,)
    float32`` at the analysis rate, ``windows`` ``(frames, WINDOW)``; ``first`` is the number of
    the first window, which is centred at ``first * HOP`` samples.
    """

    def __init__(
        self,
        native: Samples,
        mono: Floats,
        windows: Floats,
        first: int,
        *,
        spectra: Spectra,
        last_window: Floats | None,
        bill: Bill,
    ) -> None:
        self.native, self.mono, self.windows, self.first = native, mono, windows, first
        self.bill = bill
        self._spectra, self._last_window = spectra, last_window

    @cached_property
    @_shared
    def magnitudes(self) -> Floats:
        """``(frames, BINS)``."""
        return self._spectra.magnitudes(self.windows)

    @cached_property
    @_shared
    def mel(self) -> Floats:
        """Mel power ``(frames, MELS)``."""
        return self._spectra.mel(self.magnitudes)

    @cached_property
    @_shared
    def cepstra(self) -> Floats:
        """MFCC ``(frames, CEPSTRA)``."""
        return self._spectra.cepstra(self.mel)

    @cached_property
    @_shared
    def chroma(self) -> Floats:
        """``(frames, CLASSES)``, fifths of a semitone."""
        return self._spectra.chroma(self.magnitudes)

    @cached_property
    @_shared
    def shapes(self) -> Floats:
        """Centroid, bandwidth, roll-off, flatness ``(frames, 4)``."""
        return self._spectra.shapes(self.magnitudes)

    @cached_property
    @_shared
    def rises(self) -> Floats:
        """How much each mel band grew since the window before, compressed; ``(frames, MELS)``."""
        levels = compressed(self.mel)
        before = np.zeros((1, levels.shape[1]), np.float32)
        if self._last_window is not None:
            window = self._spectra.magnitudes(self._last_window)
            before = compressed(self._spectra.mel(window))
        rises = levels.copy()
        rises[1:] -= levels[:-1]
        rises[:1] -= before
        return np.maximum(rises, 0, out=rises)

    @cached_property
    @_shared
    def rms(self) -> Floats:
        """Root mean square of each window, ``(frames,)``."""
        squares = np.einsum("fn,fn->f", self.windows, self.windows)
        return np.asarray(np.sqrt(squares / np.float32(WINDOW)))


def blocks(
    source: Iterable[Samples], *, rate: int, channels: int, spectra: Spectra, bill: Bill
) -> Iterator[Block]:
    """The blocks of a file from its ``(frames, channels)`` pieces at ``rate`` Hz.

    Windows are centred: half a window of silence stands before the first sample and after the
    last.
    """
    gains = matrix(channels, 1)
    resampler = (
        soxr.ResampleStream(rate, RATE_HZ, 1, dtype="float32", quality="HQ")
        if rate != RATE_HZ
        else None
    )
    wanted = _FRAMES_A_BLOCK * HOP
    silence = np.zeros(WINDOW // 2, np.float32)
    tail: Floats = silence
    natives: list[Samples] = []
    monos: list[Floats] = []
    waiting, first = 0, 0
    last_window: Floats | None = None
    pieces = iter(source)
    ended = False
    while not ended:
        started = bill.clock()
        piece = next(pieces, None)
        ended = piece is None
        if piece is None:
            if resampler is not None:
                monos.append(resampler.resample_chunk(np.empty(0, np.float32), last=True))
                waiting += len(monos[-1])
        else:
            mixed = piece[:, 0] if channels == 1 else _mixed(piece, gains)
            monos.append(resampler.resample_chunk(mixed) if resampler is not None else mixed)
            natives.append(piece)
            waiting += len(monos[-1])
        if waiting < wanted and not ended:
            bill.seconds += bill.clock() - started
            continue
        mono = np.concatenate(monos) if monos else np.zeros(0, np.float32)
        native = np.concatenate(natives).T if natives else np.zeros((channels, 0), np.float32)
        joined = np.concatenate([tail, mono, silence] if ended else [tail, mono])
        windows = _windows(joined)
        tail = joined[len(windows) * HOP :].copy()
        bill.seconds += bill.clock() - started
        block = Block(
            native, mono, windows, first, spectra=spectra, last_window=last_window, bill=bill
        )
        yield block
        first += len(windows)
        if len(windows):
            last_window = windows[-1:].copy()
        natives, monos, waiting = [], [], 0


def _mixed(piece: Samples, gains: Samples) -> Floats:
    if piece.shape[1] == 2:
        return np.float32(0.5) * (piece[:, 0] + piece[:, 1])
    return np.asarray(piece @ gains[0], np.float32)


def _windows(samples: Floats) -> Floats:
    if len(samples) < WINDOW:
        return np.empty((0, WINDOW), np.float32)
    return np.lib.stride_tricks.sliding_window_view(samples, WINDOW)[::HOP]
