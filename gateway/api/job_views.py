"""Jobs as clients see them."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from gateway.api.dependencies import Wire, instant
from gateway.projection.job import Failure, Job, Step
from gateway.projection.views import elapsed_seconds, no_worker_for_seconds, overdue
from gateway.steps import step_of
from gateway.streaming import Snapshot


class ErrorView(Wire):
    """Why a step or job ended without its result."""

    step: str | None = Field(default=None, description="The API step that gave up.")
    code: str
    message: str


class StepView(Wire):
    """One step of a job."""

    step: str = Field(
        description="separate, transcribe, align, qc or publish; analyze, decide or render; video;"
        " extract."
    )
    state: Literal["waiting", "running", "retrying", "failed", "canceled", "succeeded"]
    progress: float = Field(description="Share of the step done, 0 to 1.")
    note: str | None = None
    try_number: int | None = Field(default=None, description="Try of the step, from 1.")
    backend: str | None = Field(default=None, description="light, full or given.")
    reused: bool | None = Field(default=None, description="A stored result was adopted.")
    started_at: str | None = None
    ended_at: str | None = None
    seconds: float | None = Field(default=None, description="Time that the finished step took.")
    elapsed_seconds: float | None = None
    sla_seconds: float | None = Field(default=None, description="Longer than this is overdue.")
    overdue: bool | None = None
    retry_after_seconds: float | None = None
    error: ErrorView | None = None


class JobView(Wire):
    """Where a job stands."""

    job_id: str
    track_id: str
    kind: (
        Literal[
            "import", "reprocess", "rollback", "replay", "mastering", "video", "clip", "extraction"
        ]
        | None
    ) = None
    version: int | None = Field(default=None, description="The track version it publishes.")
    state: Literal["queued", "running", "failed", "canceled", "succeeded"]
    step: str | None = Field(default=None, description="The step it stands at.")
    stage: str | None = Field(default=None, description="The stage that does the step.")
    progress: float = Field(description="Share of the whole job done, 0 to 1.")
    attempt: int
    steps: list[StepView] = Field(default_factory=list)
    sla_seconds: float | None = Field(default=None, description="Of the step in work.")
    elapsed_seconds: float | None = Field(default=None, description="Of the step in work.")
    overdue: bool = False
    no_worker_for_seconds: float | None = Field(
        default=None, description="Its next step is due and no worker has taken it since."
    )
    error: ErrorView | None = None
    title: str | None = None
    artist: str | None = None
    created_at: str | None = None
    updated_at: str | None = None


def job_view(job: Job, now_ms: int) -> JobView:
    """A job as of ``now_ms`` (Unix time)."""
    steps = [_step_view(job, step, now_ms) for step in job.steps]
    current = next((view for view in steps if view.step == step_of(job.stage)), None)
    running = current is not None and current.state == "running" and not job.ended
    return JobView(
        job_id=job.job_id,
        track_id=job.track_id,
        kind=job.kind or None,
        version=job.version or None,
        state=job.state,
        step=step_of(job.stage) or None,
        stage=job.stage or None,
        progress=round(job.progress, 4),
        attempt=job.attempt,
        steps=steps,
        sla_seconds=current.sla_seconds if running and current else None,
        elapsed_seconds=current.elapsed_seconds if running and current else None,
        overdue=bool(running and current and current.overdue),
        no_worker_for_seconds=_rounded(no_worker_for_seconds(job, now_ms)),
        error=_error(job.error),
        title=job.title or None,
        artist=job.artist or None,
        created_at=instant(job.created_ms or None),
        updated_at=instant(job.updated_ms or None),
    )


def job_snapshot(job: Job, now_ms: int) -> Snapshot:
    """A job for its event stream. Two snapshots differ when an event changed the job."""
    return Snapshot(
        event="job",
        data=job_view(job, now_ms).wire(),
        basis=job_view(job, job.updated_ms).model_dump_json(),
        ended=job.ended,
    )


def _step_view(job: Job, step: Step, now_ms: int) -> StepView:
    at_ms = job.updated_ms if job.ended else now_ms  # an ended job's clock stands still
    return StepView(
        step=step_of(step.stage),
        state=step.state,
        progress=round(step.progress, 4),
        note=step.note or None,
        try_number=step.try_number or None,
        backend=job.backends.get(step.stage) or None,
        reused=step.reused,
        started_at=instant(step.started_ms),
        ended_at=instant(step.ended_ms),
        seconds=step.seconds,
        elapsed_seconds=_rounded(elapsed_seconds(step, at_ms)),
        sla_seconds=step.sla_seconds or None,
        overdue=overdue(step, at_ms) if step.sla_seconds else None,
        retry_after_seconds=None if step.retry_after_ms is None else step.retry_after_ms / 1000,
        error=_error(step.error),
    )


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)


def _error(failure: Failure | None) -> ErrorView | None:
    if failure is None:
        return None
    step = step_of(failure.stage) if failure.stage else None
    return ErrorView(step=step, code=failure.code, message=failure.message)
