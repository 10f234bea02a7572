"""``evidence/1``: how well each line sounds like its words, against texts that are not sung there.

Alignment writes it, because it holds what was heard; quality reads it.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from schemas.documents.lyrics import Document

CLEAR = 2.0
"""Nats a frame beyond which a difference says no more: one line must not outweigh all others."""


class LineEvidence(Document):
    """A placed line. Fits are mean nats a frame, comparable within one song only."""

    line_id: str
    fit: float | None = Field(description="Of its own words; null: they are not heard there.")
    rival: float | None = Field(description="Of the best other text; null: none could be there.")
    rivals: int = Field(ge=1, description="How many other texts were tried.")

    @property
    def margin(self) -> float:
        """By how much the line's own words fit better, nats; at most `CLEAR` either way."""
        if self.fit is None:
            return 0.0 if self.rival is None else -CLEAR
        if self.rival is None:
            return CLEAR
        return min(max(self.fit - self.rival, -CLEAR), CLEAR)


class LanguageEvidence(Document):
    """The same lines at the same places, read in another language."""

    language: str = Field(description="BCP 47 tag of the other language.")
    margin: float = Field(
        description="By how much the lines fit better as it is read, mean nats a frame."
    )


class Evidence(Document):
    """The lines that were tried, in their order, and the languages that they were tried in."""

    schema_: Literal["evidence/1"] = Field(default="evidence/1", alias="schema")
    lines: tuple[LineEvidence, ...]
    languages: tuple[LanguageEvidence, ...] = Field(
        default=(), description="Empty where what was heard cannot tell languages apart."
    )
