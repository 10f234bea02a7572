"""The description's ``webhooks``: what the product sends, to whoever asked for it."""

from __future__ import annotations

from typing import Any, Final

from schemas.webhooks import SCHEMA, TYPES, UNASKED

WEBHOOK_SCHEMAS: Final[dict[str, Any]] = {
    "WebhookBody": {
        "title": "WebhookBody",
        "description": "Standard Webhooks 1.0.0. Thin on purpose: ids, and where to read on.",
        "type": "object",
        "required": ["type", "timestamp", "data"],
        "properties": {
            "type": {"type": "string", "enum": [*TYPES, *UNASKED]},
            "timestamp": {"type": "string", "format": "date-time"},
            "data": {
                "type": "object",
                "required": ["schema"],
                "properties": {
                    "schema": {"type": "string", "const": SCHEMA},
                    "trackId": {"type": "string"},
                    "jobId": {"type": "string"},
                    "taskId": {"type": "string"},
                    "endpointId": {"type": "string"},
                    "version": {"type": "integer", "minimum": 1},
                    "sequence": {
                        "type": "integer",
                        "description": "Counts a track's webhooks; a gap is one that is still due.",
                    },
                    "error": {
                        "type": "object",
                        "properties": {
                            "code": {"type": "string"},
                            "message": {"type": "string"},
                            "stage": {"type": "string"},
                        },
                    },
                    "href": {"type": "string", "description": "Where to read on."},
                },
                "additionalProperties": True,
            },
        },
        "examples": [
            {
                "type": "track.ready",
                "timestamp": "2026-01-01T12:00:00.000Z",
                "data": {
                    "schema": SCHEMA,
                    "trackId": "trk_0a1b2c3d4e5f60718293a4b5c6d7e8f9",
                    "jobId": "job_0a1b2c3d4e5f60718293a4b5c6d7e8f9",
                    "version": 1,
                    "sequence": 1,
                    "href": "/v1/tracks/trk_0a1b2c3d4e5f60718293a4b5c6d7e8f9/ready",
                },
            }
        ],
    }
}

_HEADERS = {
    "webhook-id": "The same for every try: drop what you have had.",
    "webhook-timestamp": "Unix seconds of this try; refuse what is older than five minutes.",
    "webhook-signature": "v1,<base64 HMAC-SHA256 of {id}.{timestamp}.{body}>; several while a"
    " secret is rotated.",
}


def webhooks_section() -> dict[str, Any]:
    """OpenAPI's ``webhooks``: one operation an event type."""
    return {name: {"post": _operation(name, told)} for name, told in {**TYPES, **UNASKED}.items()}


def _operation(name: str, told: str) -> dict[str, Any]:
    return {
        "tags": ["webhooks"],
        "summary": told,
        "operationId": f"webhook_{name.replace('.', '_')}",
        "parameters": [
            {
                "name": header,
                "in": "header",
                "required": True,
                "description": words,
                "schema": {"type": "string"},
            }
            for header, words in _HEADERS.items()
        ],
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": {"$ref": "#/components/schemas/WebhookBody"}}
            },
        },
        "responses": {
            "2XX": {"description": "Taken. Anything else is tried again, on a growing delay."},
            "410": {"description": "Never again: the endpoint is disabled."},
        },
    }
