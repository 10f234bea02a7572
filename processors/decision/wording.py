"""Numbers and sentences as people read them, in English and Russian."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from processors.decision.measuring import unit_of
from processors.decision.rules import PLACEHOLDER, Sentence
from schemas.documents.decision import Words

MINUS = "−"
_RUSSIAN_UNITS = {
    "dB": "дБ",
    "Hz": "Гц",
    "kHz": "кГц",
    "ms": "мс",
    "s": "с",
    "/min": "в минуту",
    "BPM": "уд/мин",
    "dB/oct": "дБ/окт",
}
"""LUFS, LU, dBTP and dBFS are written in Latin letters in Russian texts too (EBU, ГОСТ)."""


def number(value: float, unit: str = "", *, russian: bool = False, decimals: int = 1) -> str:
    """``−14.0 LUFS``; frequencies from 1000 Hz on in kHz; shares without unit get two decimals."""
    if unit == "Hz" and abs(value) >= 1_000:
        value, unit = value / 1_000, "kHz"
    elif unit in ("Hz", "ms", "BPM"):
        decimals = 0
    elif not unit:
        decimals = 0 if float(value).is_integer() else 2
    text = f"{value:.{decimals}f}"
    if float(text) == 0:
        text = text.removeprefix("-")
    text = text.replace("-", MINUS)
    if russian:
        text, unit = text.replace(".", ","), _RUSSIAN_UNITS.get(unit, unit)
    return f"{text} {unit}".rstrip()


def say(sentence: Sentence, values: Mapping[str, object], units: Mapping[str, str]) -> Words:
    """The sentence with its numbers; what has no number reads as a dash."""

    def written(text: str, russian: bool) -> str:
        def fill(name: str) -> str:
            value = values.get(name)
            if isinstance(value, bool) or not isinstance(value, int | float):
                return "–" if value is None else str(value)
            return number(value, units.get(name, unit_of(name)), russian=russian)

        return PLACEHOLDER.sub(lambda found: fill(found[1]), text)

    return Words(en=written(sentence.en, False), ru=written(sentence.ru, True))


def joined(parts: Iterable[Words]) -> Words:
    """One text out of several."""
    parts = tuple(parts)
    return Words(en=" ".join(part.en for part in parts), ru=" ".join(part.ru for part in parts))


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, object]:
    """Parameters by dotted path: ``widths.0``, ``bands.1.ratio``."""
    found: dict[str, object] = {}
    for name, value in values.items():
        path = f"{prefix}{name}"
        if isinstance(value, Mapping):
            found |= flat(value, f"{path}.")
        elif isinstance(value, list | tuple):
            found |= flat({str(index): item for index, item in enumerate(value)}, f"{path}.")
        else:
            found[path] = value
    return found


@cache
def sentences() -> Mapping[str, Sentence]:
    """What the engine itself says, by name."""
    text = files("processors.decision").joinpath("data/sentences.yaml").read_text("utf-8")
    return {name: Sentence.model_validate(raw) for name, raw in yaml.safe_load(text).items()}


def told(name: str, units: Mapping[str, str] | None = None, /, **values: object) -> Words:
    """One of the engine's own sentences with these numbers."""
    return say(sentences()[name], values, units or {})
