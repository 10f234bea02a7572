"""From moves to the chain that makes them, in the order in which sound should pass."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from pydantic import BaseModel

from processors.decision.resolving import instance
from schemas.documents.chain import Chain, DynamicEq, DynamicEqBand, Eq, EqBand, LoudnessGoal
from schemas.documents.decision import SETTINGS, Move

ORDER: Final = (
    "dc_block",
    "dehum",
    "expander.downward",
    "eq",
    "match_eq",
    "dynamic_eq",
    "compressor",
    "expander.upward",
    "saturation",
    "stereo",
    "gain",
    "limiter",
    "dither",
)
"""Repairs first, so that nothing reacts to what will be gone; tone before what answers to level;
width after the dynamics; limiter and dither last."""


def assemble(moves: Iterable[Move]) -> Chain:
    """The chain of these moves. Raises `pydantic.ValidationError` when they don't go together."""
    merged: dict[str, dict[str, object]] = {}
    bands: dict[str, list[Mapping[str, object]]] = {"eq": [], "dynamic_eq": []}
    for move in moves:
        if move.module in bands:
            bands[move.module].append(move.parameters)
        else:
            merged.setdefault(instance(move), {}).update(move.parameters)
    goal = merged.pop("loudness", None)
    modules: list[BaseModel] = []
    for name in ORDER:
        if name == "eq" and bands["eq"]:
            modules.append(Eq(bands=tuple(EqBand.model_validate(b) for b in bands["eq"])))
        elif name == "dynamic_eq" and bands["dynamic_eq"]:
            settings = (DynamicEqBand.model_validate(b) for b in bands["dynamic_eq"])
            modules.append(DynamicEq(bands=tuple(settings)))
        elif name in merged:
            module = name.partition(".")[0]
            modules.append(SETTINGS[module].model_validate(merged[name]))  # type: ignore[index]
    return Chain.model_validate(
        {
            "modules": [module.model_dump(by_alias=True) for module in modules],
            "loudness": None if goal is None else LoudnessGoal.model_validate(goal).model_dump(),
        }
    )
