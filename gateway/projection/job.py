"""A job as its events tell it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from schemas.events import Work

JobKind = Literal["import", "reprocess", "rollback", "replay", ""]
"""What was asked for; empty while only later events of the job have been seen."""

JobState = Literal["queued", "running", "failed", "canceled", "succeeded"]

StepState = Literal["waiting", "running", "retrying", "failed", "canceled", "succeeded"]
"""``retrying``: the last try failed and another one is due after `Step.retry_after_ms`."""

TERMINAL: frozenset[JobState] = frozenset({"failed", "canceled", "succeeded"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why a step or a job failed, or who canceled it."""

    code: str
    """Stable word; ``canceled`` for a cancel."""
    message: str
    """The reason in words that a musician understands."""
    stage: str = ""
    """The stage that gave up; empty for a cancel."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One stage of a job, in its newest try. Times are Unix milliseconds, for display only."""

    stage: str
    state: StepState = "waiting"
    attempt: int = 1
    try_number: int = 0
    """Try of the step within the attempt, from 1; 0 before the first."""
    sequence: int = -1
    """The newest life sign within the try; -1 before the first."""
    progress: float = 0.0
    """Share of this try done, 0 to 1."""
    note: str = ""
    due_ms: int | None = None
    """When a worker could have begun (or can begin) the try; None while an earlier step runs."""
    started_ms: int | None = None
    seen_ms: int | None = None
    """Time of the newest life sign."""
    ended_ms: int | None = None
    elapsed_seconds: float = 0.0
    """Time since the try started, as of ``seen_ms``."""
    sla_seconds: float = 0.0
    """Soft limit; 0 while unknown."""
    hard_seconds: float = 0.0
    """Hard limit; 0 while unknown."""
    worker: str = ""
    seconds: float | None = None
    """How long the finished step took."""
    reused: bool | None = None
    """Whether a stored result was adopted; None until the step succeeded."""
    error: Failure | None = None
    """Why the newest try failed."""
    retry_after_ms: int | None = None
    """Delay until the next try; None when there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One job: what was asked, where it stands, and what a retry of it needs."""

    tenant: str
    job_id: str
    track_id: str = ""
    kind: JobKind = ""
    version: int = 0
    """The track version it publishes; 0 while unknown."""
    from_stage: str = "separation"
    asked: Sequence[str] = ()
    """The API steps as the client named them."""
    lyrics_given: bool = False
    """True when the request carried lyrics, so that nothing is transcribed."""
    asset_id: str = ""
    callback_id: str = ""
    replay_id: str = ""
    title: str = ""
    artist: str = ""
    created_ms: int = 0
    updated_ms: int = 0
    """The greatest event time: for display, decides nothing."""
    state: JobState = "queued"
    attempt: int = 1
    stage: str = "separation"
    """The stage it stands at: running, due, or where it ended."""
    progress: float = 0.0
    """Share of the whole job done, 0 to 1; never falls within an attempt."""
    steps: Sequence[Step] = ()
    """The steps this job runs, in order."""
    error: Failure | None = None
    """Why it failed or was canceled; None in every other state."""
    backends: Mapping[str, str] = field(default_factory=dict)
    """Name of the backend that did each step so far, by stage."""
    work: Work | None = None
    """The newest context: artifacts, lyrics reference and backends so far."""

    @property
    def ended(self) -> bool:
        """True once no further work happens unless someone retries it."""
        return self.state in TERMINAL
