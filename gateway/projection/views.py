"""What of a job moves between two events: pure functions of a job and the time now.

They compare the clock of the reader with those of the writers, so they serve display alone.
"""

from __future__ import annotations

from gateway.projection.job import Job, Step

NO_WORKER_AFTER_S = 5.0
"""A step is taken in well under a second by an idle worker; a shorter wait is no news."""

SILENT_AFTER_S = 30.0
"""A worker shows life every few seconds. After this long without any sign nobody has the step."""


def elapsed_seconds(step: Step, now_ms: int) -> float | None:
    """How long the step's newest try has run or ran; None before its first try."""
    if step.state == "succeeded" and step.seconds is not None:
        return step.seconds
    if step.state == "running" and step.seen_ms is not None:
        return step.elapsed_seconds + max(0, now_ms - step.seen_ms) / 1000
    return step.elapsed_seconds if step.try_number else None


def overdue(step: Step, now_ms: int) -> bool:
    """Whether the try is or was longer than its soft limit; False while that is unknown."""
    elapsed = elapsed_seconds(step, now_ms)
    return elapsed is not None and 0 < step.sla_seconds < elapsed


def no_worker_for_seconds(job: Job, now_ms: int) -> float | None:
    """How long nobody has worked on a job that could go on; None when somebody does.

    Counted from when the step it stands at became due (asked for, the step before it done, or the
    pause before its next try over), or from the last sign of a worker that fell silent.
    """
    step = next((step for step in job.steps if step.stage == job.stage), None)
    if job.ended or step is None:
        return None
    if step.state == "running":
        silent_s = (now_ms - job.updated_ms) / 1000
        return silent_s if silent_s >= SILENT_AFTER_S else None
    if step.due_ms is None:
        return None
    waited_s = (now_ms - step.due_ms) / 1000
    return waited_s if waited_s >= NO_WORKER_AFTER_S else None
