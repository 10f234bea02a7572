"""Holding the measurements against the conditions of the rules."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from processors.decision.measuring import Measurements, unit_of
from processors.decision.rules import Adjustment, Always, Either, Every, Rule, Test, When
from schemas.documents.decision import Because

Verdict = Literal["met", "near", "not met", "not measured"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What a rule's condition came to. ``distance`` is beyond the threshold, never negative."""

    verdict: Verdict
    distance: float
    because: Because
    also: tuple[Because, ...] = ()


def judge(rule: Rule, adjustment: Adjustment, heard: Measurements, *, acted: bool) -> Finding:
    """One rule's condition; ``acted``: it made a move in the decision before this one."""
    first = next(rule.tests(), None)

    def test(one: Test) -> Finding:
        shift = adjustment.shift if one is first else 0.0
        return _tested(one, heard, shift=shift, acted=acted)

    found = _judged(rule.when, test)
    return Finding(found.verdict, found.distance * adjustment.strength, found.because, found.also)


def _judged(when: When, test: Callable[[Test], Finding]) -> Finding:
    match when:
        case Test():
            return test(when)
        case Every(all=parts):
            found = [_judged(part, test) for part in parts]
            # The weakest link speaks when the rule does not act, the first test when it does.
            order: tuple[Verdict, ...] = ("not measured", "not met", "near", "met")
            worst = min(found, key=lambda finding: order.index(finding.verdict))
            speaker = found[0] if worst.verdict == "met" else worst
            others = [f for f in found if f is not speaker]
            return _together(worst.verdict, speaker, others)
        case Either(any=parts):
            found = [_judged(part, test) for part in parts]
            order = ("met", "near", "not met", "not measured")
            best = min(found, key=lambda finding: order.index(finding.verdict))
            others = [f for f in found if f is not best and f.verdict == "met"]
            return _together(best.verdict, best, others)
        case Always():
            return Finding("met", 0.0, Because(measurement="target.lufs", comparison="always"))
    raise TypeError(f"no condition: {when!r}")


def _together(verdict: Verdict, speaker: Finding, others: list[Finding]) -> Finding:
    also = speaker.also + tuple(b for other in others for b in (other.because, *other.also))
    return Finding(verdict, speaker.distance, speaker.because, also)


def _tested(test: Test, heard: Measurements, *, shift: float, acted: bool) -> Finding:
    value = heard.value(test.measurement)
    unit = unit_of(test.measurement)
    if test.is_ is not None:
        because = Because(
            measurement=test.measurement,
            value=value,
            comparison="is",
            threshold=float(test.is_),
            unit=unit,
        )
        if value is None:
            return Finding("not measured", 0.0, because)
        return Finding("met" if bool(value) is test.is_ else "not met", 0.0, because)
    upward = test.above is not None
    bare = test.above if test.above is not None else test.below
    assert bare is not None
    threshold = bare + shift
    because = Because(
        measurement=test.measurement,
        value=value,
        comparison="above" if upward else "below",
        threshold=threshold,
        unit=unit,
    )
    if value is None:
        return Finding("not measured", 0.0, because)
    beyond = value - threshold if upward else threshold - value
    if beyond > 0 or (acted and beyond > -test.hysteresis):
        return Finding("met", max(0.0, beyond), because)
    return Finding("near" if beyond > -test.hysteresis else "not met", 0.0, because)
