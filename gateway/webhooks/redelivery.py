"""Sending again what was not delivered, or what somebody wants once more."""

from __future__ import annotations

from typing import Literal

from gateway.guard.clients import Caller
from gateway.guard.idempotency import Attempt
from gateway.guard.problems import Code, Problem
from gateway.services import Services
from gateway.webhooks.endpoints import find_endpoint
from gateway.webhooks.history import Entry
from schemas.events import Notified, WebhookAttempted
from schemas.webhooks import EXHAUSTED, owed

What = Literal["failed", "missed", "all"]

AT_ONCE = 5_000
"""Deliveries that one recovery asks for; the answer says whether more are left."""


def redeliver(
    services: Services, caller: Caller, endpoint_id: str, message_id: str, attempt: Attempt
) -> WebhookAttempted:
    """Owe a message again, delivered or not, under its old webhook-id. Raises 404."""
    endpoint = find_endpoint(services, caller, endpoint_id)
    history = services.webhooks.history
    history.refresh()
    entry = history.delivery(caller.tenant, endpoint.id, message_id)
    notice = history.notice(caller.tenant, message_id)
    if entry is not None:
        again = _again(services, entry)
    elif notice is not None and endpoint.standing:
        again = owed(notice, endpoint.id, services.clock_ms())
    else:
        raise Problem(
            Code.WEBHOOK_MESSAGE_NOT_FOUND,
            f"Endpoint '{endpoint.id}' was never owed a message '{message_id[:64]}'.",
        )
    services.publisher.accept([again], cause=attempt.seed, traceparent=caller.traceparent)
    return again


def recover(
    services: Services,
    caller: Caller,
    endpoint_id: str,
    since_ms: int,
    what: What,
    attempt: Attempt,
) -> tuple[int, bool]:
    """Owe again what failed for good since a time, and what was never owed because the endpoint did
    not exist, was disabled or had not subscribed. How many, and whether more are left. Raises 404.
    """
    endpoint = find_endpoint(services, caller, endpoint_id)
    history = services.webhooks.history
    history.refresh()
    events: list[WebhookAttempted] = []
    if what in ("failed", "all"):
        failed = history.deliveries(
            caller.tenant,
            endpoint.id,
            outcome=EXHAUSTED,
            since_ms=since_ms,
            limit=AT_ONCE + 1,
        )
        events += [_again(services, entry) for entry in failed]
    if what in ("missed", "all") and endpoint.standing:
        now_ms = services.clock_ms()
        missed = history.missed(
            caller.tenant, endpoint.id, since_ms, endpoint.wants, limit=AT_ONCE + 1
        )
        events += [owed(notice, endpoint.id, now_ms) for notice in missed]
    left = len(events) > AT_ONCE
    for at in range(0, len(events[:AT_ONCE]), 500):
        services.publisher.accept(
            events[:AT_ONCE][at : at + 500],
            cause=f"{attempt.seed}/{at}",
            traceparent=caller.traceparent,
        )
    return min(len(events), AT_ONCE), left


def _again(services: Services, entry: Entry) -> WebhookAttempted:
    event = entry.event
    told = Notified(
        notification_id=event.notification_id,
        track_id=event.track_id,
        job_id="",
        tenant=event.tenant,
        type=event.type,
        sequence=event.sequence,
        callback_id="",
    )
    # The bytes that were sent before: a message never changes under its id.
    return owed(
        told, event.endpoint_id, services.clock_ms(), again=event.round + 1, body=entry.body
    )
