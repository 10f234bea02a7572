"""What routes ask the framework for, and how an accepted request is answered once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated

from fastapi import Depends, Request
from pydantic import BaseModel, ConfigDict, model_validator
from pydantic.alias_generators import to_camel
from starlette.responses import JSONResponse

from gateway.guard import idempotency
from gateway.guard.clients import Caller
from gateway.projection.reservations import Answer
from gateway.services import Services

RETRY_AFTER_S = 2
"""How soon to look at an accepted job again: the shortest step takes about as long."""


class Wire(BaseModel):
    """A body of the API: camelCase, closed, finite numbers only."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="forbid", allow_inf_nan=False
    )

    @model_validator(mode="before")
    @classmethod
    def _is_text(cls, value: object) -> object:
        # JSON can escape half a surrogate pair and NUL; neither can be stored as text.
        if not _is_clean(value):
            raise ValueError("text holds NUL or half a surrogate pair")
        return value

    def wire(self) -> dict[str, object]:
        """The JSON object, without members that are null."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


def _is_clean(value: object) -> bool:
    """True when every string in a JSON value can be written as UTF-8 and holds no NUL."""
    pending = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, str):
            if "\0" in item or any("\ud800" <= char <= "\udfff" for char in item):
                return False
        elif isinstance(item, dict):
            pending += [*item.keys(), *item.values()]
        elif isinstance(item, list):
            pending += item
    return True


def _services(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


ServicesDep = Annotated[Services, Depends(_services)]


def once(
    request: Request,
    services: Services,
    caller: Caller,
    key: str | None,
    body: BaseModel | None,
    work: Callable[[idempotency.Attempt], Answer],
    present: Callable[[Answer], Answer] = lambda answer: answer,
) -> JSONResponse:
    """Do ``work`` under the request's Idempotency-Key and answer.

    ``present`` adds to each answer what must not be kept, such as fresh signed URLs.
    """
    text = body.model_dump_json() if body is not None else ""
    query = "&".join(
        f"{name}={value}"
        for name, value in sorted(request.query_params.multi_items())
        if name != "clientId"
    )
    answer, replayed = idempotency.once(
        services.reservations,
        caller.tenant,
        key,
        idempotency.fingerprint(request.method, f"{request.url.path}?{query}", text),
        work,
        new_seed=services.new_seed,
        clock_ms=services.clock_ms,
    )
    shown = present(answer)
    headers = dict(shown.headers)
    if replayed:
        headers["Idempotency-Replayed"] = "true"
    return JSONResponse(shown.body, shown.status, headers)


def accepted_job(job_id: str, **members: object) -> Answer:
    """The 202 of long work: where to look and how soon."""
    return Answer(
        status=202,
        body={"jobId": job_id, **members},
        headers={"Location": f"/v1/jobs/{job_id}", "Retry-After": str(RETRY_AFTER_S)},
    )


def instant(ms: int | None) -> str | None:
    """Unix milliseconds as RFC 3339."""
    if ms is None:
        return None
    moment = datetime.fromtimestamp(ms / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
