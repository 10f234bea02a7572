"""``melisma webhooks endpoints``: what takes more than one question."""

from __future__ import annotations

import time
from collections.abc import Callable

from gateway.client import Client
from gateway.client_calls import Json

_LOOK_S = 0.3


def first_attempt(
    client: Client,
    endpoint_id: str,
    message_id: str,
    patience_s: float,
    *,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Json | None:
    """How the first attempt at a message went; None when none was made in time."""
    deadline = clock() + patience_s
    while True:
        seen = client.webhooks.attempts(endpoint_id, message_id=message_id)
        if seen:
            return seen[-1]
        if clock() >= deadline:
            return None
        sleep(_LOOK_S)
