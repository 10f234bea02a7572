"""What webhooks say: the event types, and the body that is sent (Standard Webhooks 1.0.0).

A body is thin on purpose: ids, the version, where to read on. Who needs the state asks for it and
gets the newest, however late the webhook came.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime

from schemas.events import Notified, WebhookAttempted

SCHEMA = "webhook/1"
"""Version of ``data``: members are added under it, never changed."""

TRACK_READY = "track.ready"
LYRICS_UPDATED = "lyrics.updated"
JOB_FAILED = "job.failed"
JOB_CANCELED = "job.canceled"
MASTERING_READY = "mastering.ready"
CLIP_READY = "clip.ready"
EXTRACTION_COMPLETED = "extraction.completed"
ENDPOINT_DISABLED = "endpoint.disabled"
TEST = "webhook.test"
PROBE = "webhook.probe"

TYPES: Mapping[str, str] = {
    TRACK_READY: "A version of a track was published; GET …/ready answers with it.",
    LYRICS_UPDATED: "A person edited the lyrics: a draft version exists.",
    JOB_FAILED: "A job has failed; `error` names the step and the reason.",
    JOB_CANCELED: "A job was canceled.",
    MASTERING_READY: "A version of a master was made.",
    CLIP_READY: "A generated song was stored and its clip made.",
    EXTRACTION_COMPLETED: "The features of a file were extracted, or every item of a batch has "
    "ended; its status says how.",
    ENDPOINT_DISABLED: "One of your endpoints is called no more: it said 410, or nothing but "
    "failures for days.",
}
"""Event types that an endpoint can subscribe to, and what each says."""

UNASKED: Mapping[str, str] = {
    TEST: "Sent when somebody asks for a test.",
    PROBE: "Sent to an endpoint that was disabled, to find out whether it answers again.",
}
"""Event types that come without a subscription."""

STANDING_ONLY = "standing"
"""A ``callbackId`` that names no callback: tell the standing endpoints, although the job is a
replay, which else tells nobody."""


OWED, FAILED, EXHAUSTED, DROPPED, DELIVERED = (
    "owed",
    "failed",
    "exhausted",
    "dropped",
    "delivered",
)
"""How a delivery stands: behind the first two another attempt comes."""

_RANKS: Mapping[str, int] = {OWED: 0, FAILED: 1, DROPPED: 2, EXHAUSTED: 3, DELIVERED: 4}


def order(event: WebhookAttempted) -> tuple[int, int, int]:
    """Of two words about one delivery the greater one holds."""
    return (event.round, event.attempt, _RANKS.get(event.outcome, 0))


def owed(
    event: Notified, endpoint_id: str, now_ms: int, *, again: int = 0, body: str = ""
) -> WebhookAttempted:
    """The delivery of a notification to an endpoint, due at once; ``again`` counts the rounds that
    somebody asked for, ``body`` is what was sent before.
    """
    return WebhookAttempted(
        endpoint_id=endpoint_id,
        notification_id=event.notification_id,
        tenant=event.tenant,
        type=event.type,
        track_id=event.track_id,
        sequence=event.sequence,
        round=again,
        outcome=OWED,
        body=body or body_of(event),
        due_ms=now_ms,
    )


def body_of(event: Notified) -> str:
    """The JSON text to send. One notification always has the same: retries repeat the bytes."""
    data: dict[str, object] = {"schema": SCHEMA}
    if event.type == ENDPOINT_DISABLED:
        data["endpointId"] = event.track_id
    elif event.type == EXTRACTION_COMPLETED:
        data["taskId"] = event.track_id
    elif event.track_id:
        data["trackId"] = event.track_id
    if event.job_id and event.type != EXTRACTION_COMPLETED:
        data["jobId"] = event.job_id
    if event.version:
        data["version"] = event.version
    if event.sequence:
        data["sequence"] = event.sequence
    if event.code:
        error = {"code": event.code, "message": event.message, "stage": event.stage}
        data["error"] = {name: value for name, value in error.items() if value}
    if path := _path(event):
        data["href"] = path
    moment = datetime.fromtimestamp(event.occurred_ms / 1000, UTC)
    body = {
        "type": event.type,
        "timestamp": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "data": data,
    }
    return json.dumps(body, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def _path(event: Notified) -> str:
    """Where to read on, as a path of the API."""
    match event.type:
        case "track.ready":
            return f"/v1/tracks/{event.track_id}/ready"
        case "lyrics.updated":
            return f"/v1/tracks/{event.track_id}/versions/{event.version}"
        case "mastering.ready":
            return f"/v1/mastering/jobs/{event.job_id}"
        case "clip.ready":
            return f"/api/music-clips/jobs/{event.job_id}"
        case "extraction.completed":
            return f"/v1/status/{event.track_id}"
        case "endpoint.disabled":
            return f"/v1/webhook-endpoints/{event.track_id}"
        case _:
            return f"/v1/jobs/{event.job_id}" if event.job_id else ""
