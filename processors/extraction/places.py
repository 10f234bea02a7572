"""Semaphores for all processes of a machine: how many compute, use the GPU, fetch at once."""

from __future__ import annotations

from pathlib import Path

from processors.gpu import GpuMemory


def places(folder: Path, name: str, count: int) -> GpuMemory:
    """So many places of a kind; each takes one byte of a file, as a GPU's memory does by the MiB.

    What holds there holds here: who dies gives back, who comes first is first.
    """
    return GpuMemory(folder / f"places-{name}", count)
