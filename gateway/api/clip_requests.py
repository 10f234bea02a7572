"""What the requests of music clips have in common: refusals in the first service's own body, a
requestId each, the language, the tenant.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Coroutine
from typing import Annotated, Any

from fastapi import Depends, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from gateway.access.identity import ANYBODY, Identity
from gateway.clips.refusals import Refusal
from gateway.clips.texts import Language, language_of
from gateway.guard.problems import Problem
from gateway.guard.responses import of_framework, of_validation, out_of_service
from gateway.projection.store import StoreError
from gateway.services import Services
from topics.artifacts.protocol import ArtifactError
from topics.log import LogError
from topics.outbound.provider import ProviderSettings
from topics.trace import trace_id


class OwnErrors(APIRoute):
    """Every refusal in the document's own body, with requestId and traceId."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The route's handler within."""
        inner = super().get_route_handler()

        async def handler(request: Request) -> Response:
            request.state.request_id = ""
            try:
                return await inner(request)
            except Refusal as refusal:
                return _refused(request, refusal)
            except Problem as problem:
                return _refused(request, _of_problem(problem))
            except RequestValidationError as error:
                return _refused(request, _of_problem(of_validation(error)))
            except HTTPException as error:
                return _refused(request, _of_problem(of_framework(request, error)))
            except (StoreError, ArtifactError, LogError) as error:
                request.state.failure = repr(error)  # for the log line; it may name paths
                return _refused(request, _of_problem(out_of_service()))

        return handler


def _of_problem(problem: Problem) -> Refusal:
    code = problem.code
    text = problem.detail or f"{code.title}. {code.advice}"
    return Refusal(code.status, code.name, text, headers=problem.headers)


def _refused(request: Request, refusal: Refusal) -> JSONResponse:
    body = refusal.body(request_id_of(request), trace_id(request.state.traceparent))
    return JSONResponse(body, refusal.status, {"Cache-Control": "no-store"} | refusal.headers)


def request_id_of(request: Request) -> str:
    """``req_{ms}_{random}``, one a request."""
    if not getattr(request.state, "request_id", ""):
        services: Services = request.app.state.services
        request.state.request_id = f"req_{services.clock_ms()}_{secrets.token_hex(3)}"
    return str(request.state.request_id)


async def _json(request: Request) -> dict[str, Any]:
    """The body, {} for none. Raises `Refusal`."""
    raw = await request.body()
    if not raw.strip():
        return {}
    try:
        said = json.loads(raw)
        json.dumps(said, allow_nan=False).encode()
    except (ValueError, RecursionError):
        raise Refusal(400, "MALFORMED_JSON", "The body is not JSON.") from None
    if not isinstance(said, dict):
        raise Refusal(400, "MALFORMED_JSON", "The body is not a JSON object.")
    return said


def _language(request: Request) -> Language:
    return language_of(request.headers.get("accept-language", ""))


def minutes_of(request: Request) -> float:
    """What jobs have."""
    provider: ProviderSettings = request.app.state.provider
    return provider.suno_job_seconds / 60


def _tenant(request: Request) -> str:
    identity: Identity = getattr(request.state, "identity", ANYBODY)
    return identity.tenant


BodyDep = Annotated[dict[str, Any], Depends(_json)]
LanguageDep = Annotated[Language, Depends(_language)]
TenantDep = Annotated[str, Depends(_tenant)]
