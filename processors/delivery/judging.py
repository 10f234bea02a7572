"""Verdicts on endpoints, and what is said about them. Pure."""

from __future__ import annotations

from schemas.events import Notified, WebhookAttempted, WebhookEndpointJudged
from schemas.webhooks import ENDPOINT_DISABLED, PROBE, owed
from topics.webhooks import Endpoint

_REASONS = {
    "gone": "The receiver answered 410. It is called again once you resume the endpoint.",
    "failing": "Every attempt has failed for days. It is probed, and called again once it answers.",
}


def disabled(endpoint: Endpoint, reason: str, failing_since_ms: int) -> WebhookEndpointJudged:
    """The endpoint is called no more, because it is ``gone`` or ``failing``."""
    return WebhookEndpointJudged(
        endpoint_id=endpoint.id,
        tenant=endpoint.tenant,
        verdict="disabled",
        reason=reason,
        enabled=endpoint.enabled,
        number=endpoint.verdicts + 1,
        failing_since_ms=failing_since_ms,
    )


def reenabled(endpoint: Endpoint) -> WebhookEndpointJudged:
    """A probe was answered: the endpoint is called again."""
    return WebhookEndpointJudged(
        endpoint_id=endpoint.id,
        tenant=endpoint.tenant,
        verdict="enabled",
        reason="answers again",
        enabled=endpoint.enabled,
        number=endpoint.verdicts + 1,
    )


def news_of(verdict: WebhookEndpointJudged, now_ms: int) -> Notified:
    """What the tenant's other endpoints are told."""
    return Notified(
        notification_id=f"msg_{verdict.endpoint_id}_{verdict.number}",
        track_id=verdict.endpoint_id,
        job_id="",
        tenant=verdict.tenant,
        type=ENDPOINT_DISABLED,
        sequence=verdict.number,
        occurred_ms=now_ms,
        callback_id="",
        code=verdict.reason,
        message=_REASONS[verdict.reason],
    )


def probe_of(endpoint: Endpoint, now_ms: int) -> WebhookAttempted:
    """A message that only asks whether anybody answers."""
    told = Notified(
        notification_id=f"msg_probe_{endpoint.id}_{now_ms}",
        track_id="",
        job_id="",
        tenant=endpoint.tenant,
        type=PROBE,
        occurred_ms=now_ms,
        callback_id="",
    )
    return owed(told, endpoint.id, now_ms)
