"""How operators' commands ask the gateway: one client, and each refusal in one line."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from gateway.client import Backoff, Client, Refused, Unreachable
from tools.ops.workplace import complaining, fail
from topics.settings import BusSettings

_PATIENCE_S = 5.0  # a person waits; a gateway that restarts is back by then


@contextmanager
def gateway_client(url: str | None) -> Iterator[Client]:
    """A client of the gateway at an address, of ``PUBLIC_BASE_URL`` without one."""
    with complaining():
        base = url or BusSettings().public_base_url
        if not base.startswith(("http://", "https://")):
            fail(f"'{base}' is no address of a gateway; write http://host:port")
        client = Client(
            base,
            client_id="melisma-cli",
            api_key=os.environ.get("MELISMA_API_KEY", ""),
            backoff=Backoff(give_up_after_s=_PATIENCE_S),
        )
        try:
            with client:
                yield client
        except Refused as refused:
            fail(str(refused))
        except Unreachable as away:
            fail(f"{away}; start the gateway, or name its address (now {base}) with --url")
