"""Problems as responses: for our refusals, for the framework's, and in the API description."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from gateway.guard.problems import MEDIA_TYPE, Code, Problem, body
from gateway.projection.store import BadCursor, StoreError
from topics.artifacts.protocol import ArtifactError, StoreFull
from topics.log import LogError
from topics.trace import trace_id

RETRY_AFTER_S = 2
"""What a 503 asks for: an embedded log's longest lock wait is below it."""

_FRAMEWORK = {
    400: Code.MALFORMED_REQUEST,
    404: Code.NOT_FOUND,
    405: Code.METHOD_NOT_ALLOWED,
    413: Code.BODY_TOO_LARGE,
    415: Code.MEDIA_TYPE_UNSUPPORTED,
}
_KEPT_HEADERS = ("allow", "retry-after")


def problem_response(request: Request, problem: Problem) -> JSONResponse:
    """The response of a problem."""
    # state is missing when a request is refused before anything else ran
    traceparent = request.scope.get("state", {}).get("traceparent", "")
    base_url = request.app.state.services.settings.public_base_url.rstrip("/")
    members = body(
        problem,
        instance=request.scope["path"],
        trace_id=trace_id(traceparent),
        base_url=base_url,
    )
    headers = {"Cache-Control": "no-store"} | problem.headers
    return JSONResponse(members, problem.code.status, headers, MEDIA_TYPE)


def install(app: FastAPI) -> None:
    """Make every refusal of ``app``, the framework's own included, a problem."""

    @app.exception_handler(Problem)
    def ours(request: Request, problem: Problem) -> JSONResponse:
        return problem_response(request, problem)

    @app.exception_handler(RequestValidationError)
    def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        return problem_response(request, of_validation(error))

    @app.exception_handler(HTTPException)
    def framework(request: Request, error: HTTPException) -> JSONResponse:
        return problem_response(request, of_framework(request, error))

    @app.exception_handler(StoreFull)
    def full(request: Request, error: StoreFull) -> JSONResponse:
        return problem_response(request, Problem(Code.STORE_FULL))

    @app.exception_handler(BadCursor)
    def lost(request: Request, error: BadCursor) -> JSONResponse:
        return problem_response(request, _unknown_cursor())

    @app.exception_handler(ArtifactError)
    @app.exception_handler(LogError)
    @app.exception_handler(StoreError)
    def unavailable(request: Request, error: Exception) -> JSONResponse:
        request.state.failure = repr(error)  # for the log line; it may name paths
        return problem_response(request, out_of_service())


def out_of_service() -> Problem:
    """What a client gets while the log, the store or the projection does not answer."""
    return Problem(Code.UNAVAILABLE, headers={"Retry-After": str(RETRY_AFTER_S)})


def _unknown_cursor() -> Problem:
    """The refusal of a cursor that no list gave out."""
    return Problem(
        Code.VALIDATION_FAILED,
        "cursor is none that this list gave out.",
        errors=[{"parameter": "cursor", "message": "unknown"}],
    )


def of_validation(error: RequestValidationError) -> Problem:
    """Field errors, without the values that were sent (they may be secrets)."""
    found = error.errors()
    if any(item["type"] == "json_invalid" for item in found):
        at = next(item["loc"][-1] for item in found if item["type"] == "json_invalid")
        return Problem(Code.MALFORMED_JSON, f"The body stops being JSON at character {at}.")
    errors = [_field_error(item) for item in found]
    first = errors[0]
    where = first.get("pointer") or first.get("parameter") or first.get("header")
    more = f" ({len(errors) - 1} more)" if len(errors) > 1 else ""
    return Problem(
        Code.VALIDATION_FAILED, f"{where}: {first['message']}{more}.", errors=errors[:100]
    )


def of_framework(request: Request, error: HTTPException) -> Problem:
    """The framework's own refusals: no route, wrong method, a body that cannot be read."""
    headers = {
        name: value
        for name, value in (error.headers or {}).items()
        if name.lower() in _KEPT_HEADERS
    }
    code = _FRAMEWORK.get(error.status_code)
    if code is None:
        code = Code.INTERNAL if error.status_code >= 500 else Code.MALFORMED_REQUEST
    if code is Code.MALFORMED_REQUEST:
        # json.loads gives up on documents nested deeper than Python's stack
        detail = "The body cannot be read: it is not UTF-8 or nested too deeply."
        return Problem(Code.MALFORMED_JSON, detail, headers=headers)
    if code is Code.METHOD_NOT_ALLOWED:
        return Problem(code, f"{request.method} is not possible here.", headers=headers)
    return Problem(code, headers=headers)


SHARED = (
    Code.CLIENT_ID_MISSING,
    Code.CLIENT_ID_INVALID,
    Code.CREDENTIALS_MISSING,
    Code.CREDENTIALS_INVALID,
    Code.SCOPE_MISSING,
    Code.TENANT_REFUSED,
    Code.VALIDATION_FAILED,
    Code.RATE_LIMITED,
    Code.UNAVAILABLE,
)
"""What every client route may answer."""


def documented(*codes: Code, shared: tuple[Code, ...] = SHARED) -> dict[int | str, dict[str, Any]]:
    """The ``responses`` of a route: these problems and the shared ones."""
    by_status: dict[int | str, dict[str, Any]] = {}
    for code in dict.fromkeys((*codes, *shared)):
        by_status.setdefault(code.status, {})[code.word] = {
            "summary": code.title,
            "value": body(
                Problem(code),
                instance="/v1/…",
                trace_id="4bf92f3577b34da6a3ce929d0e0e4736",  # the W3C specification's example
            ),
        }
    return {
        status: {
            "description": "; ".join(example["summary"] for example in examples.values()),
            "content": {
                MEDIA_TYPE: {
                    "schema": {"$ref": "#/components/schemas/Problem"},
                    "examples": examples,
                }
            },
        }
        for status, examples in sorted(by_status.items(), key=lambda item: str(item[0]))
    }


def document(operation: dict[str, Any], codes: Iterable[Code]) -> None:
    """Add problems to an operation of the description, beside those that its route names."""
    answers = operation["responses"]
    for status, more in documented(*codes, shared=()).items():
        known = answers.setdefault(str(status), {"description": "", "content": {}})
        content = known.setdefault("content", {}).setdefault(
            MEDIA_TYPE, {"schema": {"$ref": "#/components/schemas/Problem"}, "examples": {}}
        )
        new = {
            word: example
            for word, example in more["content"][MEDIA_TYPE]["examples"].items()
            if word not in content.setdefault("examples", {})
        }
        content["examples"] |= new
        told = [known["description"], *(example["summary"] for example in new.values())]
        known["description"] = "; ".join(filter(None, told))
    operation["responses"] = dict(sorted(answers.items()))


PROBLEM_SCHEMA: dict[str, Any] = {
    "title": "Problem",
    "description": "RFC 9457 problem details. Further members depend on the code.",
    "type": "object",
    "required": ["type", "title", "status", "detail", "instance", "code", "help", "traceId"],
    "properties": {
        "type": {"type": "string", "format": "uri-reference"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "What happened, to what."},
        "instance": {"type": "string", "description": "The path that was asked for."},
        "code": {"type": "string", "enum": [code.word for code in Code]},
        "help": {"type": "string", "description": "What to do about it."},
        "traceId": {"type": "string", "description": "Quote it to the operators."},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["message"],
                "properties": {
                    "pointer": {"type": "string", "description": "JSON Pointer into the body."},
                    "parameter": {"type": "string"},
                    "header": {"type": "string"},
                    "message": {"type": "string"},
                },
            },
        },
    },
    "additionalProperties": True,
}


def _field_error(item: Mapping[str, Any]) -> dict[str, str]:
    place, *path = (str(part) for part in item["loc"])
    message = item["msg"].removeprefix("Value error, ")
    if place == "body":
        pointer = "".join(f"/{part.replace('~', '~0').replace('/', '~1')}" for part in path)
        return {"pointer": f"#{pointer}", "message": message}
    kind = "header" if place == "header" else "parameter"
    return {kind: path[-1] if path else place, "message": message}
