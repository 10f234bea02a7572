"""Tasks, and what was found: reading for clients."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from gateway.api.media import link
from gateway.guard.clients import Caller
from gateway.guard.problems import Code, Problem
from gateway.projection.extraction import Batch, is_batch
from gateway.projection.job import TERMINAL, Job, JobState
from gateway.projection.store import Page
from gateway.services import Services
from schemas.events import Artifact
from schemas.work import EXTRACTORS_KEY, MANIFEST, find
from topics.artifacts.protocol import ArtifactMissing

RETRY_AFTER_S = 2
"""How soon to ask again for a manifest: an item takes about as long."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How the items of a batch stand."""

    batch: Batch
    pending: int
    processing: int
    completed: int
    failed: int
    canceled: int
    progress: float

    @property
    def ended(self) -> bool:
        """Whether nothing of it goes on."""
        return self.completed + self.failed + self.canceled >= self.batch.count


def find_task(services: Services, caller: Caller, task_id: str) -> Job | Batch:
    """A task or an item of the caller's tenant; any other job, too. Raises 404."""
    found: Job | Batch | None
    if is_batch(task_id):
        found = services.store.batch(caller.tenant, task_id)
    else:
        found = services.store.job(caller.tenant, task_id)
    if found is None:
        raise Problem(Code.TASK_NOT_FOUND, f"There is no task '{task_id[:64]}'.")
    return found


def standing(services: Services, batch: Batch) -> Standing:
    """How the items of a batch stand now."""
    tally = services.store.tally(batch.tenant, batch.task_id)
    running: Page[Job] | None = None
    if tally.get("running"):
        running = services.store.items(
            batch.tenant, batch.task_id, state="running", limit=_MOST_IN_WORK
        )
    ended = sum(tally.get(state, 0) for state in TERMINAL)
    share = ended + (sum(item.progress for item in running.items) if running else 0.0)
    return Standing(
        batch=batch,
        # items that are accepted and not folded yet wait as well
        pending=batch.count - ended - tally.get("running", 0),
        processing=tally.get("running", 0),
        completed=tally.get("succeeded", 0),
        failed=tally.get("failed", 0),
        canceled=tally.get("canceled", 0),
        progress=1.0 if ended >= batch.count else min(share / max(batch.count, 1), 0.9999),
    )


_MOST_IN_WORK = 64  # several times what is ever in work at once


def manifest(services: Services, caller: Caller, job: Job) -> dict[str, Any]:
    """What was found, with links to its arrays. Raises 409 while, or where, there is nothing."""
    made = find(job.work, MANIFEST) if job.work is not None else None
    if made is None or job.work is None or job.state not in TERMINAL:
        raise _nothing(job)
    document: dict[str, Any] = json.loads(services.artifacts.read(made.uri))
    title = job.extraction.video_id if job.extraction else ""
    document["manifest_uri"] = _address(services, job, made)
    arrays = {each.name: each for each in job.work.artifacts}
    for part in document["extractors"]:
        for file in part["artifacts"]:
            stored = arrays.get(part["name"])
            if stored is not None:
                shown = link(services, caller, stored, title or job.job_id)
                file["uri"] = shown.url
    return document


def extractors(services: Services) -> list[dict[str, Any]]:
    """What the workers can extract; nothing before one has started."""
    try:
        told = services.artifacts.read(services.artifacts.uri(EXTRACTORS_KEY))
    except ArtifactMissing:
        return []
    available: list[dict[str, Any]] = json.loads(told)["available"]
    return available


def _address(services: Services, job: Job, made: Artifact) -> str:
    """Where the manifest lies: in the bucket, or, where there is none, in this API."""
    if made.uri.startswith("s3://"):
        return made.uri
    base = services.settings.public_base_url.rstrip("/")
    return f"{base}/v1/manifests/{job.job_id}"


def _nothing(job: Job) -> Problem:
    state: JobState = job.state
    if state == "succeeded":
        return Problem(Code.MANIFEST_MISSING, f"Task '{job.job_id}' extracts no features.")
    if not job.ended:
        return Problem(
            Code.MANIFEST_NOT_READY,
            f"Task '{job.job_id}' is {job.progress:.0%} done.",
            headers={"Retry-After": str(RETRY_AFTER_S), "Cache-Control": "no-store"},
            extra={"task_id": job.job_id, "state": state, "progress": round(job.progress, 4)},
        )
    return failed(job)


def failed(job: Job) -> Problem:
    """Why nothing was extracted."""
    message = job.error.message if job.error else ""
    return Problem(
        Code.EXTRACTION_FAILED,
        f"Task '{job.job_id}' {ended(job)}" + (f": {message}" if message else "."),
        extra={
            "task_id": job.job_id,
            "reason": {"code": job.error.code if job.error else job.state, "message": message},
        },
    )


def ended(job: Job) -> str:
    """How an item ended that was not completed, behind its name."""
    return "was canceled" if job.state == "canceled" else "failed"
