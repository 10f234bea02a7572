"""What the song will measure after the chain.

Loudness and peaks follow from arithmetic: the gain to the goal lifts the peaks, the limiter takes
back what exceeds the ceiling, and no more than it is allowed. What other moves do is what their
rules declare. The renderer measures again; the report says what came true.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from processors.decision.wording import told
from schemas.documents.chain import Chain
from schemas.documents.decision import Compromise, Move, Prediction

LUFS = "loudness.integratedLufs"
PEAK = "peaks.truePeakDbtp"
RANGE = "loudness.rangeLu"
PLR = "dynamics.plrDb"
ALWAYS = (LUFS, PEAK, RANGE, PLR)
"""Of interest in every report."""

MOST_GAIN_DB = 40.0
"""What `chain.Gain` can add: beyond it there is more noise than song."""


@dataclass(frozen=True, slots=True)
class Fact:
    """A measurement as it is, and how exactly it can be foretold."""

    before: float | None
    tolerance: float
    unit: str
    at_most: bool = False


def predict(
    facts: Mapping[str, Fact], moves: Iterable[Move], chain: Chain
) -> tuple[tuple[Prediction, ...], tuple[Compromise, ...]]:
    """Every measurement that moves or that everybody asks for, and the wishes that fail."""
    after: dict[str, float | None] = {path: fact.before for path, fact in facts.items()}
    touched: set[str] = set()
    for move in moves:
        for path, value in move.predicted.items():
            before, now = facts[path].before, after[path]
            if before is not None and now is not None:
                after[path] = now + value - before
                touched.add(path)
    compromises: list[Compromise] = []
    loudness, peak = after.get(LUFS), after.get(PEAK)
    limiter, goal = chain.limiter(), chain.loudness
    stated = False
    if goal is not None and limiter is not None and loudness is not None:
        promised = min(goal.lufs, loudness + MOST_GAIN_DB)
        if peak is not None:
            under = limiter.ceiling_dbtp + goal.most_limiting_db - (peak - loudness)
            promised = min(promised, under)
        if stated := promised < goal.lufs - 0.05:
            compromises.append(_too_loud(goal.lufs, promised, goal.most_limiting_db))
        peak = None if peak is None else peak + promised - loudness
        loudness = promised
    if limiter is not None and peak is not None:
        peak = min(peak, limiter.ceiling_dbtp)
    after[LUFS], after[PEAK] = loudness, peak
    if loudness is not None and peak is not None:
        after[PLR] = peak - loudness
    shown = [path for path in facts if path in ALWAYS or path in touched]
    predictions = []
    for path in shown:
        foretold, fact = after[path], facts[path]
        if foretold is None:
            continue
        # A shortfall is arithmetic over peaks: how dense they lie is not known beforehand.
        loose = 1.0 if stated and path == LUFS else fact.tolerance
        predictions.append(
            Prediction(
                measurement=path,
                before=fact.before,
                after=round(foretold, 2),
                tolerance=loose,
                at_most=fact.at_most or (path == PEAK and limiter is not None),
                unit=fact.unit,
            )
        )
    return tuple(predictions), tuple(compromises)


def _too_loud(wanted: float, promised: float, limiting: float) -> Compromise:
    promised = round(promised, 2)
    return Compromise(
        code="out-of-reach",
        about=LUFS,
        wanted=wanted,
        promised=promised,
        unit="LUFS",
        words=told(
            "too-loud",
            {"wanted": "LUFS", "promised": "LUFS", "limiting": "dB"},
            wanted=wanted,
            promised=promised,
            limiting=limiting,
        ),
    )
