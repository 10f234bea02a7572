"""The secrets of endpoints: derived when they are needed, kept nowhere.

A secret is HMAC-SHA256 of the endpoint's name and the secret's number under one key of the house
(``WEBHOOK_KEY``). So no topic, no row, no object and no backup holds any secret of an endpoint, a
rotation is a counter, and there is one thing to guard. The gateway derives a secret to show it to
its owner, the delivery to sign.
"""

from __future__ import annotations

import base64
import hashlib
import hmac

from topics.webhooks.endpoints import Endpoint

PREFIX = "whsec_"
"""What Standard Webhooks' symmetric secrets begin with."""

CALLBACKS = "callbacks"
"""The endpoint id whose secrets sign every ``callbackUrl`` of a tenant."""

_SHORTEST = 32
"""Bytes of the house's key: as many as SHA-256 gives."""


class SigningKeys:
    """Secrets by endpoint and number."""

    def __init__(self, master: bytes) -> None:
        """``master``: at least 32 bytes. Raises `ValueError`."""
        if len(master) < _SHORTEST:
            raise ValueError(f"WEBHOOK_KEY is shorter than {_SHORTEST} bytes; make a random one")
        self._master = master

    def secret(self, tenant: str, endpoint_id: str, generation: int) -> str:
        """``whsec_`` and the base64 of 32 bytes."""
        return PREFIX + base64.b64encode(self.key(tenant, endpoint_id, generation)).decode()

    def key(self, tenant: str, endpoint_id: str, generation: int) -> bytes:
        """The bytes that sign."""
        name = "\n".join(("melisma webhook secret", tenant, endpoint_id, str(generation)))
        return hmac.digest(self._master, name.encode(), hashlib.sha256)

    def signing(self, endpoint: Endpoint, now_ms: int) -> tuple[bytes, ...]:
        """The keys that sign for an endpoint now, the newest first."""
        owner = endpoint.signs_as
        return tuple(
            self.key(endpoint.tenant, owner, generation)
            for generation in endpoint.generations(now_ms)
        )

    def destination_id(self, tenant: str, url: str) -> str:
        """The id under which a URL is kept. One URL of a tenant has one id, so that all its calls
        share a queue; nobody can guess the URL from it."""
        name = "\n".join(("melisma webhook destination", tenant, url))
        return f"cbk_{hmac.digest(self._master, name.encode(), hashlib.sha256).hex()[:32]}"
