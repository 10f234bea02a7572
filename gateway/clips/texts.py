"""The words for people, in the two languages of the product: data, in ``data/texts.yaml``."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal, cast

import yaml

Language = Literal["ru", "en"]


@cache
def _texts() -> Mapping[str, Mapping[Any, Mapping[str, str]]]:
    path = Path(__file__).with_name("data") / "texts.yaml"
    return cast(
        Mapping[str, Mapping[Any, Mapping[str, str]]], yaml.safe_load(path.read_text("utf-8"))
    )


def stage_text(stage: int, code: str, language: Language) -> str:
    """How a job goes: what it waits for where it waits for something special."""
    texts = _texts()
    special = texts["waiting"].get(code) if stage == 20 else None
    return (special or texts["stages"][stage])[language]


def error_text(code: str, detail: str, language: Language, minutes: float = 10) -> str:
    """Why a job failed; ``minutes`` is the time that it had."""
    errors = _texts()["errors"]
    known = errors.get(code)
    text = (known or errors["other"])[language]
    return text.format(
        detail=detail or (code if known is None else ""), minutes=f"{minutes:g}"
    ).strip()


def stale_text(reason: str, language: Language) -> str:
    """Why a job shows no life."""
    return _texts()["stale"][reason][language]


def message(name: str, language: Language) -> str:
    """What an answer says besides."""
    return _texts()["messages"][name][language]


def codes() -> frozenset[str]:
    """The codes of errors that have words of their own."""
    return frozenset(_texts()["errors"])


def language_of(accept_language: str) -> Language:
    """The language of an ``Accept-Language`` (RFC 9110, 12.5.4): the first service's, Russian,
    unless English is liked better.
    """
    liked: dict[str, float] = {}
    for part in accept_language.split(",")[:20]:
        tag, _, weight = part.strip().partition(";")
        name = tag.strip().lower().partition("-")[0]
        try:
            q = float(weight.strip().removeprefix("q=")) if weight else 1.0
        except ValueError:
            continue
        liked[name] = max(q, liked.get(name, 0.0))
    return "en" if liked.get("en", 0.0) > max(liked.get("ru", 0.0), liked.get("*", 0.0)) else "ru"
