"""Which measurements mean which fault, and from where: what the meter's detection is tested with.

A rule may ask for more before it acts; these are the points at which clean programmes end.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from schemas.documents.analysis import Analysis

Fault = Literal["pumping", "clipping", "hum", "dc", "narrow", "bass"]


@dataclass(frozen=True, slots=True)
class Sign:
    """Every measurement of ``paths`` lies at or above ``least`` (at or below ``most``)."""

    paths: tuple[str, ...]
    least: float = float("-inf")
    most: float = float("inf")

    def shows(self, analysis: Analysis) -> bool:
        """Whether it does; a null shows nothing."""
        values = [analysis.value(path) for path in self.paths]
        return all(value is not None and self.least <= value <= self.most for value in values)


SIGNS: Mapping[Fault, Sign] = {
    # drums hide about half of the ducking; clean programmes end below 0 (hats alone fake 3 dB in
    # the median, which is why the low percentile must agree)
    "pumping": Sign(("pumping.depthDb", "pumping.duckDb"), least=1.5),
    # limited programmes have none; one run may be a loud square wave
    "clipping": Sign(("clipping.runs",), least=3.0),
    # the third-highest of six partials: clean programmes reach 7.5 dB in ten seconds
    "hum": Sign(("hum.prominenceDb",), least=8.5),
    # −60 dBFS: clean programmes are at −80, the offset that clicks at an edit is not far above
    "dc": Sign(("dc.worstDbfs",), least=-60.0),
    # side 17 dB below mid: from there on people hear mono
    "narrow": Sign(("stereo.width",), most=0.02),
    # over balanced music, the middle of the song being zero; bass-heavy genres reach 4
    "bass": Sign(("balance.named.bass.deviationDb",), least=5.0),
}


def faults(analysis: Analysis) -> frozenset[Fault]:
    """The faults that the measurements show."""
    return frozenset(fault for fault, sign in SIGNS.items() if sign.shows(analysis))
