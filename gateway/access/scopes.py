"""Which scope an address asks for, and which addresses are everybody's.

A scope follows from the address and the method alone, so that a new route is behind the door
without anybody remembering to put it there: what is neither `PUBLIC` nor a known resource is
refused, whoever asks.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

from topics.artifacts.signing import STORE_PATH

Role = Literal["user", "operator", "admin"]
ROLES: Final[tuple[Role, ...]] = ("user", "operator", "admin")

RESOURCES: Final[Mapping[str, str]] = {
    "uploads": "uploads",
    "tracks": "tracks",
    "jobs": "jobs",
    "mastering": "mastering",
    "webhook-endpoints": "webhooks",
    "webhooks": "webhooks",
    "process": "extraction",
    "batch": "extraction",
    "status": "extraction",
    "manifests": "extraction",
    "extractors": "extraction",
    "s3": "uploads",  # an unmodified Uppy's name for them
}
"""The first segment of a path behind ``/v1`` (or of an alias without it): what it is part of."""

_ELSEWHERE: Final[Mapping[str, str]] = {"/api/music-clips/": "clips"}

SCOPES: Final[tuple[str, ...]] = tuple(
    f"{resource}:{right}"
    for resource in sorted({*RESOURCES.values(), *_ELSEWHERE.values()})
    for right in ("read", "write")
)
"""Every scope that a key or a token can carry."""

PUBLIC: Final[frozenset[str]] = frozenset(
    {"/", "/healthz", "/readyz", "/metrics", "/docs", "/openapi.json", "/asyncapi.json"}
    | {"/asyncapi.yaml", "/docs/oauth2-redirect", "/favicon.ico"}
)
PUBLIC_BELOW: Final[tuple[str, ...]] = (
    STORE_PATH,  # signed URLs carry their own proof
    "/problems/",
    "/v1/schemas/",
    "/static-offline-docs/",
    "/api/webhooks/",  # callbacks of providers, at addresses that nobody can guess
    "/ui/",
)
"""What begins like this is everybody's."""

_READING = frozenset({"GET", "HEAD"})


def is_public(path: str) -> bool:
    """True for addresses that ask for no credentials."""
    return path in PUBLIC or path.startswith(PUBLIC_BELOW)


def scope_of(method: str, path: str) -> str | None:
    """The scope that a request needs; None where no resource is known at the address."""
    right = "read" if method in _READING else "write"
    for beginning, resource in _ELSEWHERE.items():
        if path.startswith(beginning):
            return f"{resource}:{right}"
    first = path.removeprefix("/v1").lstrip("/").partition("/")[0]
    resource = RESOURCES.get(first, "")
    if first == "s3":  # its GETs sign
        right = "write"
    return f"{resource}:{right}" if resource else None
