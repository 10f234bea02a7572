"""``changes/1``: what a version changed against the one that was published before it.

Publishing writes it beside the karaoke of every version but the first: when a newer model or
another backend made the same song again, it says what came of that.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from schemas.documents.difference import Difference, difference
from schemas.documents.karaoke import KaraokeDocument, Made, Source
from schemas.documents.lyrics import Document


class ChangedBackend(Document):
    """A step that another backend or model did."""

    step: str
    before: Made | None = None
    after: Made | None = None


class Changes(Document):
    """From the version that was published before to this one."""

    schema_: Literal["changes/1"] = Field(default="changes/1", alias="schema")
    track_id: str
    before: int = Field(ge=1)
    after: int = Field(ge=1)
    backends: tuple[ChangedBackend, ...]
    score_before: float | None = None
    score_after: float | None = None
    difference: Difference
    told: tuple[str, ...] = Field(description="The same for people, in sentences.")

    @classmethod
    def between(cls, before: KaraokeDocument, after: KaraokeDocument) -> Changes:
        """What ``after`` changed."""
        backends = tuple(_backends(before.source, after.source))
        found = difference(before, after)
        return cls(
            track_id=after.track_id,
            before=before.version,
            after=after.version,
            backends=backends,
            score_before=before.qc.score,
            score_after=after.qc.score,
            difference=found,
            told=(*map(_backend_told, backends), *_score_told(before, after), *found.told()),
        )


def _backends(before: Source, after: Source) -> Iterator[ChangedBackend]:
    for step in Source.model_fields:
        old: Made | None = getattr(before, step)
        new: Made | None = getattr(after, step)
        if old != new:
            yield ChangedBackend(step=step, before=old, after=new)


def _backend_told(change: ChangedBackend) -> str:
    if change.after is None:
        return f"{change.step} was not needed; {_named(change.before)} did it before"
    if change.before is None:
        return f"{change.step} was done by {_named(change.after)}"
    return f"{change.step} was done by {_named(change.after)}, before by {_named(change.before)}"


def _named(made: Made | None) -> str:
    if made is None:
        return "nobody"
    weights = f" (weights {made.hash[:12]})" if made.hash else ""
    return f"{made.backend} {made.model}".strip() + weights


def _score_told(before: KaraokeDocument, after: KaraokeDocument) -> Iterator[str]:
    old, new = before.qc.score, after.qc.score
    if old is not None and new is not None and old != new:
        yield f"the quality is {round(100 * new)} of 100, before {round(100 * old)}"
