"""Reading rule files: YAML in, validated rules out, or an error naming file, rule and field."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import Field, ValidationError
from pydantic.alias_generators import to_camel

from processors.decision.measuring import KNOWN, unit_of
from processors.decision.refusals import RuleError
from processors.decision.rules import Copy, Linear, Preset, Rule, Ruled, RuleFile
from processors.decision.wording import flat
from schemas.documents.chain import THIRD_OCTAVES_HZ
from schemas.documents.decision import SETTINGS

REVISION: Final = 2
"""Raised when the engine would decide otherwise over the same rules."""

_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml's is ten times faster; not every build of PyYAML has it."""

MOST_BYTES: Final = 1 << 20
"""A rule file beyond this size is not one."""


class Reading(Ruled):
    """How a measurement is called, and how exactly it can be predicted."""

    en: str
    ru: str
    tolerance: float | None = Field(default=None, gt=0.0)
    at_most: bool = Field(default=False, description="less than predicted is no miss")
    min: float = -1e6
    max: float = 1e6


@dataclass(frozen=True, slots=True)
class Rulebook:
    """Everything that decides: rules by priority, presets, and the names of measurements."""

    rules: tuple[Rule, ...]
    presets: Mapping[str, Preset]
    readings: Mapping[str, Reading]
    files: tuple[str, ...]
    sha256: str


def load_rulebook(extra: Sequence[Path] = ()) -> Rulebook:
    """The rules of the package and those of further files, which replace what has their name.

    The order of the files, and of the rules in them, means nothing: two further files that define
    the same rule or preset are an error. Raises `RuleError`.
    """
    folder = files("processors.decision").joinpath("data")
    own = ("rules.yaml", "repairs.yaml", "references.yaml", "presets.yaml")
    texts = {name: folder.joinpath(name).read_bytes() for name in own}
    theirs = {path.name: _read(path) for path in extra}
    if len(theirs) < len(extra):
        raise RuleError("two rule files have the same name; rename one of them")
    if twice := sorted(theirs.keys() & texts.keys()):
        raise RuleError(f"{twice[0]}: this name is taken by the product's own rules; rename it")
    return parse_rulebook(texts, theirs)


@cache
def builtin_rulebook() -> Rulebook:
    """The rules of the package alone."""
    return load_rulebook()


def parse_rulebook(own: Mapping[str, bytes], theirs: Mapping[str, bytes]) -> Rulebook:
    """Rules from file name → content; ``theirs`` replace what ``own`` defines.

    Raises `RuleError`.
    """
    rules, presets = _defined(own)
    their_rules, their_presets = _defined(theirs)
    book = Rulebook(
        rules=tuple(
            sorted((rules | their_rules).values(), key=lambda rule: (-rule.priority, rule.name))
        ),
        presets=dict(sorted((presets | their_presets).items())),
        readings=_readings(),
        files=tuple(sorted({**own, **theirs})),
        sha256=_digest({**own, **theirs}),
    )
    _check_references(book)
    return book


def _read(path: Path) -> bytes:
    try:
        if path.stat().st_size > MOST_BYTES:
            raise RuleError(f"{path.name}: larger than {MOST_BYTES} bytes, so no rule file")
        return path.read_bytes()
    except OSError as error:
        raise RuleError(f"{path.name}: cannot be read ({error.strerror})") from error


def _digest(texts: Mapping[str, bytes]) -> str:
    digest = hashlib.sha256(f"revision {REVISION}".encode())
    for name in sorted(texts):
        digest.update(hashlib.sha256(texts[name]).digest())
    return digest.hexdigest()


def _readings() -> Mapping[str, Reading]:
    text = files("processors.decision").joinpath("data/measurements.yaml").read_text("utf-8")
    return {path: Reading.model_validate(raw) for path, raw in yaml.safe_load(text).items()}


def _defined(texts: Mapping[str, bytes]) -> tuple[dict[str, Rule], dict[str, Preset]]:
    rules: dict[str, Rule] = {}
    presets: dict[str, Preset] = {}
    for name in sorted(texts):
        file = _parse(name, texts[name])
        for rule in file.rules:
            if rule.name in rules:
                raise RuleError(f"{name}: rule '{rule.name}': name: it is defined twice")
            rules[rule.name] = _checked(name, rule)
        for preset in file.presets:
            if preset in presets:
                raise RuleError(f"{name}: preset '{preset}': it is defined twice")
        presets |= file.presets
    return rules, presets


def _parse(name: str, text: bytes) -> RuleFile:
    try:
        raw = yaml.load(text, Loader=_LOADER)  # noqa: S506 - both loaders are the safe ones
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f" at line {mark.line + 1}" if mark else ""
        raise RuleError(f"{name}: this is no YAML{where}") from error
    if not isinstance(raw, dict):
        raise RuleError(f"{name}: a rule file is a mapping with schema, rules, presets")
    try:
        return RuleFile.model_validate(raw)
    except ValidationError as error:
        raise RuleError("; ".join(_told(name, raw, dict(e)) for e in error.errors()[:5])) from error


def _told(name: str, raw: Mapping[str, Any], error: Mapping[str, Any]) -> str:
    place = [str(part) for part in error["loc"]]
    subject = ""
    if place[:1] == ["rules"] and len(place) > 1 and place[1].isdigit():
        rule = raw["rules"][int(place[1])]
        called = rule.get("name") if isinstance(rule, dict) else None
        subject, place = f"rule '{called or f'number {int(place[1]) + 1}'}': ", place[2:]
    elif place[:1] == ["presets"] and len(place) > 1:
        subject, place = f"preset '{place[1]}': ", place[2:]
    return f"{name}: {subject}{'.'.join(place) or 'file'}: {error['msg']}"


def _checked(file: str, rule: Rule) -> Rule:
    def wrong(field: str, what: str) -> RuleError:
        return RuleError(f"{file}: rule '{rule.name}': {field}: {what}")

    paths = [("when", test.measurement) for test in rule.tests()]
    paths += [("effects", path) for path in rule.effects]
    paths += [
        (f"do.{index}", line.of)
        for index, action in enumerate(rule.do)
        for line in lines(action.parameters)
        if line.of
    ]
    for field, path in paths:
        if path not in KNOWN:
            raise wrong(field, f"'{path}' is no measurement of analysis/1")
    parameters: set[str] = set()
    for index, action in enumerate(rule.do):
        for end in ("min", "max"):
            try:
                SETTINGS[action.module].model_validate(camel(at_end(action.parameters, end)))
            except ValidationError as error:
                told = "; ".join(
                    ".".join(map(str, ("do", index, "parameters", *e["loc"]))) + f": {e['msg']}"
                    for e in error.errors()[:3]
                )
                raise wrong(f"do.{index}", f"{told} ({action.module}, at its {end})") from error
        parameters |= flat(camel(at_end(action.parameters, "min"))).keys()
    allowed = {"value", "threshold", "distance"}
    for field, sentence, known in [
        ("reason", rule.reason, allowed),
        *((f"do.{i}.says", a.says, allowed | parameters) for i, a in enumerate(rule.do)),
    ]:
        if unknown := sorted(sentence.placeholders() - known):
            raise wrong(field, f"{{{unknown[0]}}} is neither a parameter nor one of {allowed}")
    return rule


def _check_references(book: Rulebook) -> None:
    names = {rule.name for rule in book.rules}
    for rule in book.rules:
        if unknown := sorted(set(rule.veto.rules) - names):
            raise RuleError(f"rule '{rule.name}': veto.rules: there is no rule '{unknown[0]}'")
    for name, preset in book.presets.items():
        if unknown := sorted(set(preset.rules) - names):
            raise RuleError(f"preset '{name}': rules: there is no rule '{unknown[0]}'")


def lines(values: object) -> Iterable[Linear]:
    """Every `Linear` in a rule's parameters."""
    if isinstance(values, Linear):
        yield values
    elif isinstance(values, Mapping):
        for value in values.values():
            yield from lines(value)
    elif isinstance(values, tuple):
        for value in values:
            yield from lines(value)


def at_end(values: object, end: str) -> Any:
    """Parameters with every line at one of its bounds: what a rule can do at most."""
    match values:
        case Linear():
            return getattr(values, end)
        case Copy(copy_="dc.offsets"):
            return (getattr(values, end),) * 2
        case Copy():
            return (getattr(values, end),) * len(THIRD_OCTAVES_HZ)
        case Mapping():
            return {name: at_end(value, end) for name, value in values.items()}
        case tuple():
            return tuple(at_end(value, end) for value in values)
        case _:
            return values


def camel(values: Any) -> Any:
    """The same with names as in the JSON documents."""
    match values:
        case Mapping():
            return {to_camel(name): camel(value) for name, value in values.items()}
        case list() | tuple():
            return [camel(value) for value in values]
        case _:
            return values


def reading(book: Rulebook, path: str) -> Reading:
    """How a measurement is called; by its path when nobody gave it a name."""
    return book.readings.get(path) or Reading(en=path, ru=path)


def tolerance(book: Rulebook, path: str) -> float:
    """How far off a prediction may be: 1 of most units, 0.1 of what has none."""
    return reading(book, path).tolerance or (1.0 if unit_of(path) else 0.1)
