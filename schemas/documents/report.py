"""``report/1``: what was done to a song and why, what was promised, and what came out."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from schemas.documents.decision import Compromise, Words
from schemas.documents.lyrics import Document


class Outcome(Document):
    """A measurement before and after, beside what was predicted of it."""

    measurement: str
    name: Words
    unit: str
    before: float | None
    predicted: float | None = None
    after: float | None
    kept: bool | None = Field(description="null when nothing was predicted or could be measured")
    words: Words


class Explanation(Document):
    """Sentences for the musician, in both languages."""

    source: str = Field(description="rules, or the model that wrote it")
    en: tuple[str, ...]
    ru: tuple[str, ...]
    fallback: Words | None = Field(
        default=None, description="why the rules spoke when a model was asked"
    )
    dropped: int = Field(default=0, ge=0, description="sentences of a model that failed the check")


class Report(Document):
    """The whole of ``report.json``."""

    schema_: Literal["report/1"] = Field(default="report/1", alias="schema")
    preset: str
    outcomes: tuple[Outcome, ...]
    misses: tuple[Outcome, ...] = Field(description="predictions that did not come true")
    compromises: tuple[Compromise, ...] = ()
    explanation: Explanation
    summary: Words
