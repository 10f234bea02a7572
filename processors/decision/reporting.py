"""What was promised, beside what was measured after the rendering."""

from __future__ import annotations

from processors.decision.explaining import RuleExplainer
from processors.decision.measuring import unit_of
from processors.decision.predicting import LUFS, PEAK
from processors.decision.rulebook import Rulebook, builtin_rulebook, reading
from processors.decision.wording import number, told
from schemas.documents.analysis import MEASUREMENTS, Analysis
from schemas.documents.decision import Decision, Prediction, Words
from schemas.documents.report import Explanation, Outcome, Report

SHOWN = (
    LUFS,
    PEAK,
    "loudness.rangeLu",
    "loudness.shortTermMaxLufs",
    "dynamics.plrDb",
    "dynamics.psrDb",
    "dynamics.crestDb",
    "stereo.sideToMidDb",
    "stereo.correlation",
)
"""In every table, predicted or not."""

ROUNDING = 0.005
"""Predictions are stored with two decimals."""


def report(
    decision: Decision,
    before: Analysis,
    after: Analysis,
    *,
    explanation: Explanation | None = None,
    book: Rulebook | None = None,
) -> Report:
    """Every measurement that was predicted or is always of interest, and what missed.

    ``explanation`` is that of any `Explainer`; without one the rules explain.
    """
    book = book or builtin_rulebook()
    foretold = {p.measurement: p for p in decision.predicted if p.measurement in MEASUREMENTS}
    paths = dict.fromkeys((*SHOWN, *foretold))
    outcomes = tuple(
        _outcome(path, foretold.get(path), before, after, book)
        for path in paths
        if path in foretold or before.value(path) is not None or after.value(path) is not None
    )
    misses = tuple(outcome for outcome in outcomes if outcome.kept is False)
    return Report(
        preset=decision.preset,
        outcomes=outcomes,
        misses=misses,
        compromises=decision.compromises,
        explanation=explanation or RuleExplainer().explain(decision, before),
        summary=told(
            "summary-missed" if misses else "summary-kept",
            {"loudness": "LUFS", "peak": "dBTP"},
            loudness=after.loudness.integrated_lufs,
            peak=after.peaks.true_peak_dbtp,
            misses=str(len(misses)),
        ),
    )


def keeps(prediction: Prediction, after: float) -> bool:
    """Whether a measurement came out as predicted."""
    off = after - prediction.after
    if prediction.at_most:
        return off <= prediction.tolerance + ROUNDING
    return abs(off) <= prediction.tolerance + ROUNDING


def _outcome(
    path: str, prediction: Prediction | None, before: Analysis, after: Analysis, book: Rulebook
) -> Outcome:
    was, now = before.value(path), after.value(path)
    called = reading(book, path)
    name, unit = Words(en=called.en, ru=called.ru), unit_of(path)
    kept = None if prediction is None or now is None else keeps(prediction, now)
    reason = after.reason(path) or "–"
    if now is None:
        sentence = "unmeasured-after"
    else:
        sentence = {None: "changed", True: "kept", False: "missed"}[kept]

    def written(russian: bool) -> Words:
        def figure(value: float | None) -> str:
            return "–" if value is None else number(value, unit, russian=russian)

        return told(
            sentence,
            name=name.ru if russian else name.en,
            before=figure(was),
            after=figure(now),
            predicted=figure(None if prediction is None else prediction.after),
            reason=reason,
        )

    return Outcome(
        measurement=path,
        name=name,
        unit=unit,
        before=was,
        predicted=None if prediction is None else prediction.after,
        after=now,
        kept=kept,
        words=Words(en=written(False).en, ru=written(True).ru),
    )
