"""Endpoints as their events tell them. Pure: the fold does not look at order or repetition."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Literal

from schemas.events import Event, WebhookEndpointChanged, WebhookEndpointJudged

Status = Literal["active", "paused", "disabled", "deleted"]

CALLBACK_PREFIX = "cbk_"
"""Ids of callbacks: endpoints that nobody created, told only of the jobs that name them."""

GONE = "gone"
"""Reason of a verdict that no probe undoes: the receiver said 410."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where webhooks go. Times are Unix milliseconds."""

    id: str
    tenant: str
    callback_id: str
    """Where its URL is kept."""
    types: tuple[str, ...] = ()
    """Event types it is told; none for all."""
    description: str = ""
    state: str = "active"
    """As its owner wants it: active, paused or deleted."""
    revision: int = 0
    enabled: int = 0
    generation: int = 1
    previous_until_ms: tuple[int, ...] = ()
    created_ms: int = 0
    updated_ms: int = 0
    disabled: str = ""
    """Why it is called no more; empty while it is."""
    disabled_ms: int = 0
    failing_since_ms: int = 0
    verdicts: int = 0
    """Number of the newest verdict."""
    signs_as: str = ""
    """The endpoint id that its secrets belong to."""

    @property
    def status(self) -> Status:
        """What becomes of its deliveries now."""
        if self.state in ("deleted", "paused"):
            return "deleted" if self.state == "deleted" else "paused"
        return "disabled" if self.disabled else "active"

    @property
    def standing(self) -> bool:
        """Whether somebody created it, in contrast to a job's callback."""
        return not self.id.startswith(CALLBACK_PREFIX)

    def wants(self, event_type: str) -> bool:
        """Whether it subscribed to a type."""
        return not self.types or event_type in self.types

    def generations(self, now_ms: int) -> tuple[int, ...]:
        """Numbers of the secrets that sign now, the newest first."""
        older = (
            self.generation - 1 - back
            for back, until_ms in enumerate(self.previous_until_ms)
            if now_ms < until_ms
        )
        return (self.generation, *(number for number in older if number >= 1))


@dataclass(slots=True)
class Endpoints:
    """The fold of ``webhook-endpoint-changed`` and ``webhook-endpoint-judged``."""

    _wanted: dict[str, tuple[WebhookEndpointChanged, int]] = field(default_factory=dict)
    _judged: dict[str, tuple[WebhookEndpointJudged, int]] = field(default_factory=dict)
    _by_tenant: dict[str, dict[str, None]] = field(default_factory=dict)

    def add(self, event: Event, time_ms: int) -> None:
        """Fold in one event; other kinds say nothing."""
        if isinstance(event, WebhookEndpointChanged):
            known = self._wanted.get(event.endpoint_id)
            if known is None or known[0].revision <= event.revision:
                self._wanted[event.endpoint_id] = (event, time_ms)
            self._by_tenant.setdefault(event.tenant, {})[event.endpoint_id] = None
        elif isinstance(event, WebhookEndpointJudged):
            before = self._judged.get(event.endpoint_id)
            if before is None or before[0].number <= event.number:
                self._judged[event.endpoint_id] = (event, time_ms)

    def endpoint(self, tenant: str, endpoint_id: str, *, signs_as: str) -> Endpoint | None:
        """An endpoint of a tenant, a callback of its jobs too; None for one never made.

        ``signs_as`` is whose secrets sign the calls of callbacks.
        """
        found = self._wanted.get(endpoint_id)
        callback = endpoint_id.startswith(CALLBACK_PREFIX)
        if found is not None:
            wanted, time_ms = found
            if wanted.tenant != tenant:
                return None
            endpoint = Endpoint(
                id=endpoint_id,
                tenant=tenant,
                callback_id=wanted.callback_id,
                types=wanted.types,
                description=wanted.description,
                state=wanted.state,
                revision=wanted.revision,
                enabled=wanted.enabled,
                generation=wanted.generation,
                previous_until_ms=wanted.previous_until_ms,
                created_ms=wanted.created_ms,
                updated_ms=time_ms,
                signs_as=endpoint_id,
            )
        elif callback:
            endpoint = Endpoint(id=endpoint_id, tenant=tenant, callback_id=endpoint_id)
        else:
            return None
        if callback:
            signer = self._wanted.get(signer_id(tenant))
            endpoint = replace(endpoint, signs_as=signs_as)
            if signer is not None:
                endpoint = replace(
                    endpoint,
                    generation=signer[0].generation,
                    previous_until_ms=signer[0].previous_until_ms,
                )
        judged = self._judged.get(endpoint_id)
        if judged is None:
            return endpoint
        verdict, judged_ms = judged
        endpoint = replace(endpoint, verdicts=verdict.number)
        if verdict.verdict != "disabled" or verdict.enabled != endpoint.enabled:
            return endpoint
        return replace(
            endpoint,
            disabled=verdict.reason or "failing",
            disabled_ms=judged_ms,
            failing_since_ms=verdict.failing_since_ms,
        )

    def of(self, tenant: str) -> Iterator[str]:
        """Ids of the tenant's endpoints, deleted ones too."""
        return iter(tuple(self._by_tenant.get(tenant, ())))

    def disabled(self) -> Iterator[tuple[str, str]]:
        """Tenant and id of every endpoint with a standing verdict against it."""
        for endpoint_id, (verdict, _) in tuple(self._judged.items()):
            if verdict.verdict == "disabled":
                yield verdict.tenant, endpoint_id


def signer_id(tenant: str) -> str:
    """The endpoint id under which the secrets of a tenant's callbacks are counted."""
    return f"callbacks-{tenant}"
