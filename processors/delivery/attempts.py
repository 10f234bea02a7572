"""What becomes of a delivery after an attempt. Pure."""

from __future__ import annotations

from dataclasses import replace

from processors.delivery.health import Health
from processors.delivery.schedule import Schedule
from processors.delivery.sending import GONE, Answer
from schemas.events import WebhookAttempted
from schemas.webhooks import DELIVERED, DROPPED, EXHAUSTED, FAILED


def after(
    event: WebhookAttempted,
    answer: Answer,
    *,
    health: Health,
    schedule: Schedule,
    now_ms: int,
    chance: float,
) -> WebhookAttempted:
    """How the delivery stands now. ``health`` is the endpoint's, with this attempt in it."""
    attempt = event.attempt + 1
    made = replace(
        event,
        attempt=attempt,
        status=answer.status,
        error=answer.error,
        detail=answer.detail,
        response=answer.response,
        duration_ms=answer.duration_ms,
        due_ms=0,
        failing_since_ms=health.failing_since_ms,
    )
    if answer.delivered:
        return replace(made, outcome=DELIVERED, body="")
    due_ms = schedule.due_ms(attempt, now_ms, chance, answer.retry_after_s)
    if due_ms is None or answer.status == GONE:
        return replace(made, outcome=EXHAUSTED, body="")
    return replace(made, outcome=FAILED, due_ms=due_ms)


def given_up(event: WebhookAttempted, status: str) -> WebhookAttempted:
    """A delivery that nobody makes any more: its endpoint is disabled, or deleted."""
    deleted = status == "deleted"
    return replace(
        event,
        outcome=DROPPED if deleted else EXHAUSTED,
        due_ms=0,
        body="",
        error=f"endpoint_{status}",
        detail=f"the endpoint was {status} before it was delivered",
    )
