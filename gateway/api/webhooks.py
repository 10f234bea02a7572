"""Webhook endpoints: who is told of what, how it went, and sending it again."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import JSONResponse, Response

from gateway.api.dependencies import ServicesDep, once
from gateway.api.webhook_views import (
    AttemptPage,
    DeliveryPage,
    EndpointChange,
    EndpointPage,
    EndpointView,
    EventTypes,
    NewEndpoint,
    Recovered,
    Recovery,
    Rotation,
    SecretView,
    Sent,
    attempt_view,
    delivery_view,
    endpoint_view,
)
from gateway.guard.clients import Caller, CallerDep
from gateway.guard.idempotency import Attempt, IdempotencyKey
from gateway.guard.problems import Code
from gateway.guard.responses import documented
from gateway.projection import cursors
from gateway.projection.reservations import Answer
from gateway.projection.store import BadCursor
from gateway.services import Services
from gateway.webhooks import endpoints as desk
from gateway.webhooks.endpoints import Wanted
from gateway.webhooks.history import Entry
from gateway.webhooks.redelivery import recover, redeliver
from schemas.webhooks import TYPES
from topics.webhooks import Endpoint
from topics.webhooks.secrets import CALLBACKS

EndpointId = Annotated[
    str,
    Path(
        max_length=100,
        description="An endpoint's id; a job's callback has one as well, which attempts name.",
        examples=["whk_2b1c8f7e0a4d5b6c9e3f1a2b4c5d6e7f"],
    ),
]

router = APIRouter(tags=["webhooks"])
_FOUND = documented(Code.WEBHOOK_ENDPOINT_NOT_FOUND)
_CHANGED = documented(Code.WEBHOOK_ENDPOINT_NOT_FOUND, Code.IDEMPOTENCY_IN_FLIGHT)


@router.get("/webhooks/event-types", response_model=EventTypes, responses=documented())
def event_types(caller: CallerDep) -> EventTypes:
    """The event types, and what each says."""
    return EventTypes(types=dict(TYPES))


@router.post(
    "/webhook-endpoints",
    status_code=201,
    response_model=EndpointView,
    response_model_exclude_none=True,
    summary="Make an endpoint",
    responses=documented(
        Code.CALLBACK_REFUSED, Code.TOO_MANY_WEBHOOK_ENDPOINTS, Code.IDEMPOTENCY_IN_FLIGHT
    ),
)
def create(
    body: NewEndpoint,
    request: Request,
    services: ServicesDep,
    caller: CallerDep,
    idempotency_key: IdempotencyKey = None,
) -> JSONResponse:
    """The answer holds the secret that its messages are signed with."""

    def work(attempt: Attempt) -> Answer:
        wanted = Wanted(body.url, body.types, body.description)
        made = desk.create(services, caller, wanted, attempt)
        return Answer(
            201,
            _to_keep(services, made),
            {"Location": f"/v1/webhook-endpoints/{made.id}"},
        )

    present = _with_secret(services, caller)
    return once(request, services, caller, idempotency_key, body, work, present)


@router.get(
    "/webhook-endpoints",
    response_model=EndpointPage,
    response_model_exclude_none=True,
    summary="List endpoints",
    responses=documented(),
)
def listing(
    services: ServicesDep,
    caller: CallerDep,
    cursor: Annotated[str | None, Query(max_length=500)] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 100,
) -> EndpointPage:
    """Oldest first; a tenant has a hundred at most, so one page holds them all."""
    after = cursors.unpack(cursor) if cursor is not None else None
    found = desk.endpoints(services, caller)
    left = [each for each in found if after is None or _place(each) > after]
    shown = left[:limit]
    return EndpointPage(
        endpoints=[endpoint_view(services, each) for each in shown],
        cursor=cursors.pack(*_place(shown[-1])) if len(left) > limit else None,
    )


def _place(endpoint: Endpoint) -> tuple[int, str]:
    return endpoint.created_ms, endpoint.id


@router.get(
    "/webhook-endpoints/{endpoint_id}",
    response_model=EndpointView,
    response_model_exclude_none=True,
    summary="See an endpoint",
    responses=_FOUND,
)
def one(endpoint_id: EndpointId, services: ServicesDep, caller: CallerDep) -> EndpointView:
    """What it is told, and whether it is called."""
    return endpoint_view(services, desk.find_endpoint(services, caller, endpoint_id))


@router.patch(
    "/webhook-endpoints/{endpoint_id}",
    response_model=EndpointView,
    response_model_exclude_none=True,
    summary="Change an endpoint",
    responses=documented(Code.WEBHOOK_ENDPOINT_NOT_FOUND, Code.CALLBACK_REFUSED),
)
def change(
    endpoint_id: EndpointId, body: EndpointChange, services: ServicesDep, caller: CallerDep
) -> EndpointView:
    """What is already owed goes to the new URL as well."""
    wanted = Wanted(body.url, body.types, body.description)
    attempt = Attempt(services.new_seed())
    return endpoint_view(services, desk.change(services, caller, endpoint_id, wanted, attempt))


@router.delete(
    "/webhook-endpoints/{endpoint_id}",
    status_code=204,
    summary="Delete an endpoint",
    responses=_FOUND,
)
def delete(endpoint_id: EndpointId, services: ServicesDep, caller: CallerDep) -> Response:
    """What is still owed to it is dropped."""
    desk.delete(services, caller, endpoint_id, Attempt(services.new_seed()))
    return Response(status_code=204)


def _acting(
    path: str,
    summary: str,
    doc: str,
    act: Callable[[Services, Caller, str, Attempt], Endpoint],
) -> None:
    def route(
        endpoint_id: EndpointId,
        request: Request,
        services: ServicesDep,
        caller: CallerDep,
        idempotency_key: IdempotencyKey = None,
    ) -> JSONResponse:
        def work(attempt: Attempt) -> Answer:
            return Answer(200, _to_keep(services, act(services, caller, endpoint_id, attempt)))

        def present(answer: Answer) -> Answer:
            return _with_url(services, caller, answer)

        return once(request, services, caller, idempotency_key, None, work, present)

    route.__doc__ = doc
    route.__name__ = path
    router.post(
        f"/webhook-endpoints/{{endpoint_id}}/{path}",
        response_model=EndpointView,
        response_model_exclude_none=True,
        summary=summary,
        responses=_CHANGED,
    )(route)


_acting("pause", "Pause an endpoint", "What comes meanwhile is kept for it.", desk.pause)
_acting(
    "resume",
    "Resume an endpoint",
    "Call it again, after a pause or after it was disabled; what it was owed follows.",
    desk.resume,
)


@router.post(
    "/webhook-endpoints/{endpoint_id}/rotate-secret",
    response_model=SecretView,
    summary="Rotate the secret",
    responses=_CHANGED,
)
def rotate(
    endpoint_id: EndpointId,
    request: Request,
    services: ServicesDep,
    caller: CallerDep,
    body: Rotation | None = None,
    idempotency_key: IdempotencyKey = None,
) -> JSONResponse:
    """Messages carry both signatures while the secrets overlap. ``callbacks`` in place of an id
    rotates the secret of every callbackUrl.
    """
    overlap_ms = 1000 * (body or Rotation()).overlap_seconds

    def work(attempt: Attempt) -> Answer:
        changed = desk.rotate(services, caller, endpoint_id, overlap_ms, attempt)
        return Answer(200, {"secretNumber": changed.generation})

    def present(answer: Answer) -> Answer:
        owner = endpoint_id if endpoint_id == CALLBACKS else None
        endpoint = _signer(services, caller, owner or endpoint_id)
        secret = desk.secret_of(services, endpoint)
        return Answer(answer.status, {**answer.body, "secret": secret}, _NOT_KEPT)

    return once(request, services, caller, idempotency_key, body, work, present)


@router.get(
    "/webhook-endpoints/{endpoint_id}/secret",
    response_model=SecretView,
    summary="Read the secret",
    responses=_FOUND,
)
def secret(
    endpoint_id: EndpointId, services: ServicesDep, caller: CallerDep, response: Response
) -> SecretView:
    """The newest. ``callbacks`` in place of an id: the one that signs every callbackUrl."""
    endpoint = _signer(services, caller, endpoint_id)
    response.headers.update(_NOT_KEPT)
    return SecretView(secret=desk.secret_of(services, endpoint), secret_number=endpoint.generation)


@router.post(
    "/webhook-endpoints/{endpoint_id}/test",
    status_code=202,
    response_model=Sent,
    summary="Send a test message",
    responses=_CHANGED,
)
def trial(
    endpoint_id: EndpointId,
    request: Request,
    services: ServicesDep,
    caller: CallerDep,
    idempotency_key: IdempotencyKey = None,
) -> JSONResponse:
    """A `webhook.test`, retried like any other; GET …/attempts shows how it went."""

    def work(attempt: Attempt) -> Answer:
        return Answer(202, {"messageId": desk.send_test(services, caller, endpoint_id, attempt)})

    return once(request, services, caller, idempotency_key, None, work)


@router.get(
    "/webhook-endpoints/{endpoint_id}/attempts",
    response_model=AttemptPage,
    response_model_exclude_none=True,
    summary="List attempts",
    responses=_FOUND,
)
def attempts(
    endpoint_id: EndpointId,
    services: ServicesDep,
    caller: CallerDep,
    message_id: Annotated[str | None, Query(alias="messageId", max_length=200)] = None,
    cursor: Annotated[str | None, Query(max_length=500)] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> AttemptPage:
    """Newest first, of the last 30 days; with messageId those of one message."""
    endpoint = desk.find_endpoint(services, caller, endpoint_id)
    services.webhooks.history.refresh()
    found = services.webhooks.history.attempts(
        caller.tenant,
        endpoint.id,
        notification_id=message_id,
        before=_unpack(cursor),
        limit=limit + 1,
    )
    return AttemptPage(
        attempts=[attempt_view(each) for each in found[:limit]], cursor=_pack(found, limit)
    )


@router.get(
    "/webhook-endpoints/{endpoint_id}/deliveries",
    response_model=DeliveryPage,
    response_model_exclude_none=True,
    summary="List deliveries",
    responses=_FOUND,
)
def deliveries(
    endpoint_id: EndpointId,
    services: ServicesDep,
    caller: CallerDep,
    outcome: Literal["owed", "failed", "exhausted", "dropped", "delivered"] | None = None,
    since: datetime | None = None,
    cursor: Annotated[str | None, Query(max_length=500)] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> DeliveryPage:
    """How each message stands, newest first; `exhausted` are those whose retries are spent."""
    endpoint = desk.find_endpoint(services, caller, endpoint_id)
    services.webhooks.history.refresh()
    found = services.webhooks.history.deliveries(
        caller.tenant,
        endpoint.id,
        outcome=outcome,
        since_ms=_ms(since) if since else 0,
        before=_unpack(cursor),
        limit=limit + 1,
    )
    shown = [delivery_view(each) for each in found[:limit]]
    return DeliveryPage(deliveries=shown, cursor=_pack(found, limit))


@router.post(
    "/webhook-endpoints/{endpoint_id}/deliveries/{message_id}/redeliver",
    status_code=202,
    response_model=Sent,
    summary="Send one message again",
    responses=documented(
        Code.WEBHOOK_ENDPOINT_NOT_FOUND,
        Code.WEBHOOK_MESSAGE_NOT_FOUND,
        Code.IDEMPOTENCY_IN_FLIGHT,
    ),
)
def again(
    endpoint_id: EndpointId,
    message_id: Annotated[str, Path(max_length=200)],
    request: Request,
    services: ServicesDep,
    caller: CallerDep,
    idempotency_key: IdempotencyKey = None,
) -> JSONResponse:
    """At once and under its old webhook-id, whether it was delivered or not."""

    def work(attempt: Attempt) -> Answer:
        event = redeliver(services, caller, endpoint_id, message_id, attempt)
        return Answer(202, {"messageId": event.notification_id})

    return once(request, services, caller, idempotency_key, None, work)


@router.post(
    "/webhook-endpoints/{endpoint_id}/recover",
    status_code=202,
    response_model=Recovered,
    summary="Send again what failed or was missed",
    responses=_CHANGED,
)
def recovery(
    endpoint_id: EndpointId,
    body: Recovery,
    request: Request,
    services: ServicesDep,
    caller: CallerDep,
    idempotency_key: IdempotencyKey = None,
) -> JSONResponse:
    """Each under its old webhook-id."""

    def work(attempt: Attempt) -> Answer:
        count, more = recover(services, caller, endpoint_id, _ms(body.since), body.what, attempt)
        return Answer(202, {"count": count, "more": more})

    return once(request, services, caller, idempotency_key, body, work)


_NOT_KEPT = {"Cache-Control": "no-store"}


def _signer(services: Services, caller: Caller, endpoint_id: str) -> Endpoint:
    if endpoint_id != CALLBACKS:
        return desk.find_endpoint(services, caller, endpoint_id)
    services.webhooks.directory.refresh()
    return services.webhooks.directory.signer(caller.tenant)


def _to_keep(services: Services, endpoint: Endpoint) -> dict[str, object]:
    """An answer as it is kept with an Idempotency-Key: where the URL is, which holds a token."""
    return endpoint_view(services, endpoint).wire() | {"url": endpoint.callback_id}


def _with_url(services: Services, caller: Caller, answer: Answer) -> Answer:
    """The kept answer as it was first given."""
    url = desk.kept_url(services, caller, str(answer.body["url"]))
    return Answer(answer.status, {**answer.body, "url": url}, answer.headers)


def _with_secret(services: Services, caller: Caller) -> Callable[[Answer], Answer]:
    """Secrets are shown, never kept with an Idempotency-Key."""

    def present(answer: Answer) -> Answer:
        answer = _with_url(services, caller, answer)
        endpoint = services.webhooks.directory.endpoint(caller.tenant, answer.body["id"])
        if endpoint is None:
            return answer
        shown = {**answer.body, "secret": desk.secret_of(services, endpoint)}
        return Answer(answer.status, shown, {**answer.headers, **_NOT_KEPT})

    return present


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


def _pack(found: Sequence[Entry], limit: int) -> str | None:
    if len(found) <= limit:
        return None
    return base64.urlsafe_b64encode(json.dumps(found[limit - 1].place).encode()).decode()


def _unpack(cursor: str | None) -> tuple[int, str, str] | None:
    if cursor is None:
        return None
    try:
        at_ms, last, rank = json.loads(base64.urlsafe_b64decode(cursor.encode()))
        if isinstance(at_ms, int) and abs(at_ms) < 2**62:
            return at_ms, str(last), str(rank)
    except (ValueError, binascii.Error, TypeError, UnicodeError):
        pass
    raise BadCursor("this cursor was not given out here; begin again without one")
