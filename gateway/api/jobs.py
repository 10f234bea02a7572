"""Jobs: list, look, follow, cancel, retry."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Query, Request
from pydantic import Field
from starlette.responses import JSONResponse, Response

from gateway.api.dependencies import ServicesDep, Wire, accepted_job, once
from gateway.api.job_views import JobView, job_snapshot, job_view
from gateway.guard.clients import CallerDep
from gateway.guard.idempotency import Attempt, IdempotencyKey
from gateway.guard.problems import Code
from gateway.guard.responses import documented
from gateway.jobs import cancel, find_job, retry
from gateway.projection.reservations import Answer
from gateway.streaming import Snapshot, stream
from schemas.work import EVERY_STEP


class JobPage(Wire):
    """Jobs, newest first."""

    jobs: list[JobView]
    cursor: str | None = Field(
        default=None, description="Continues behind these; absent at the end."
    )


class CancelRequest(Wire):
    """Why a job is stopped."""

    reason: str = Field(default="", max_length=500, examples=["wrong song"])


class JobAccepted(Wire):
    """A job that will be worked on."""

    job_id: str
    track_id: str
    version: int | None = None
    attempt: int | None = None


LastEventId = Annotated[
    str | None, Header(alias="Last-Event-ID", description="Sent by EventSource on a reconnect.")
]

EVENT_STREAM: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Server-sent events; each holds the whole state. Comments keep it open.",
        "content": {
            "text/event-stream": {
                # Of one event: OpenAPI 3.1 has no word for a stream of them.
                "schema": {
                    "type": "object",
                    "required": ["data"],
                    "properties": {
                        "id": {"type": "string"},
                        "event": {"type": "string", "enum": ["job", "track"]},
                        "data": {"type": "string", "description": "The state, as JSON."},
                    },
                },
            }
        },
    },
    204: {"description": "Last-Event-ID names the final state: do not come back."},
}

router = APIRouter(tags=["jobs"])


@router.get(
    "/jobs",
    response_model=JobPage,
    response_model_exclude_none=True,
    summary="List jobs",
    responses=documented(),
)
def listing(
    services: ServicesDep,
    caller: CallerDep,
    state: Literal["queued", "running", "failed", "canceled", "succeeded"] | None = None,
    step: Literal[
        "separate",
        "transcribe",
        "align",
        "qc",
        "publish",
        "analyze",
        "decide",
        "render",
        "video",
        "extract",
    ]
    | None = None,
    stage: Annotated[
        str | None, Query(max_length=40, description="As step, by the stage that does it.")
    ] = None,
    since: datetime | None = None,
    cursor: Annotated[str | None, Query(max_length=500)] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> JobPage:
    """Newest first: those in a state, at a step, created since a time (RFC 3339)."""
    now = services.clock_ms()
    page = services.store.jobs(
        caller.tenant,
        state=state,
        stage=EVERY_STEP[step] if step else stage,
        since_ms=round(since.timestamp() * 1000) if since else None,
        cursor=cursor,
        limit=limit,
    )
    return JobPage(jobs=[job_view(job, now) for job in page.items], cursor=page.cursor)


@router.head("/jobs/{job_id}", include_in_schema=False)
@router.get(
    "/jobs/{job_id}",
    response_model=JobView,
    response_model_exclude_none=True,
    summary="See where a job stands",
    responses=documented(Code.JOB_NOT_FOUND),
)
def state(job_id: str, services: ServicesDep, caller: CallerDep, response: Response) -> JobView:
    """Always 200 for a job that exists, however it ended."""
    response.headers["Cache-Control"] = "no-store"
    return job_view(find_job(services, caller, job_id), services.clock_ms())


@router.get(
    "/jobs/{job_id}/events",
    response_class=Response,
    summary="Follow a job",
    responses=EVENT_STREAM | documented(Code.JOB_NOT_FOUND),
)
async def events(
    job_id: str, services: ServicesDep, caller: CallerDep, last_event_id: LastEventId = None
) -> Response:
    """The job's state now and after each change, until it has ended."""

    def read() -> Snapshot:
        return job_snapshot(find_job(services, caller, job_id), services.clock_ms())

    return await stream(
        read,
        services.changes,
        last_event_id=last_event_id,
        heartbeat_s=services.settings.sse_heartbeat_seconds,
    )


@router.post(
    "/jobs/{job_id}/cancel",
    response_model=JobView,
    response_model_exclude_none=True,
    summary="Cancel a job",
    responses=documented(Code.JOB_NOT_FOUND, Code.JOB_ENDED, Code.IDEMPOTENCY_IN_FLIGHT),
)
def stop(
    job_id: str,
    request: Request,
    services: ServicesDep,
    caller: CallerDep,
    body: CancelRequest | None = None,
    idempotency_key: IdempotencyKey = None,
) -> JSONResponse:
    """Stops queued and running jobs; work in progress ends within two seconds."""

    def work(attempt: Attempt) -> Answer:
        reason = body.reason if body else ""
        job = cancel(services, caller, job_id, reason, attempt)
        return Answer(200, job_view(job, services.clock_ms()).wire())

    return once(request, services, caller, idempotency_key, body, work)


@router.post(
    "/jobs/{job_id}/retry",
    status_code=202,
    response_model=JobAccepted,
    summary="Retry a failed job",
    responses=documented(
        Code.JOB_NOT_FOUND,
        Code.JOB_NOT_FAILED,
        Code.REPROCESS_IN_WORK,
        Code.TRACK_CHANGING,
        Code.IDEMPOTENCY_IN_FLIGHT,
    ),
)
def again(
    job_id: str,
    request: Request,
    services: ServicesDep,
    caller: CallerDep,
    idempotency_key: IdempotencyKey = None,
) -> JSONResponse:
    """Starts the next attempt at the step that failed; what was made before is kept."""

    def work(attempt: Attempt) -> Answer:
        job = retry(services, caller, job_id, attempt)
        return accepted_job(
            job.job_id, trackId=job.track_id, version=job.version, attempt=job.attempt
        )

    return once(request, services, caller, idempotency_key, None, work)
