"""The OpenAPI description: what the framework writes, with our problems in it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, TypedDict

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from gateway.access.scopes import is_public, scope_of
from gateway.api.examples import EXAMPLES
from gateway.api.outgoing import WEBHOOK_SCHEMAS, webhooks_section
from gateway.guard.problems import MEDIA_TYPE, Code
from gateway.guard.responses import PROBLEM_SCHEMA, SHARED, document


class About(TypedDict):
    """What the API says of itself."""

    title: str
    version: str
    summary: str
    description: str
    openapi_tags: list[dict[str, Any]]


ABOUT: Final = About(
    title="Melisma",
    version="1",
    summary="An uploaded song becomes published, versioned karaoke.",
    description=(
        "Upload a song in parts, import it, poll `ready` (or follow the events), sing.\n\n"
        "Every request carries `X-Client-Id`, and with ACCESS=on `Authorization: Bearer`."
        " Errors are problem details (RFC 9457) with a stable"
        " `code`, what to do in `help`, and a `traceId` for support. `Idempotency-Key` makes every"
        " POST safe to repeat."
    ),
    openapi_tags=[
        {"name": "uploads", "description": "Songs on their way in."},
        {"name": "tracks", "description": "Karaoke tracks, their lyrics and versions."},
        {"name": "jobs", "description": "The work on them."},
        {"name": "mastering", "description": "Songs and albums, mastered and explained."},
        {"name": "extraction", "description": "Features of sound and video files."},
        {"name": "webhooks", "description": "Who is told of what, and what became of it."},
        {"name": "schemas", "description": "JSON Schemas of documents."},
        {"name": "problems", "description": "What errors mean."},
        {"name": "health", "description": "For probes."},
    ],
)


def install(app: FastAPI) -> None:
    """Add the problem schema, and take out the validation answer that this API never gives."""

    def describe() -> dict[str, Any]:
        if app.openapi_schema is None:
            schema = get_openapi(
                title=app.title,
                version=app.version,
                summary=app.summary,
                description=app.description,
                openapi_version="3.1.0",
                tags=app.openapi_tags,
                routes=app.routes,
            )
            schemas = schema.setdefault("components", {}).setdefault("schemas", {})
            schemas["Problem"] = PROBLEM_SCHEMA
            for name, example in EXAMPLES.items():
                schemas[name]["examples"] = [example]
            for name in ("HTTPValidationError", "ValidationError"):
                schemas.pop(name, None)
            for operation in _operations(schema):
                answer = operation["responses"].get("422", {})
                if "application/json" in answer.get("content", {}):  # the framework's own
                    del operation["responses"]["422"]
            for path, method, operation in _addressed(schema):
                _complete(path, method, operation)
            _share_examples(schema)
            schema["webhooks"] = webhooks_section()
            schemas |= WEBHOOK_SCHEMAS
            schemas_of_security = schema["components"].setdefault("securitySchemes", {})
            schemas_of_security |= _SECURITY
            app.openapi_schema = schema
        return app.openapi_schema

    app.openapi = describe  # type: ignore[method-assign]


_SECURITY: Final[dict[str, Any]] = {
    "key": {
        "type": "http",
        "scheme": "bearer",
        "description": "An API key (`melisma keys create`), with ACCESS=on.",
    },
    "token": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "A token of the identity provider that OIDC_ISSUER names, with its scopes"
        " in `scope` and the tenant in a claim.",
    },
}

_OF_BODIES = (
    *(Code.MALFORMED_JSON, Code.REQUEST_TOO_SLOW, Code.BODY_TOO_LARGE, Code.MEDIA_TYPE_UNSUPPORTED),
    Code.VALIDATION_FAILED,
)
_OF_THE_DOOR = (
    *(Code.CREDENTIALS_MISSING, Code.CREDENTIALS_INVALID, Code.SCOPE_MISSING, Code.TENANT_REFUSED),
    *(Code.RATE_LIMITED, Code.UNAVAILABLE, Code.REQUEST_TOO_SLOW, Code.BODY_TOO_LARGE),
    Code.MEDIA_TYPE_UNSUPPORTED,
)
_CLIP_REFUSAL: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["error", "message"],
    "properties": {
        "success": {"type": "boolean"},
        "error": {"type": "string"},
        "message": {"type": "string"},
        "requestId": {"type": "string"},
        "traceId": {"type": "string"},
    },
}
_OF_KEYS = (
    *(Code.IDEMPOTENCY_KEY_INVALID, Code.IDEMPOTENCY_IN_FLIGHT, Code.IDEMPOTENCY_KEY_REUSED),
)


def _complete(path: str, method: str, operation: dict[str, Any]) -> None:
    """What follows from what an operation is, and no route has to say: its scope and refusals."""
    scope = None if is_public(path) else scope_of(method.upper(), path)
    if scope is not None:
        operation["security"] = [{"key": [scope]}, {"token": [scope]}]
    if path.startswith("/api/"):
        _in_words_of_its_own(operation, scope is not None)
        return
    if scope is not None:
        document(operation, SHARED)
    if "requestBody" in operation or method in ("post", "patch"):
        document(operation, _OF_BODIES)
    headers = {each["name"] for each in operation.get("parameters", ()) if each["in"] == "header"}
    if "Idempotency-Key" in headers:
        document(operation, _OF_KEYS)
    if "202" in operation["responses"] and method in ("post", "patch"):
        document(operation, [Code.QUOTA_CONCURRENT_JOBS])


def _share_examples(schema: dict[str, Any]) -> None:
    """Write each problem's example once: it is the same wherever it may occur."""
    shared = schema["components"].setdefault("examples", {})
    for operation in _operations(schema):
        for answer in operation["responses"].values():
            examples = answer.get("content", {}).get(MEDIA_TYPE, {}).get("examples", {})
            for word, example in examples.items():
                shared[word] = example
                examples[word] = {"$ref": f"#/components/examples/{word}"}


def _in_words_of_its_own(operation: dict[str, Any], guarded: bool) -> None:
    """Clips keep the error body of their first service; only the door speaks in problems there."""
    if guarded:
        document(operation, _OF_THE_DOOR)
    for status in ("400", "402", "404", "409", "413", "422", "429", "500", "502", "503"):
        answer = operation["responses"].setdefault(status, {"description": "Refused."})
        answer.setdefault("content", {}).setdefault("application/json", {"schema": _CLIP_REFUSAL})
    operation["responses"] = dict(sorted(operation["responses"].items()))


def _addressed(schema: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in schema["paths"].items():
        for method, operation in item.items():
            yield path, method, operation


def _operations(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    return (operation for item in schema["paths"].values() for operation in item.values())
