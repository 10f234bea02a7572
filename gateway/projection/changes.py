"""The cells that events of every system write alike; `gateway.projection.fold` lists them all."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from gateway.projection.cells import Cell, Document, Json, Key, job_key, order
from schemas.events import Artifact, Work
from schemas.work import pipeline_of
from topics.codec import Envelope

Change = Document
"""A change is a document with a few cells; merging it is all there is to applying it."""

QUEUED, RUNNING, FAILED, CANCELED, SUCCEEDED = range(5)
"""Ranks of the job states within an attempt."""

Cells = dict[str, Cell]


def state_cell(attempt: int, rank: int, event_id: str, state: str, why: Json = None) -> Cell:
    """The job's state within an attempt, with the reason where it has one."""
    value = {"attempt": attempt, "state": state}
    return Cell(order(attempt, 0, rank), event_id, {**value, "why": why} if why else value)


def add_made(
    cells: Cells, stage: str, envelope: Envelope, work: Work, seconds: float, reused: bool
) -> None:
    """A stage is done, and the context is the one it made."""
    made = {"attempt": work.attempt, "seconds": finite(seconds), "reused": reused}
    cells[f"step/{stage}/made"] = Cell(
        order(work.attempt), envelope.id, {**made, "atMs": envelope.time_ms}
    )
    place = pipeline_of(stage).index(stage) + 1
    cells["work"] = Cell(order(work.attempt, 0, 0, place), envelope.id, work.to_wire())


def about_cell(work: Work, published: int, event_id: str) -> Cell:
    """What a track is called."""
    value = {"title": work.title, "artist": work.artist, "language": work.language}
    return Cell(order(work.version, published), event_id, {**value, "durationMs": work.duration_ms})


def clock_cells(time_ms: int) -> Cells:
    """When the first and the newest event of a document came about."""
    return {"first": Cell(-time_ms, "", time_ms), "updated": Cell(time_ms, "", time_ms)}


def job_cells(envelope: Envelope, track_id: str) -> Cells:
    """What every event says of its job."""
    cells = clock_cells(envelope.time_ms)
    cells["track"] = Cell(0, "", track_id)
    return cells


def track_cells(envelope: Envelope, job_id: str, attempt: int) -> Cells:
    """What every event says of its track: the job is open, unless a later word ends it."""
    cells = clock_cells(envelope.time_ms)
    cells[f"end/{job_id}"] = state_cell(attempt, QUEUED, "", "open")
    return cells


def job_change(of: Any, cells: Mapping[str, Cell]) -> Change:
    """The change of the job that ``of`` (an event or a work) names."""
    return Document(job_key(of.tenant, of.job_id), cells)


def track_change(of: Any, cells: Mapping[str, Cell]) -> Change:
    """The change of the track, or master, that ``of`` names."""
    return Document(Key("track", of.tenant, of.track_id), cells)


def published_cell(
    envelope: Envelope,
    work: Work,
    score: float,
    *,
    needs_review: bool = False,
    reasons: Sequence[str] = (),
) -> Cell:
    """A version as it was made. The lowest attempt wins: what is published stays."""
    doubts = {"needsReview": needs_review, "reasons": list(reasons)} if reasons else {}
    return Cell(
        -order(work.attempt),
        envelope.id,
        doubts
        | {
            "jobId": work.job_id,
            "parent": work.parent,
            "language": work.language,
            "lyrics": wire_of(work.lyrics),
            "artifacts": [wire_of(each) for each in work.artifacts],
            "backends": {stage: backend.to_wire() for stage, backend in work.backends.items()},
            "score": finite(score),
            "durationMs": work.duration_ms,
            "atMs": envelope.time_ms,
        },
    )


def wire_of(artifact: Artifact | None) -> Json:
    """A reference as JSON."""
    return None if artifact is None else artifact.to_wire()


def finite(value: float) -> float:
    """A number that JSON can hold; 0 for NaN and infinities."""
    return value if math.isfinite(value) else 0.0
