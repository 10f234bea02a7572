"""Making, changing and asking for webhook endpoints. Every change is an event."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from gateway.guard.callbacks import check_callback
from gateway.guard.clients import Caller
from gateway.guard.idempotency import Attempt
from gateway.guard.problems import Code, Problem
from gateway.identifiers import derive
from gateway.services import Services
from schemas.events import Notified, WebhookEndpointChanged
from schemas.webhooks import TEST, owed
from topics.artifacts.protocol import ArtifactMissing
from topics.webhooks import Endpoint
from topics.webhooks.destinations import find, keep
from topics.webhooks.endpoints import CALLBACK_PREFIX, signer_id
from topics.webhooks.secrets import CALLBACKS

_CALLBACK_ID = re.compile(rf"{CALLBACK_PREFIX}[0-9a-f]{{32}}")

MOST = 100
"""Endpoints of a tenant: each event is looked up against all of them."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a client says about an endpoint; None for what it does not say."""

    url: str | None = None
    types: Sequence[str] | None = None
    description: str | None = None


def find_endpoint(services: Services, caller: Caller, endpoint_id: str) -> Endpoint:
    """An endpoint of the caller's tenant, as of now. Raises 404."""
    services.webhooks.directory.refresh()
    endpoint = services.webhooks.directory.endpoint(caller.tenant, endpoint_id)
    unknown_callback = endpoint_id.startswith(CALLBACK_PREFIX) and not _kept(
        services, caller.tenant, endpoint_id
    )
    if endpoint is None or endpoint.status == "deleted" or unknown_callback:
        raise Problem(
            Code.WEBHOOK_ENDPOINT_NOT_FOUND, f"There is no webhook endpoint '{endpoint_id[:64]}'."
        )
    return endpoint


def endpoints(services: Services, caller: Caller) -> list[Endpoint]:
    """The endpoints that the caller's tenant created, oldest first."""
    services.webhooks.directory.refresh()
    return services.webhooks.directory.of(caller.tenant)


def create(services: Services, caller: Caller, wanted: Wanted, attempt: Attempt) -> Endpoint:
    """Make an endpoint; a second try makes the same. Raises 409 for too many, 422."""
    endpoint_id = derive(attempt.seed, "webhook")
    with services.locks.holding(caller.tenant, "webhook endpoints"):
        known = endpoints(services, caller)
        if any(each.id == endpoint_id for each in known):
            return find_endpoint(services, caller, endpoint_id)
        if len(known) >= MOST:
            raise Problem(Code.TOO_MANY_WEBHOOK_ENDPOINTS, f"There are {len(known)} already.")
        event = WebhookEndpointChanged(
            endpoint_id=endpoint_id,
            tenant=caller.tenant,
            callback_id=keep_url(services, caller.tenant, wanted.url or "", field="url"),
            types=tuple(dict.fromkeys(wanted.types or ())),
            description=wanted.description or "",
            created_ms=services.clock_ms(),
        )
        services.publisher.accept([event], cause=attempt.seed, traceparent=caller.traceparent)
    return find_endpoint(services, caller, endpoint_id)


def change(
    services: Services, caller: Caller, endpoint_id: str, wanted: Wanted, attempt: Attempt
) -> Endpoint:
    """Change what an endpoint is told, and where. Raises 404, 422."""

    def act(event: WebhookEndpointChanged) -> WebhookEndpointChanged:
        if wanted.url is not None:
            callback = keep_url(services, caller.tenant, wanted.url, field="url")
            event = replace(event, callback_id=callback)
        if wanted.types is not None:
            event = replace(event, types=tuple(dict.fromkeys(wanted.types)))
        if wanted.description is not None:
            event = replace(event, description=wanted.description)
        return event

    return _change(services, caller, endpoint_id, act, attempt)


def pause(services: Services, caller: Caller, endpoint_id: str, attempt: Attempt) -> Endpoint:
    """Hold deliveries back until `resume`. Raises 404."""
    return _change(
        services, caller, endpoint_id, lambda event: replace(event, state="paused"), attempt
    )


def resume(services: Services, caller: Caller, endpoint_id: str, attempt: Attempt) -> Endpoint:
    """Deliver again, also after it was disabled. Raises 404."""
    return _change(
        services,
        caller,
        endpoint_id,
        lambda event: replace(event, state="active", enabled=event.enabled + 1),
        attempt,
    )


def delete(services: Services, caller: Caller, endpoint_id: str, attempt: Attempt) -> None:
    """Deliver nothing any more; what is still owed is dropped. Raises 404."""
    find_endpoint(services, caller, endpoint_id)
    _change(services, caller, endpoint_id, lambda event: replace(event, state="deleted"), attempt)


def rotate(
    services: Services, caller: Caller, endpoint_id: str, overlap_ms: int, attempt: Attempt
) -> Endpoint:
    """A new secret; the one before signs beside it for a while. Raises 404."""
    now_ms = services.clock_ms()

    def act(event: WebhookEndpointChanged) -> WebhookEndpointChanged:
        before = (now_ms + overlap_ms, *event.previous_until_ms)
        while before and before[-1] <= now_ms:
            before = before[:-1]
        return replace(event, generation=event.generation + 1, previous_until_ms=before)

    return _change(services, caller, endpoint_id, act, attempt)


def secret_of(services: Services, endpoint: Endpoint) -> str:
    """The newest secret of an endpoint."""
    owner = CALLBACKS if endpoint.id == signer_id(endpoint.tenant) else endpoint.signs_as
    return services.webhooks.keys.secret(endpoint.tenant, owner, endpoint.generation)


def url_of(services: Services, endpoint: Endpoint) -> str:
    """Where an endpoint is."""
    return find(services.artifacts, endpoint.tenant, endpoint.callback_id)


def kept_url(services: Services, caller: Caller, callback_id: str) -> str:
    """The URL that was kept under an id."""
    return find(services.artifacts, caller.tenant, callback_id)


def send_test(services: Services, caller: Caller, endpoint_id: str, attempt: Attempt) -> str:
    """Send a message to an endpoint now; its webhook-id. Raises 404."""
    endpoint = find_endpoint(services, caller, endpoint_id)
    told = Notified(
        notification_id=derive(attempt.seed, "message"),
        track_id="",
        job_id="",
        tenant=caller.tenant,
        type=TEST,
        occurred_ms=services.clock_ms(),
        callback_id="",
    )
    services.publisher.accept(
        [owed(told, endpoint.id, services.clock_ms())],
        cause=attempt.seed,
        traceparent=caller.traceparent,
    )
    return told.notification_id


def keep_url(services: Services, tenant: str, url: str, *, field: str) -> str:
    """Check and keep where to call; its id, the same for the same URL. Raises 422."""
    checked = check_callback(url, http_allowed=services.settings.callback_http_allowed, field=field)
    callback_id = services.webhooks.keys.destination_id(tenant, checked)
    keep(services.artifacts, tenant, callback_id, checked)
    return callback_id


def _kept(services: Services, tenant: str, callback_id: str) -> bool:
    if not _CALLBACK_ID.fullmatch(callback_id):
        return False
    try:
        find(services.artifacts, tenant, callback_id)
    except ArtifactMissing:
        return False
    return True


def _change(
    services: Services,
    caller: Caller,
    endpoint_id: str,
    act: Callable[[WebhookEndpointChanged], WebhookEndpointChanged],
    attempt: Attempt,
) -> Endpoint:
    own_signer = endpoint_id == CALLBACKS
    with services.locks.holding(caller.tenant, endpoint_id):
        if own_signer:
            services.webhooks.directory.refresh()
            endpoint = services.webhooks.directory.signer(caller.tenant)
        else:
            endpoint = find_endpoint(services, caller, endpoint_id)
        event = act(
            WebhookEndpointChanged(
                endpoint_id=endpoint.id,
                tenant=endpoint.tenant,
                callback_id=endpoint.callback_id,
                types=endpoint.types,
                description=endpoint.description,
                state=endpoint.state,
                revision=endpoint.revision + 1,
                enabled=endpoint.enabled,
                generation=endpoint.generation,
                previous_until_ms=endpoint.previous_until_ms,
                created_ms=endpoint.created_ms or services.clock_ms(),
            )
        )
        services.publisher.accept([event], cause=attempt.seed, traceparent=caller.traceparent)
        services.webhooks.directory.refresh()
    directory = services.webhooks.directory
    if own_signer:
        return directory.signer(caller.tenant)
    changed = directory.endpoint(caller.tenant, endpoint.id)
    assert changed is not None
    return changed
