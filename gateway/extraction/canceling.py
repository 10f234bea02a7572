"""Stopping a file, an item, or what is left of a batch."""

from __future__ import annotations

from gateway.extraction.showing import find_task, standing
from gateway.guard.clients import Caller
from gateway.guard.idempotency import Attempt
from gateway.guard.problems import Code, Problem
from gateway.jobs import cancel
from gateway.projection.extraction import Batch
from gateway.services import Services
from schemas.events import JobCanceled


def cancel_task(
    services: Services, caller: Caller, task_id: str, reason: str, attempt: Attempt
) -> None:
    """Stop it. Raises 404, and 409 when it has ended.

    Of a batch one event is enough: admission ends every item that has not.
    """
    found = find_task(services, caller, task_id)
    if not isinstance(found, Batch):
        cancel(services, caller, task_id, reason, attempt)
        return
    with services.locks.holding(caller.tenant, task_id):
        again = services.store.batch(caller.tenant, task_id) or found
        if attempt.resumed and again.canceled is not None:
            return
        if again.canceled is not None or standing(services, again).ended:
            how = "it was canceled already" if again.canceled else "all of it has ended"
            raise Problem(Code.JOB_ENDED, f"Task '{task_id}' cannot be canceled: {how}.")
        event = JobCanceled(
            job_id=task_id,
            track_id=task_id,
            tenant=caller.tenant,
            attempt=again.attempt,
            reason=reason,
        )
        services.publisher.accept([event], cause=attempt.seed, traceparent=caller.traceparent)
