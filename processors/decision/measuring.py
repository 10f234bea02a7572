"""The numbers that rules may ask for: the meter's, and what follows from target and reference.

Derived measurements:

- ``target.lufs``, ``target.truePeakDbtp``, ``target.mostLimitingDb``: what is wanted
- ``target.gainDb``: from the song's loudness to the target
- ``target.limitingDb``: what the limiter would take off the highest peak after that gain
- ``target.excessRangeLu``: loudness range beyond what suits the preset; null when it sets none
- ``target.dcDbfs``: the offset after that gain
- ``reference.usable``: 1 when there is one that can be followed
- ``towards.<path>``: how far the song should move towards the reference there, its amount and
  the parts that are switched on already counted in; null without a usable reference
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from schemas.documents.analysis import MEASUREMENTS, Analysis
from schemas.documents.decision import Target

FARTHEST: Final = 1e6
"""Readings are held within ± this: far beyond any unit here, and safe from overflow."""

TARGET_PATHS: Final = (
    "target.lufs",
    "target.truePeakDbtp",
    "target.mostLimitingDb",
    "target.gainDb",
    "target.limitingDb",
    "target.excessRangeLu",
    "target.dcDbfs",
)

PART_OF: Final[Mapping[str, str]] = {
    "loudness.rangeLu": "dynamics",
    "dynamics.psrDb": "dynamics",
    "dynamics.plrDb": "dynamics",
    "dynamics.crestDb": "dynamics",
    "stereo.width": "width",
    "stereo.sideToMidDb": "width",
    "stereo.bassWidth": "width",
}
"""What a song can be moved towards, and the part of the reference that this belongs to."""

KNOWN: Final = frozenset(
    {*MEASUREMENTS, *TARGET_PATHS, "reference.usable", *(f"towards.{p}" for p in PART_OF)}
)
"""Every path that a rule may name."""

_UNITS: Final = (
    ("PerMinute", "/min"),
    ("DbPerOctave", "dB/oct"),
    ("Lufs", "LUFS"),
    ("Dbtp", "dBTP"),
    ("Dbfs", "dBFS"),
    ("Bpm", "BPM"),
    ("Lu", "LU"),
    ("Db", "dB"),
    ("Hz", "Hz"),
    ("Ms", "ms"),
    ("S", "s"),
)


def unit_of(path: str) -> str:
    """The unit at the end of a measurement's or parameter's name; empty when it has none."""
    for ending, unit in _UNITS:
        if path.endswith((ending, f".{ending.lower()}")) or path == ending.lower():
            return unit
    return ""


@dataclass(frozen=True, slots=True)
class Measurements:
    """One song held against one target, and against a reference if there is one to follow."""

    analysis: Analysis
    target: Target
    reference: Analysis | None = None
    amount: float = 1.0
    parts: frozenset[str] = frozenset()
    curve_db: tuple[float, ...] | None = field(default=None, repr=False)

    def value(self, path: str) -> float | None:
        """The number at a path of `KNOWN`, or None when it was not measured."""
        value = self._value(path)
        if value is None or math.isnan(value):
            return None
        return min(FARTHEST, max(-FARTHEST, value))

    def numbers(self, name: str) -> tuple[float, ...] | None:
        """A list that rules may copy."""
        if name == "dc.offsets":
            offsets = self.analysis.dc.offsets
            return offsets if len(offsets) <= 2 else ()
        return self.curve_db

    def _value(self, path: str) -> float | None:
        kind, _, rest = path.partition(".")
        match kind:
            case "target":
                return self._of_target(rest)
            case "reference":
                return float(self.reference is not None)
            case "towards":
                return self._towards(rest)
            case _:
                return self.analysis.value(path)

    def _of_target(self, name: str) -> float | None:
        target = self.target
        gain = less(target.lufs, self.analysis.loudness.integrated_lufs)
        match name:
            case "lufs":
                return target.lufs
            case "truePeakDbtp":
                return target.true_peak_dbtp
            case "mostLimitingDb":
                return target.most_limiting_db
            case "gainDb":
                return gain
            case "limitingDb":
                peak = self.analysis.peaks.true_peak_dbtp
                return None if peak is None or gain is None else peak + gain - target.true_peak_dbtp
            case "dcDbfs":
                worst = self.analysis.dc.worst_dbfs
                return None if worst is None else worst + (gain or 0.0)
            case "excessRangeLu":
                return less(self.analysis.loudness.range_lu, target.most_range_lu)
            case _:
                raise KeyError(f"target.{name}")

    def _towards(self, path: str) -> float | None:
        if self.reference is None or PART_OF[path] not in self.parts:
            return None
        there = less(self.reference.value(path), self.analysis.value(path))
        return None if there is None else self.amount * there


def less(minuend: float | None, subtrahend: float | None) -> float | None:
    """The difference, when both were measured."""
    return None if minuend is None or subtrahend is None else minuend - subtrahend
