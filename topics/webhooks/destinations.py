"""Where endpoints are: their URLs, in the artifact store, because topics and logs never carry one.

A URL of a webhook is often a secret itself. An object never changes: another URL has another id.
"""

from __future__ import annotations

import json

from topics.artifacts.protocol import ArtifactStore

SCHEMA = "callback/1"


def key_of(tenant: str, callback_id: str) -> str:
    """The store's key of a destination."""
    return f"callbacks/{tenant}/{callback_id}.json"


def keep(store: ArtifactStore, tenant: str, callback_id: str, url: str) -> None:
    """Keep a URL under an id. Raises `topics.artifacts.ArtifactError`."""
    data = json.dumps({"schema": SCHEMA, "url": url}).encode()
    store.put_if_absent(key_of(tenant, callback_id), data, "application/json")


def find(store: ArtifactStore, tenant: str, callback_id: str) -> str:
    """The URL of an id. Raises `topics.artifacts.ArtifactMissing`, `ArtifactError`."""
    document = json.loads(store.read(store.uri(key_of(tenant, callback_id))))
    url: str = document["url"]
    return url
