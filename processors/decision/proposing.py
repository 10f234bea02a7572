"""From a rule whose condition holds to the moves that it asks for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from processors.decision.judging import Finding
from processors.decision.measuring import Measurements
from processors.decision.rulebook import Rulebook, camel, reading
from processors.decision.rules import Copy, Linear, Rule, Sentence
from processors.decision.wording import flat, joined, say
from schemas.documents.decision import Because, Move, Words


class Missing(Exception):
    """A parameter follows a measurement that there is not."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path


def propose(rule: Rule, found: Finding, heard: Measurements, book: Rulebook) -> tuple[Move, ...]:
    """The moves of a rule whose condition holds. Raises `Missing`."""
    moves = []
    reason = about(rule.reason, found.because)
    for index, action in enumerate(rule.do, start=1):
        parameters = camel(_resolved(action.parameters, found.distance, heard))
        done = say(action.says, _values(found.because) | flat(parameters), _units(found.because))
        moves.append(
            Move(
                id=rule.name if index == 1 else f"{rule.name}.{index}",
                rule=rule.name,
                module=action.module,
                parameters=parameters,
                because=found.because,
                also=found.also,
                confidence=round(rule.confidence.after(found.distance), 2),
                predicted=_effects(rule, found.distance, heard, book) if index == 1 else {},
                words=joined((reason, done)),
            )
        )
    return tuple(moves)


def about(sentence: Sentence, because: Because) -> Words:
    """A reason with the measurement that gave it."""
    return say(sentence, _values(because), _units(because))


def _values(because: Because) -> dict[str, object]:
    distance = None
    if because.value is not None and because.threshold is not None:
        distance = abs(because.value - because.threshold)
    return {"value": because.value, "threshold": because.threshold, "distance": distance}


def _units(because: Because) -> dict[str, str]:
    return dict.fromkeys(("value", "threshold", "distance"), because.unit)


def _effects(
    rule: Rule, distance: float, heard: Measurements, book: Rulebook
) -> Mapping[str, float]:
    after: dict[str, float] = {}
    for path, line in rule.effects.items():
        before = heard.value(path)
        x = heard.value(line.of) if line.of else distance
        if before is not None and x is not None:
            bounds = reading(book, path)
            after[path] = round(min(bounds.max, max(bounds.min, before + line.at(x))), 2)
    return after


def _resolved(values: object, distance: float, heard: Measurements) -> Any:
    match values:
        case Linear():
            x = heard.value(values.of) if values.of else distance
            if x is None:
                raise Missing(values.of or "")
            return round(values.at(x), 3)
        case Copy():
            numbers = heard.numbers(values.copy_)
            if numbers is None:
                raise Missing(values.copy_)
            return tuple(min(values.max, max(values.min, number)) for number in numbers)
        case Mapping():
            return {name: _resolved(value, distance, heard) for name, value in values.items()}
        case tuple():
            return tuple(_resolved(value, distance, heard) for value in values)
        case _:
            return values
