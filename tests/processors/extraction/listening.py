"""One extractor on one wave, as the engine would run it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile

from processors.extraction.extractor import Context, Extractor, Features, Sound
from processors.extraction.sound import Bill, Block, blocks
from processors.extraction.spectra import HOP, RATE_HZ, WINDOW, CpuSpectra, Spectra
from tests.features import RATE, Wave

CONTEXT = Context(RATE_HZ, WINDOW, HOP)


def pieces(wave: Wave, size: int = 1 << 16) -> Iterator[npt.NDArray[np.float32]]:
    """``(frames, channels)`` as a file reader gives them."""
    rows = wave.astype(np.float32)
    rows = rows[:, None] if rows.ndim == 1 else rows
    for start in range(0, len(rows), size):
        yield rows[start : start + size]


def read(wave: Wave, *, size: int = 1 << 16, spectra: Spectra | None = None) -> Iterator[Block]:
    """The blocks of a wave at `RATE`."""
    channels = 1 if wave.ndim == 1 else wave.shape[1]
    return blocks(
        pieces(wave, size), rate=RATE, channels=channels, spectra=spectra or CpuSpectra(),
        bill=Bill(),
    )  # fmt: skip


def heard(extractor: Extractor, wave: Wave, *, size: int = 1 << 16) -> Features:
    """What it finds in a wave."""
    channels = 1 if wave.ndim == 1 else wave.shape[1]
    extraction = extractor.extract(Sound(RATE, channels, len(wave) / RATE), CONTEXT)
    for block in read(wave, size=size):
        extraction.add(block)
    return extraction.finish()


def number(features: Features, path: str) -> float:
    """A number by its dotted path."""
    value: Any = features.values
    for key in path.split("."):
        value = value[key]
    assert isinstance(value, float | int), f"{path} is {value}: {features.reasons}"
    return float(value)


def save(path: Path, wave: Wave, rate: int = RATE) -> Path:
    """As 16 bit."""
    soundfile.write(path, wave, rate, "PCM_16")
    return path
