"""The OpenAPI description: what the framework writes, with our problems in it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, TypedDict

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from gateway.api.examples import EXAMPLES
from gateway.guard.responses import PROBLEM_SCHEMA


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
        "Every request carries `X-Client-Id`. Errors are problem details (RFC 9457) with a stable"
        " `code`, what to do in `help`, and a `traceId` for support. `Idempotency-Key` makes every"
        " POST safe to repeat."
    ),
    openapi_tags=[
        {"name": "uploads", "description": "Songs on their way in."},
        {"name": "tracks", "description": "Karaoke tracks, their lyrics and versions."},
        {"name": "jobs", "description": "The work on them."},
        {"name": "mastering", "description": "Songs and albums, mastered and explained."},
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
            app.openapi_schema = schema
        return app.openapi_schema

    app.openapi = describe  # type: ignore[method-assign]


def _operations(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    return (operation for item in schema["paths"].values() for operation in item.values())
