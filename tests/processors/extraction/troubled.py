"""Extractors that misbehave, brought by an entry point in a folder of the test's own."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

from processors.extraction.extractor import Context, Cost, Features, Sound
from processors.gpu import GpuFailed


class Troubled:
    """Its name says what it does in the middle of a file."""

    version, device = "7", "cpu"
    description = "Trouble."

    def __init__(self, name: str) -> None:
        self.name = name
        self._eaten: list[bytearray] = []

    def cost(self, seconds: float, rate: int) -> Cost:
        # What eats is given the time to, on a busy machine, too.
        return Cost(1.0 if self.name == "eats" else 0.0, 0)

    def extract(self, audio: Sound, context: Context) -> Troubled:
        return Troubled(self.name)

    def add(self, block: Any) -> None:
        match self.name:
            case "hangs":
                time.sleep(3600)
            case "spins":
                while True:
                    pass
            case "eats":
                while True:
                    self._eaten.append(bytearray(b"x" * (32 << 20)))
            case "dies":
                os.kill(os.getpid(), signal.SIGSEGV)
            case "gpu":
                raise GpuFailed("CUDA error: an illegal memory access was encountered")
            case "raises":
                raise ZeroDivisionError("in the middle")
            case _:
                pass

    def finish(self) -> Features:
        if self.name == "nan":
            return Features({"value": float("nan")})
        count = Path(os.environ.get("TROUBLED_COUNT", os.devnull))
        with count.open("a") as file:
            file.write(f"{self.name}\n")
        return Features({"value": 1.0})


def hangs() -> Troubled:
    return Troubled("hangs")


def spins() -> Troubled:
    return Troubled("spins")


def eats() -> Troubled:
    return Troubled("eats")


def dies() -> Troubled:
    return Troubled("dies")


def gpu() -> Troubled:
    return Troubled("gpu")


def raises() -> Troubled:
    return Troubled("raises")


def nan() -> Troubled:
    return Troubled("nan")


def fine() -> Troubled:
    return Troubled("fine")


NAMES = ("gpu", "hangs", "spins", "eats", "dies", "raises", "nan", "fine")


def install(folder: Path) -> Path:
    """A folder for PYTHONPATH in which these are found as if a package had brought them."""
    about = folder / "troubled_extractors-1.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: troubled-extractors\nVersion: 1\n"
    )
    points = "\n".join(f"{name} = tests.processors.extraction.troubled:{name}" for name in NAMES)
    (about / "entry_points.txt").write_text(f"[melisma.extractors]\n{points}\n")
    return folder
