"""What a rule file may say. Rules are data: nothing in them is executed.

A rule holds measurements against thresholds (``when``) and answers with moves, caps, vetoes or
words. Every number that a move takes is a constant or a `Linear`: a straight line, cut off at
declared bounds, over how far the measurement lies beyond its threshold.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    field_validator,
    model_validator,
)

from schemas.documents.decision import ModuleName, Target

PLACEHOLDER = re.compile(r"\{([A-Za-z_][\w.]*)\}")
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{1,48}$")]
Subject = Literal["repair", "tone", "dynamics", "stereo", "level"]


class Ruled(BaseModel):
    """Part of a rule file: closed, so that a misspelt field is an error and not a silence."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Sentence(Ruled):
    """The same in both languages; ``{value}``, ``{threshold}`` or a parameter may stand in it."""

    en: str = Field(min_length=1, max_length=600)
    ru: str = Field(min_length=1, max_length=600)

    def placeholders(self) -> set[str]:
        """Names in braces."""
        return {name for text in (self.en, self.ru) for name in PLACEHOLDER.findall(text)}


class Test(Ruled):
    """One measurement against one threshold.

    ``hysteresis``: a rule that acted in the previous decision goes on until the measurement is
    this far on the other side of its threshold, and what comes this near to it is mentioned.
    """

    __test__ = False  # pytest: not one of its classes

    measurement: str
    above: float | None = None
    below: float | None = None
    is_: bool | None = Field(default=None, alias="is")
    hysteresis: float = Field(default=0.0, ge=0.0)

    @model_validator(mode="after")
    def _one_comparison(self) -> Self:
        given = [side for side in (self.above, self.below, self.is_) if side is not None]
        if len(given) != 1:
            raise ValueError("a test has exactly one of above, below, is")
        return self


class Every(Ruled):
    """Every one must hold."""

    all: tuple[When, ...] = Field(min_length=1)


class Either(Ruled):
    """One is enough."""

    any: tuple[When, ...] = Field(min_length=1)


class Always(Ruled):
    """Holds whatever was measured."""

    always: Literal[True]


def _shape(value: Any) -> str:
    for key in ("all", "any", "always"):
        if (key in value) if isinstance(value, Mapping) else hasattr(value, key):
            return key
    return "test"


When: TypeAlias = Annotated[
    Annotated[Every, Tag("all")]
    | Annotated[Either, Tag("any")]
    | Annotated[Always, Tag("always")]
    | Annotated[Test, Tag("test")],
    Discriminator(_shape),
]


class Linear(Ruled):
    """``base + slope · x``, held between ``min`` and ``max``.

    ``x`` is the distance of the rule's first measurement from its threshold, 0 or more; or, with
    ``of``, another measurement as it is.
    """

    base: float
    slope: float
    min: float
    max: float
    of: str | None = None

    @model_validator(mode="after")
    def _bounds_are_ordered(self) -> Self:
        if self.min > self.max:
            raise ValueError("min exceeds max")
        return self

    def at(self, x: float) -> float:
        """The value there, whatever ``x``."""
        return min(self.max, max(self.min, self.base + self.slope * x))


class Copy(Ruled):
    """A list of numbers taken over as measured, each held between ``min`` and ``max``."""

    copy_: Literal["dc.offsets", "reference.curveDb"] = Field(alias="copy")
    min: float
    max: float


Value: TypeAlias = Any
"""A parameter as a rule gives it: `Linear`, `Copy`, a constant, or a tuple or dict of those."""


def _value(raw: Any, path: str) -> Value:
    try:
        if isinstance(raw, Mapping):
            if "copy" in raw:
                return Copy.model_validate(raw)
            if "base" in raw:
                return Linear.model_validate(raw)
            return {str(key): _value(item, f"{path}.{key}") for key, item in raw.items()}
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in (path, *first["loc"]))
        raise ValueError(f"{where}: {first['msg']}") from error
    if isinstance(raw, list | tuple):
        return tuple(_value(item, f"{path}.{index}") for index, item in enumerate(raw))
    if raw is None or isinstance(raw, str | int | float | bool):
        return raw
    raise ValueError(f"{path}: {type(raw).__name__} is not a parameter")


class Action(Ruled):
    """One move."""

    module: ModuleName
    parameters: dict[str, Any] = Field(default_factory=dict)
    says: Sentence = Field(description="what is done, for the musician")

    @field_validator("parameters")
    @classmethod
    def _read_values(cls, parameters: dict[str, Any]) -> dict[str, Value]:
        return {name: _value(raw, name) for name, raw in parameters.items()}


class Confidence(Ruled):
    """How sure the rule is: ``at`` the threshold, growing with the distance, up to ``max``."""

    at: float = Field(default=0.7, ge=0.0, le=1.0)
    slope: float = Field(default=0.0, ge=0.0)
    max: float = Field(default=0.95, ge=0.0, le=1.0)

    def after(self, distance: float) -> float:
        """0 to 1."""
        return min(max(self.at, self.max), self.at + self.slope * distance)


class Veto(Ruled):
    """Whoever is vetoed must have a lower priority to give way."""

    modules: tuple[ModuleName, ...] = ()
    subjects: tuple[Subject, ...] = ()
    rules: tuple[Name, ...] = ()


class Rule(Ruled):
    """When this is measured, do that, for this reason."""

    name: Name
    subject: Subject
    priority: int = Field(ge=0, le=100, description="the higher one wins a conflict")
    when: When
    do: tuple[Action, ...] = ()
    veto: Veto = Veto()
    most_limiting_db: float | None = Field(default=None, ge=0.0, le=24.0)
    effects: dict[str, Linear] = Field(
        default_factory=dict, description="measurement → how much it is expected to change"
    )
    confidence: Confidence = Confidence()
    reason: Sentence
    silent: bool = Field(default=False, description="not worth a word when it does not act")

    def tests(self) -> Iterator[Test]:
        """Every test of the condition, in the order of the file."""
        yield from tests_of(self.when)


def tests_of(when: When) -> Iterator[Test]:
    """Every test of a condition, in the order of the file."""
    match when:
        case Test():
            yield when
        case Every(all=parts) | Either(any=parts):
            for part in parts:
                yield from tests_of(part)


class Adjustment(Ruled):
    """What a preset changes of a rule."""

    skip: bool = False
    shift: float = Field(default=0.0, description="added to the threshold of its first test")
    strength: float = Field(default=1.0, ge=0.0, le=2.0, description="factor of the distance")


class Preset(Ruled):
    """A target, and the rules seen through it."""

    target: Target
    says: Sentence
    rules: dict[Name, Adjustment] = Field(default_factory=dict)


class RuleFile(Ruled):
    """One file."""

    schema_: Literal["rules/1"] = Field(alias="schema")
    rules: tuple[Rule, ...] = ()
    presets: dict[Name, Preset] = Field(default_factory=dict)


Every.model_rebuild()
Either.model_rebuild()
