"""What separators, recognizers and aligners have in common: they say what computes."""

from __future__ import annotations

from typing import Protocol


class Backend(Protocol):
    """One way to do a stage's work, loaded."""

    @property
    def name(self) -> str:
        """As settings and karaoke-json's ``source`` have it, such as ``light``."""
        ...

    @property
    def model(self) -> str:
        """The model and its revision; part of a result's identity."""
        ...

    @property
    def hash(self) -> str:
        """SHA-256 of the model's weights in hex; empty where nobody can choose them."""
        ...

    @property
    def device(self) -> str:
        """Where it computes: ``cpu`` or ``cuda``."""
        ...

    @property
    def gpu_mib(self) -> int:
        """MiB of the GPU's memory to reserve before it computes; 0 on the CPU."""
        ...
