"""What a separation backend is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from processors.audio.samples import Audio
from processors.backend import Backend

Progress = Callable[[float], None]
"""Told the finished share of the work, 0 to 1, at least about once a second."""


@dataclass(frozen=True, slots=True)
class Stems:
    """The voice and what is left without it: ``vocals + minus`` is the mix, sample by sample."""

    vocals: Audio
    minus: Audio


class Separator(Backend, Protocol):
    """Takes a song apart into the voice and the rest."""

    @property
    def fallback(self) -> str:
        """What it had to give up to go on, in words; empty while that is nothing."""
        ...

    def separate(self, mix: Audio, progress: Progress) -> Stems:
        """Separate a mono or stereo mix; both stems keep its rate, channels and length.

        Raises ``ValueError`` for other channel counts and rates below 8 kHz.
        """
        ...
