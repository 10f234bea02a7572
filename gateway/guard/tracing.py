"""The outermost layer: one trace, one log line and never a bare crash per request.

``traceparent`` comes in or begins here, travels with every event that the request causes and goes
back in the response header. The log line names the path without its query string, because signed
URLs carry their signature there.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.guard.problems import Code, Problem
from gateway.guard.protection import Protection
from gateway.guard.responses import problem_response
from topics import trace

_log = structlog.get_logger("gateway")

# Nor are polls that were told what they knew already: a line each would bury the rest.
_QUIET = frozenset({"/healthz", "/readyz"})  # asked every few seconds by probes


class Tracing:
    """Wraps the whole application."""

    def __init__(self, app: ASGIApp, *, protection: Protection) -> None:
        self._app = app
        self._protection = protection

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = next((v for name, v in scope["headers"] if name == b"traceparent"), b"")
        traceparent = trace.continued(given.decode("latin-1"))
        state: dict[str, Any] = scope.setdefault("state", {})
        state["traceparent"] = traceparent
        began = time.perf_counter()
        status = 0

        async def traced(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                given = message.get("headers", ())
                message["headers"] = [
                    *given,
                    *state.get("answer_headers", ()),
                    *self._protection.headers(scope["path"], given),
                    (b"traceparent", traceparent.encode()),
                ]
            await send(message)

        try:
            await self._app(scope, receive, traced)
        except ClientDisconnect:
            status = 499  # nginx's word for it; nobody is left to read an answer
        except Exception as error:
            _log.exception(
                "request crashed",
                method=scope["method"],
                path=scope["path"],
                trace_id=trace.trace_id(traceparent),
            )
            if status:  # half an answer is out: cutting the connection is the only honest end
                raise
            answer = problem_response(Request(scope), Problem(Code.INTERNAL))
            await answer(scope, receive, traced)
            del error
        finally:
            if scope["path"] not in _QUIET and not state.get("nothing_new"):
                _log.info(
                    "request",
                    method=scope["method"],
                    path=scope["path"],
                    status=status,
                    ms=round((time.perf_counter() - began) * 1000, 1),
                    trace_id=trace.trace_id(traceparent),
                    client_id=state.get("client_id", ""),
                    **_more(state),
                )


def _more(state: Mapping[str, Any]) -> dict[str, Any]:
    """What only some requests have: why a dependency failed, whose credentials were shown."""
    known = {name: state.get(name, "") for name in ("failure", "identity_name")}
    return {name: value for name, value in known.items() if value}
