"""The paths that the first documents of the product used: the same routes without /v1."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter
from pydantic import Field

from gateway.api import jobs, tracks, uploads
from gateway.api.dependencies import ServicesDep, Wire
from gateway.guard.clients import CallerDep
from gateway.jobs import find_job
from gateway.projection.job import JobState

_STATUS: dict[JobState, Literal["pending", "processing", "completed", "failed"]] = {
    "queued": "pending",
    "running": "processing",
    "succeeded": "completed",
    "failed": "failed",
    "canceled": "failed",
}


class Status(Wire):
    """A job in the words of the first extraction service."""

    status: Literal["pending", "processing", "completed", "failed"]
    progress: float = Field(ge=0, le=1)
    error: str | None = None


router = APIRouter()
router.include_router(uploads.router)
router.include_router(tracks.router)
router.include_router(jobs.router)
for prefix in ("", "/v1"):
    router.add_api_route(
        f"{prefix}/uploads/presign",
        uploads.create,
        methods=["POST"],
        status_code=201,
        response_model=uploads.UploadStarted,
        name=f"presign{prefix}",
    )


@router.get("/status/{job_id}", response_model=Status, response_model_exclude_none=True)
def status(job_id: str, services: ServicesDep, caller: CallerDep) -> Status:
    """Where a job stands."""
    job = find_job(services, caller, job_id)
    return Status(
        status=_STATUS[job.state],
        progress=round(job.progress, 4),
        error=job.error.message if job.error else None,
    )
