"""The target: the preset's, the client's wishes over it, the reference's loudness in between."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from processors.decision.referring import PARTS
from processors.decision.refusals import Refused
from processors.decision.rulebook import Rulebook
from processors.decision.wording import told
from schemas.documents.analysis import Analysis
from schemas.documents.decision import Compromise, Target

LUFS_BOUNDS = (-40.0, -4.0)
"""Those of `schemas.documents.chain.LoudnessGoal`."""
PEAK_BOUNDS = (-20.0, 0.0)


@dataclass(frozen=True, slots=True)
class Request:
    """What a client wants. None leaves it to the preset."""

    preset: str = "streaming"
    lufs: float | None = None
    true_peak_dbtp: float | None = None
    reference_amount: float = 1.0
    reference_without: frozenset[str] = frozenset()
    """Parts of `referring.PARTS` that the reference does not decide."""
    bits: Literal[16, 24] | None = None
    """Bits of the file to write, for dither; None keeps the song's."""

    @property
    def reference_parts(self) -> frozenset[str]:
        """What the reference decides."""
        return frozenset(PARTS) - self.reference_without


def refuse(song: Analysis) -> None:
    """Raise `Refused` for what holds no music that could be mastered."""
    if song.loudness.integrated_lufs is not None:
        return
    seconds = song.source.duration_s
    if seconds < 0.4:  # one gating block of BS.1770: nothing shorter has a loudness
        raise Refused("too-short", told("too-short", {"seconds": "s"}, seconds=seconds))
    worst, rms = song.dc.worst_dbfs, song.dynamics.rms_dbfs
    if worst is not None and (rms is None or worst > rms - 1.0):
        raise Refused("dc-only", told("dc-only", {"worst": "dBFS"}, worst=worst))
    peak = song.peaks.sample_peak_dbfs
    if peak is None or peak < -60.0 or song.silence.share >= 0.999:
        raise Refused("silent", told("silent"))
    reason = song.reason("loudness.integratedLufs") or "–"
    raise Refused("not-measured", told("not-measured", reason=reason))


def aim(
    request: Request, book: Rulebook, reference: Analysis | None
) -> tuple[Target, tuple[Compromise, ...]]:
    """The target within what a chain can be told, and what of the wish lies outside.

    ``reference`` is one that can be followed. Raises `Refused` for an unknown preset.
    """
    if request.preset not in book.presets:
        known = ", ".join(book.presets)
        raise Refused("unknown-preset", told("unknown-preset", preset=request.preset, known=known))
    preset = book.presets[request.preset].target
    lufs = preset.lufs if request.lufs is None else request.lufs
    if request.lufs is None and reference is not None and "loudness" in request.reference_parts:
        theirs = reference.loudness.integrated_lufs
        assert theirs is not None  # else it could not be followed
        theirs = min(LUFS_BOUNDS[1], max(LUFS_BOUNDS[0], theirs))
        lufs += request.reference_amount * (theirs - lufs)
    peak = preset.true_peak_dbtp if request.true_peak_dbtp is None else request.true_peak_dbtp
    compromises: list[Compromise] = []
    lufs = _held("loudness.integratedLufs", lufs, LUFS_BOUNDS, "LUFS", compromises)
    peak = _held("peaks.truePeakDbtp", peak, PEAK_BOUNDS, "dBTP", compromises)
    target = preset.model_copy(update={"lufs": round(lufs, 2), "true_peak_dbtp": round(peak, 2)})
    return target, tuple(compromises)


def _held(
    about: str, wanted: float, bounds: Sequence[float], unit: str, compromises: list[Compromise]
) -> float:
    promised = min(bounds[1], max(bounds[0], wanted))
    if promised != wanted:
        units = {"wanted": unit, "promised": unit}
        words = told("out-of-range", units, wanted=wanted, promised=promised)
        compromises.append(
            Compromise(
                code="out-of-range",
                about=about,
                wanted=wanted,
                promised=promised,
                unit=unit,
                words=words,
            )
        )
    return promised
