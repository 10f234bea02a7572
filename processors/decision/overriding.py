"""A person changes or drops single moves; everything that follows from them is worked out again."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import ValidationError

from processors.decision.assembling import assemble
from processors.decision.measuring import unit_of
from processors.decision.predicting import PEAK, Fact, predict
from processors.decision.refusals import OverrideRefused
from processors.decision.rulebook import camel
from processors.decision.wording import flat, joined, number, told
from schemas.documents.decision import SETTINGS, Change, Decision, Move, Overrides, Words


def apply_overrides(decision: Decision, changes: Overrides | Iterable[Change]) -> Decision:
    """The decision with these changes made, in order.

    Bounds are those of chain/1, the same as for rules. What a changed move will do to the
    measurements is not foretold, except for loudness and peaks. Raises `OverrideRefused`.
    """
    wanted = changes.changes if isinstance(changes, Overrides) else tuple(changes)
    moves = {move.id: move for move in decision.moves}
    for change in wanted:
        if change.move not in moves:
            known = ", ".join(moves) or "none"
            raise OverrideRefused(
                "unknown-move",
                change.move,
                f"the decision has no move '{change.move}'; its moves are: {known}",
            )
        if change.drop:
            del moves[change.move]
        else:
            moves[change.move] = _changed(moves[change.move], change)
    left = tuple(moves.values())
    _keep_the_ceiling(decision, left)
    try:
        chain = assemble(left)
    except ValidationError as error:
        last = wanted[-1].move
        message = error.errors()[0]["msg"]
        raise OverrideRefused(
            "out-of-bounds", last, f"the moves do not make a chain together: {message}"
        ) from error
    facts = {
        p.measurement: Fact(p.before, p.tolerance, p.unit, p.at_most and p.measurement != PEAK)
        for p in decision.predicted
    }
    predicted, compromises = predict(facts, left, chain)
    new_goal = any(move.module == "loudness" and move.by_hand for move in left)
    asked = [
        c
        for c in decision.compromises
        if c.code != "out-of-reach" and not (c.code == "out-of-range" and new_goal)
    ]
    return decision.model_copy(
        update={
            "moves": left,
            "chain": chain,
            "predicted": predicted,
            "compromises": (*asked, *compromises),
            "overrides": (*decision.overrides, *wanted),
        }
    )


def _changed(move: Move, change: Change) -> Move:
    given = camel(change.parameters)
    model = SETTINGS[move.module]
    allowed = {field.alias or name for name, field in model.model_fields.items()} - {"module"}
    if unknown := sorted(set(given) - allowed):
        raise OverrideRefused(
            "unknown-parameter",
            move.id,
            f"'{unknown[0]}' is no parameter of {move.module}; it has: "
            + ", ".join(sorted(allowed)),
            unknown[0],
        )
    parameters = {**move.parameters, **given}
    try:
        model.model_validate(parameters)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise OverrideRefused(
            "out-of-bounds", move.id, f"{move.id}: {where or move.module}: {first['msg']}", where
        ) from error
    return move.model_copy(
        update={
            "parameters": parameters,
            "predicted": {},
            "by_hand": True,
            "confidence": 1.0,
            "words": joined((_without_doing(move), _by_hand(given))),
        }
    )


def _without_doing(move: Move) -> Words:
    return told("was-decided", rule=move.rule, module=move.module)


def _by_hand(given: dict[str, object]) -> Words:
    def listed(russian: bool) -> str:
        return ", ".join(
            f"{name} = {_written(name, value, russian)}" for name, value in flat(given).items()
        )

    english, russian = told("by-hand", list=listed(False)), told("by-hand", list=listed(True))
    return Words(en=english.en, ru=russian.ru)


def _written(name: str, value: object, russian: bool) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return number(float(value), unit_of(name), russian=russian)


def _keep_the_ceiling(decision: Decision, left: Iterable[Move]) -> None:
    modules = {move.module for move in left if move.parameters.get("enabled", True) is not False}
    if "loudness" in modules and "limiter" not in modules:
        culprit = next((m.id for m in decision.moves if m.module == "limiter"), "limiter")
        raise OverrideRefused(
            "needed",
            culprit,
            "the loudness goal needs the limiter, which keeps its ceiling; drop the loudness move "
            "as well",
        )
