"""``decision/1``: what will be done to a song, what caused it, and what was left alone.

The rules write it, a person may change single moves (``overrides/1``), the renderer obeys its
chain, the report compares its predictions with what was measured afterwards. Measurements are
named by their dotted path in ``analysis/1``; those that begin with ``target.``, ``reference.`` or
``towards.`` are derived from it, the target and the reference by the engine.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final, Literal, Self

from pydantic import Field, JsonValue, model_validator

from schemas.documents.chain import (
    Chain,
    Compressor,
    DcBlock,
    Dehum,
    Dither,
    DynamicEqBand,
    EqBand,
    Expander,
    Gain,
    Limiter,
    LoudnessGoal,
    MatchEq,
    Saturation,
    Stereo,
)
from schemas.documents.lyrics import Document

ModuleName = Literal[
    "dc_block", "dehum", "expander", "eq", "match_eq", "dynamic_eq", "compressor", "saturation",
    "stereo", "gain", "loudness", "limiter", "dither",
]  # fmt: skip
"""What a move can set: a module of the chain, or its loudness goal."""

SETTINGS: Final[Mapping[ModuleName, type[Document]]] = {
    "dc_block": DcBlock,
    "dehum": Dehum,
    "expander": Expander,
    "eq": EqBand,
    "match_eq": MatchEq,
    "dynamic_eq": DynamicEqBand,
    "compressor": Compressor,
    "saturation": Saturation,
    "stereo": Stereo,
    "gain": Gain,
    "loudness": LoudnessGoal,
    "limiter": Limiter,
    "dither": Dither,
}
"""What the parameters of a move must be. A move of an equaliser is one of its bands."""

Comparison = Literal["above", "below", "is", "always"]
Why = Literal["not met", "near", "not measured", "preset", "outweighed"]
Parameters = Mapping[str, JsonValue]


class Words(Document):
    """The same said in both languages."""

    en: str = Field(min_length=1)
    ru: str = Field(min_length=1)


class Because(Document):
    """A measurement beside the threshold that it was held against."""

    measurement: str
    value: float | None = None
    comparison: Comparison = "above"
    threshold: float | None = None
    unit: str = ""


class Move(Document):
    """One thing that is done. ``parameters`` are those that the rule set; the module's defaults
    fill in the rest. Moves on the same module that set different parameters make one module.
    """

    id: str = Field(min_length=1, description="stable: the rule's name, numbered when it has more")
    rule: str
    module: ModuleName
    parameters: Parameters
    because: Because
    also: tuple[Because, ...] = Field(default=(), description="what else the rule asked for")
    confidence: float = Field(ge=0.0, le=1.0)
    predicted: Mapping[str, float] = Field(
        default_factory=dict, description="measurement → its value after this move alone"
    )
    words: Words
    by_hand: bool = Field(default=False, description="a person changed the parameters")

    @model_validator(mode="after")
    def _is_a_possible_move(self) -> Self:
        SETTINGS[self.module].model_validate(dict(self.parameters))
        return self


class Considered(Document):
    """A rule that was asked and made no move."""

    rule: str
    why: Why
    because: Because
    outweighed_by: str | None = None
    words: Words


class Conflict(Document):
    """Two rules that cannot both have their way, and who had it."""

    kept: str
    dropped: str
    about: str = Field(description="what both wanted: a module's parameter, or a whole subject")
    words: Words


class Note(Document):
    """Said to the musician; nothing in the chain answers to it."""

    code: str
    because: Because | None = None
    words: Words


class Compromise(Document):
    """A wish that this song cannot be brought to, and what is promised in its place."""

    code: Literal["out-of-range", "out-of-reach", "album"] = Field(
        description="no chain can be told so; this song cannot get there; another song cannot"
    )
    about: str
    wanted: float
    promised: float
    unit: str
    words: Words


class Prediction(Document):
    """What a measurement is expected to be afterwards."""

    measurement: str
    before: float | None
    after: float
    tolerance: float = Field(gt=0.0, description="a result further away is a miss")
    at_most: bool = Field(default=False, description="only a result above is a miss")
    unit: str


class Target(Document):
    """What the song shall become."""

    lufs: float = Field(ge=-40.0, le=-4.0)
    true_peak_dbtp: float = Field(ge=-20.0, le=0.0)
    most_limiting_db: float = Field(ge=0.0, le=24.0)
    most_range_lu: float | None = Field(
        default=None, gt=0.0, description="largest loudness range that suits the place it is heard"
    )


class ReferenceUse(Document):
    """What the reference was used for."""

    used: bool
    amount: float = Field(ge=0.0, le=1.0)
    parts: tuple[Literal["eq", "loudness", "dynamics", "width"], ...] = ()
    words: Words


class Change(Document):
    """What a person wants of one move: gone, or with other parameters (those not named stay)."""

    move: str
    drop: bool = False
    parameters: Parameters = Field(default_factory=dict)

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.drop == bool(self.parameters):
            raise ValueError("a change drops the move or gives it parameters, one of the two")
        return self


class Overrides(Document):
    """``overrides/1``: changes to the moves of a decision."""

    schema_: Literal["overrides/1"] = Field(default="overrides/1", alias="schema")
    changes: Annotated[tuple[Change, ...], Field(max_length=64)] = ()


class Provenance(Document):
    """Which rules decided."""

    revision: int = Field(ge=1)
    rules_sha256: str
    files: tuple[str, ...] = Field(description="names of the rule files, without folders")


class Decision(Document):
    """The whole of ``decision.json``."""

    schema_: Literal["decision/1"] = Field(default="decision/1", alias="schema")
    preset: str
    target: Target
    moves: tuple[Move, ...]
    considered: tuple[Considered, ...] = ()
    conflicts: tuple[Conflict, ...] = ()
    notes: tuple[Note, ...] = ()
    compromises: tuple[Compromise, ...] = ()
    reference: ReferenceUse | None = None
    predicted: tuple[Prediction, ...]
    chain: Chain
    overrides: tuple[Change, ...] = ()
    made_by: Provenance

    @model_validator(mode="after")
    def _ids_are_unique(self) -> Self:
        ids = [move.id for move in self.moves]
        if len(set(ids)) != len(ids):
            raise ValueError("a move id occurs twice")
        return self

    def prediction(self, measurement: str) -> Prediction | None:
        """What is expected of a measurement, if anything is."""
        return next((p for p in self.predicted if p.measurement == measurement), None)
