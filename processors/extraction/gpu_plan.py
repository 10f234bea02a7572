"""Whether a file is extracted on the GPU, and how much of its memory that takes.

What computes on the GPU is the shared spectra, a batch of windows after the other, and CLAP. The
memory they need follows from the windows that are sent at once, whatever the length of the file;
where less can be had, fewer are sent, and where too little can be had, the CPU does it all.

The figures are counted from the shapes: no GPU has been at hand to measure them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from processors.extraction.devices import AT_ONCE, FEWEST

_TABLES_MIB = 64
"""Filters and tables of the spectra, and what torch's allocator keeps beside them."""
_WINDOW_KIB = 96
"""Of one window on its way: 2048 samples, 1025 complex bins, magnitudes, and the temporaries of the
widest step, twice over because the allocator gives back late."""
_CLAP_MIB = 1024
"""CLAP's weights (600 MB in single precision) and four pieces of ten seconds."""

_DEVICE_FILES = ("/dev/nvidiactl", "/dev/dxg", "/dev/kfd")
"""NVIDIA's driver, the same under WSL, AMD's. Without them torch finds no GPU, and importing it
only to be told so costs 3 s and 300 MB."""


def may_have_gpu(files: Sequence[str] = _DEVICE_FILES) -> bool:
    """Whether it is worth asking torch."""
    return any(Path(file).exists() for file in files)


def needed_mib(windows: int, *, clap: bool) -> int:
    """Memory that so many windows at once take."""
    return _TABLES_MIB + -(-windows * _WINDOW_KIB // 1024) + (_CLAP_MIB if clap else 0)


def windows_within(mib: int, *, clap: bool) -> int:
    """The most windows at once that fit, halved from the usual number; 0 when too few do."""
    windows = AT_ONCE
    while windows >= FEWEST:
        if needed_mib(windows, clap=clap) <= mib:
            return windows
        windows //= 2
    return 0
