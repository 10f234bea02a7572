"""Events of extractions to changes of job and batch documents. Pure, like
`gateway.projection.fold`.

A file is an item and an item is a job, with the cells of every job. A batch is kept as a track
whose id begins with ``bat_``, and holds nothing of its items: of 10,000 each would write it anew.
What it was asked with (``batch``) every item's request says alike; how its items stand the store
counts (`gateway.projection.store.ProjectionStore.tally`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from gateway.identifiers import BATCH, EXTRACTION
from gateway.projection.cells import Cell, Document, Key, order
from gateway.projection.changes import (
    FAILED,
    QUEUED,
    SUCCEEDED,
    Cells,
    Change,
    add_made,
    clock_cells,
    finite,
    job_cells,
    job_change,
    state_cell,
)
from gateway.projection.job import Failure
from schemas.events import (
    Event,
    ExtractionRequested,
    FeaturesExtracted,
    JobCanceled,
    JobFailed,
    JobRetried,
)
from topics.codec import Envelope

_STAGE = "extraction"


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """A task of many files, as it was asked for."""

    tenant: str
    task_id: str
    count: int
    concurrency: int = 0
    client: str = ""
    callback_id: str = ""
    created_ms: int = 0
    attempt: int = 1
    """The newest attempt of any of its items."""
    canceled: Failure | None = None
    """Who canceled it; its items that had not ended end with it."""


def is_batch(task_id: str) -> bool:
    """Whether a task is of many files."""
    return task_id.startswith(f"{BATCH}_")


def is_task(track_id: str) -> bool:
    """Whether what stands in the place of a track is the task of an extraction."""
    return track_id.startswith((f"{BATCH}_", f"{EXTRACTION}_"))


def batch_key(tenant: str, task_id: str) -> Key:
    """The document of a batch."""
    return Key("track", tenant, task_id)


def batch_of(document: Document) -> Batch | None:
    """The batch that a document describes; None for one that is none, or was never asked for."""
    asked = document.cells.get("batch")
    if asked is None:
        return None
    canceled, why = document.cells.get("canceled"), None
    again = document.cells.get("attempt")
    attempt = 1 if again is None else int(again.value)
    if canceled is not None and canceled.value["attempt"] >= attempt:
        said = canceled.value["why"]
        why = Failure(said["code"], said["message"], said["stage"])
    facts = asked.value
    return Batch(
        tenant=document.key.tenant,
        task_id=document.key.id,
        count=facts["count"],
        concurrency=facts["concurrency"],
        client=facts["client"],
        callback_id=facts["callbackId"],
        created_ms=facts["createdMs"],
        attempt=attempt,
        canceled=why,
    )


def place_of(document: Document) -> int | None:
    """Where an item stands in its batch, from 0; None while its request has not been seen."""
    request = document.cells.get("request")
    wanted = None if request is None else request.value.get("extraction")
    return None if wanted is None else int(wanted["index"])


def ended(envelope: Envelope, event: JobFailed | JobCanceled, state: Cell) -> Change:
    """A batch was canceled; each of its items says so for itself as well."""
    cells: Cells = clock_cells(envelope.time_ms)
    cells["canceled"] = state
    return Document(batch_key(event.tenant, event.job_id), cells)


def tried_again(event: JobRetried) -> Change:
    """An item of a batch is to be done once more."""
    cells: Cells = {"attempt": Cell(order(event.attempt), "", event.attempt)}
    return Document(batch_key(event.tenant, event.track_id), cells)


def _requested(envelope: Envelope, event: ExtractionRequested) -> tuple[Change, ...]:
    work, wanted = event.work, event.extraction
    cells = job_cells(envelope, work.track_id)
    cells["state"] = state_cell(work.attempt, QUEUED, "", "queued")
    cells["work"] = Cell(order(work.attempt), envelope.id, work.to_wire())
    if event.reason == "retry":  # a retry does not ask anew
        return (job_change(work, cells),)
    created_ms = wanted.requested_ms or envelope.time_ms
    cells["request"] = Cell(
        0,
        envelope.id,
        {
            "version": work.version,
            "kind": "extraction",
            "fromStage": work.from_stage,
            "createdMs": created_ms,
            "callbackId": work.callback_id,
            "replayId": work.replay_id,
            "extraction": wanted.to_wire(),
        },
    )
    if not is_batch(work.track_id):
        return (job_change(work, cells),)
    whole: Cells = {"first": Cell(-created_ms, "", created_ms)}
    whole["batch"] = Cell(
        0,
        "",
        {
            "count": wanted.count,
            "concurrency": wanted.concurrency,
            "client": wanted.client,
            "callbackId": work.callback_id,
            "createdMs": created_ms,
        },
    )
    return (job_change(work, cells), Document(batch_key(work.tenant, work.track_id), whole))


def _extracted(envelope: Envelope, event: FeaturesExtracted) -> tuple[Change, ...]:
    work, at = event.work, envelope.time_ms
    cells = job_cells(envelope, work.track_id)
    if event.status == "failed":
        why = {
            "code": event.code or "no_features",
            "message": event.message,
            "stage": _STAGE,
            "try": 1,
            "atMs": at,
        }
        cells["state"] = state_cell(work.attempt, FAILED, envelope.id, "failed", why)
        cells["work"] = Cell(order(work.attempt, 0, 0, 1), envelope.id, work.to_wire())
    else:
        cells["state"] = state_cell(work.attempt, SUCCEEDED, "", "succeeded")
        add_made(cells, _STAGE, envelope, work, event.seconds, event.reused)
    cells["figures"] = Cell(
        order(work.attempt), envelope.id, {"durationSeconds": finite(event.duration_seconds)}
    )
    refused = {each.name: each.code or "failed" for each in event.extractors if each.code}
    if refused:
        cells["refused"] = Cell(order(work.attempt), envelope.id, refused)
    return (job_change(work, cells),)


FOLDERS: Mapping[type[Event], Callable[[Envelope, Any], tuple[Change, ...]]] = {
    ExtractionRequested: _requested,
    FeaturesExtracted: _extracted,
}
