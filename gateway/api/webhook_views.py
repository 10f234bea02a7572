"""Webhook endpoints as the API takes and shows them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, field_validator

from gateway.api.dependencies import Wire, instant
from gateway.services import Services
from gateway.webhooks import endpoints as desk
from gateway.webhooks.history import Entry
from schemas.webhooks import TYPES
from topics.webhooks import Endpoint

_OVERLAP_S = 86_400
"""How long the secret before a rotation still signs: a day, as Svix has it."""

_LONGEST_OVERLAP_S = 7 * 86_400

_Types = Annotated[list[str], Field(max_length=len(TYPES))]


class EndpointFields(Wire):
    """What an endpoint is made of."""

    types: _Types = Field(
        default_factory=list, description="Event types it is told; none: all of them."
    )
    description: str = Field(default="", max_length=500)

    @field_validator("types")
    @classmethod
    def _known(cls, value: list[str]) -> list[str]:
        return _checked(value)


class NewEndpoint(EndpointFields):
    """An endpoint to make."""

    url: str = Field(
        max_length=2048,
        description="Called with POST: https://, on the public internet.",
        examples=["https://example.com/hooks/melisma"],
    )


class EndpointChange(Wire):
    """What is to be another; what is left out stays."""

    url: str | None = Field(default=None, max_length=2048)
    types: _Types | None = None
    description: str | None = Field(default=None, max_length=500)

    @field_validator("types")
    @classmethod
    def _known(cls, value: list[str] | None) -> list[str] | None:
        return None if value is None else _checked(value)


class Rotation(Wire):
    """How secrets change."""

    overlap_seconds: int = Field(
        default=_OVERLAP_S,
        ge=0,
        le=_LONGEST_OVERLAP_S,
        description="How long the old secret still signs beside the new one.",
    )


class Recovery(Wire):
    """What is sent again."""

    since: datetime = Field(description="RFC 3339.", examples=["2026-01-01T00:00:00Z"])
    what: Literal["failed", "missed", "all"] = Field(
        default="all",
        description="failed: given up after the last retry; missed: never sent, because the "
        "endpoint was disabled, was made later or had not subscribed.",
    )


class EndpointView(Wire):
    """An endpoint as it stands."""

    id: str
    url: str
    types: list[str]
    description: str
    status: Literal["active", "paused", "disabled"]
    disabled_reason: str | None = None
    disabled_at: str | None = None
    failing_since: str | None = None
    created_at: str | None = None
    secret_number: int
    secret: str | None = Field(
        default=None, description="whsec_…; only when it is made, rotated or asked for."
    )


class EndpointPage(Wire):
    """Endpoints, oldest first."""

    endpoints: list[EndpointView]
    cursor: str | None = Field(default=None, description="Continues behind these.")


class SecretView(Wire):
    """A signing secret."""

    secret: str
    secret_number: int


class AttemptView(Wire):
    """One attempt at a delivery."""

    message_id: str
    type: str
    track_id: str | None = None
    round: int = Field(description="0 at first; each redelivery asked for is another round.")
    attempt: int
    outcome: Literal["failed", "exhausted", "delivered"]
    at: str | None
    status: int | None = None
    error: str | None = None
    detail: str | None = None
    duration_ms: int
    response: str | None = Field(default=None, description="How the answer began.")
    next_attempt_at: str | None = None


class AttemptPage(Wire):
    """Attempts, newest first."""

    attempts: list[AttemptView]
    cursor: str | None = Field(default=None, description="Continues behind these.")


class DeliveryView(Wire):
    """How a message to an endpoint stands."""

    message_id: str
    type: str
    track_id: str | None = None
    sequence: int | None = None
    outcome: Literal["owed", "failed", "exhausted", "dropped", "delivered"]
    attempts: int
    at: str | None
    error: str | None = None
    detail: str | None = None
    next_attempt_at: str | None = None


class DeliveryPage(Wire):
    """Deliveries, newest first."""

    deliveries: list[DeliveryView]
    cursor: str | None = Field(default=None, description="Continues behind these.")


class Sent(Wire):
    """A message on its way."""

    message_id: str


class Recovered(Wire):
    """How much is sent again."""

    count: int
    more: bool = Field(description="More are left: ask again.")


class EventTypes(Wire):
    """What endpoints can subscribe to, by name."""

    types: dict[str, str]


def endpoint_view(services: Services, endpoint: Endpoint) -> EndpointView:
    """An endpoint with its address, without its secret."""
    status = endpoint.status
    assert status != "deleted"
    return EndpointView(
        id=endpoint.id,
        url=desk.url_of(services, endpoint),
        types=list(endpoint.types),
        description=endpoint.description,
        status=status,
        disabled_reason=endpoint.disabled or None,
        disabled_at=instant(endpoint.disabled_ms) if endpoint.disabled else None,
        failing_since=instant(endpoint.failing_since_ms) if endpoint.failing_since_ms else None,
        created_at=instant(endpoint.created_ms) if endpoint.created_ms else None,
        secret_number=endpoint.generation,
    )


def attempt_view(entry: Entry) -> AttemptView:
    """One call of an endpoint."""
    event = entry.event
    return AttemptView.model_validate(
        {
            "message_id": event.notification_id,
            "type": event.type,
            "track_id": event.track_id or None,
            "round": event.round,
            "attempt": event.attempt,
            "outcome": event.outcome,
            "at": instant(entry.at_ms),
            "status": event.status or None,
            "error": event.error or None,
            "detail": event.detail or None,
            "duration_ms": event.duration_ms,
            "response": event.response or None,
            "next_attempt_at": instant(event.due_ms) if event.due_ms else None,
        }
    )


def delivery_view(entry: Entry) -> DeliveryView:
    """How the last call of a message left it."""
    event = entry.event
    return DeliveryView.model_validate(
        {
            "message_id": event.notification_id,
            "type": event.type,
            "track_id": event.track_id or None,
            "sequence": event.sequence or None,
            "outcome": event.outcome,
            "attempts": event.attempt,
            "at": instant(entry.at_ms),
            "error": event.error or None,
            "detail": event.detail or None,
            "next_attempt_at": instant(event.due_ms) if event.due_ms else None,
        }
    )


def _checked(types: list[str]) -> list[str]:
    unknown = [each for each in types if each not in TYPES]
    if unknown:
        raise ValueError(f"no such event type; there are {', '.join(TYPES)}")
    return types
