"""What an extractor is: how it is asked, what it gets of the sound, and what it answers.

A third-party package adds one by an entry point in the group ``melisma.extractors`` whose object
is a class (or function) that makes an `Extractor` without arguments. A whole one:

    class Peak:
        name, version, device = "peak", "1", "cpu"
        description = "The highest sample."

        def cost(self, seconds, rate):
            return Cost(seconds=seconds / 1000, bytes=0)

        def extract(self, audio, context):
            return PeakSoFar()

    class PeakSoFar:
        peak = 0.0

        def add(self, block):
            self.peak = max(self.peak, float(abs(block.mono).max(initial=0)))

        def finish(self):
            return Features({"peak": self.peak})
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy.typing as npt
from pydantic import JsonValue

if TYPE_CHECKING:
    from processors.extraction.sound import Block

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Cost:
    """What an extraction takes on one core, for a scheduler to weigh: its processor time in
    seconds and its memory in bytes beyond the shared decode and spectra."""

    seconds: float
    bytes: int


@dataclass(frozen=True, slots=True)
class Sound:
    """The file that is about to come in blocks: ``rate`` in Hz, ``seconds`` when it says so."""

    rate: int
    channels: int
    seconds: float | None


@dataclass(frozen=True, slots=True)
class Context:
    """What is fixed for a run: the analysis rate in Hz, window and hop in samples of it, the
    device of the shared spectra, and the caller's parameters for this extractor."""

    rate: int
    window: int
    hop: int
    device: str = "cpu"
    parameters: Mapping[str, JsonValue] = field(default_factory=dict)

    @property
    def frame_rate(self) -> float:
        """Windows a second."""
        return self.rate / self.hop


@dataclass(frozen=True, slots=True)
class Features:
    """An extractor's answer.

    ``values`` go into the manifest; a None in them has its sentence in ``reasons`` (dotted path).
    ``arrays`` go into a file, ``units`` say what their numbers are.
    """

    values: Mapping[str, JsonValue]
    reasons: Mapping[str, str] = field(default_factory=dict)
    arrays: Mapping[str, Array] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, JsonValue] = field(default_factory=dict)


class Extraction(Protocol):
    """One file in work: fed block by block, in order, then asked once."""

    def add(self, block: Block) -> None:
        """Take in a block; keep what is needed of it, not the block."""
        ...

    def finish(self) -> Features:
        """The features of everything that came."""
        ...


class Extractor(Protocol):
    """A kind of features. ``device`` is ``cpu``, ``cuda``, or ``shared`` for the spectra's."""

    @property
    def name(self) -> str:
        """As requests and manifests call it."""
        ...

    @property
    def version(self) -> str:
        """Changes whenever the features would: what was computed is never computed twice."""
        ...

    @property
    def device(self) -> str:
        """Where it computes."""
        ...

    @property
    def description(self) -> str:
        """One line for people."""
        ...

    def cost(self, seconds: float, rate: int) -> Cost:
        """What ``seconds`` of sound at ``rate`` Hz will take. One that takes far longer (20 times
        that and `EXTRACTOR_TIMEOUT_SECONDS`) is taken to hang, and ended."""
        ...

    def extract(self, audio: Sound, context: Context) -> Extraction:
        """Begin with a file. Raises `NotAvailable` when it can't here."""
        ...


class NotAvailable(Exception):
    """This extractor can't run on this machine; the message says what is missing."""
