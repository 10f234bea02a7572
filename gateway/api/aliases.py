"""The paths that the product's first documents used, for clients that were written by them."""

from __future__ import annotations

import re
from typing import Literal

from fastapi import APIRouter
from pydantic import Field
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.api import uploads
from gateway.api.dependencies import ServicesDep, Wire
from gateway.guard.clients import CallerDep
from gateway.jobs import find_job
from gateway.projection.job import JobState

_MASTERING_JOB = re.compile(r"/jobs/mas_[^/]+(/decision)?")
_WITHOUT_V1 = ("/uploads", "/tracks", "/jobs")

_STATUS: dict[JobState, Literal["pending", "processing", "completed", "failed"]] = {
    "queued": "pending",
    "running": "processing",
    "succeeded": "completed",
    "failed": "failed",
    "canceled": "failed",
}


class WithoutVersion:
    """Serves ``/uploads``, ``/tracks`` and ``/jobs`` as if ``/v1`` stood before them.

    A POST to ``/jobs``, and a look at a job that it made, belong to the first mastering service.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] == "http":
            path: str = scope["path"]
            if any(path == each or path.startswith(f"{each}/") for each in _WITHOUT_V1):
                raw: bytes = scope.get("raw_path") or path.encode()
                before = "/v1/mastering" if _is_mastering(scope["method"], path) else "/v1"
                scope = {**scope, "path": before + path, "raw_path": before.encode() + raw}
        await self._app(scope, receive, send)


def _is_mastering(method: str, path: str) -> bool:
    if path == "/jobs":
        return method == "POST"
    # The prefix tells: without it the projection would have to be asked before the route is known.
    return _MASTERING_JOB.fullmatch(path) is not None


class Status(Wire):
    """A job in the words of the first extraction service."""

    status: Literal["pending", "processing", "completed", "failed"]
    progress: float = Field(ge=0, le=1)
    error: str | None = None


router = APIRouter()
router.add_api_route(
    "/v1/uploads/presign",
    uploads.create,
    methods=["POST"],
    status_code=201,
    response_model=uploads.UploadStarted,
    name="presign",
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
