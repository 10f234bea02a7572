"""How many credits the provider's account has left, asked within one second or not at all.

Many requests share one question: a provider that does not answer holds up the first of them for a
second and the others not at all, since that nobody knows is remembered too.
"""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Callable

import httpx

from topics.outbound.provider import ProviderSettings

WAIT_S = 1.0
"""The check has one second (the first service's promise); then the job goes on without it."""

KEPT_S = 5.0
"""How long an answer holds: a song costs far less than an account that is worth keeping."""


class Credits:
    """Asks for one account. Safe to share between threads."""

    def __init__(
        self,
        settings: ProviderSettings,
        *,
        transport: httpx.BaseTransport | None = None,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._transport = transport
        self._now_s = monotonic_s
        self._lock = threading.Lock()
        self._left: float | None = None
        self._asked_s = -math.inf

    def left(self) -> float | None:
        """Credits that are left; None where nobody can say so soon."""
        if self._is_fresh() or not self._lock.acquire(timeout=WAIT_S):
            return self._left
        try:
            if not self._is_fresh():
                self._left = self._ask()
                self._asked_s = self._now_s()
            return self._left
        finally:
            self._lock.release()

    def _is_fresh(self) -> bool:
        return self._now_s() - self._asked_s < KEPT_S

    def _ask(self) -> float | None:
        settings = self._settings
        if not settings.headers and not settings.is_local:
            return None
        try:
            with httpx.Client(
                timeout=WAIT_S / 2,  # to connect and to answer: each has half of the time
                transport=self._transport,
                trust_env=False,
            ) as client:
                answer = client.get(
                    f"{settings.suno_base_url}{settings.profile.credit_path}",
                    headers=settings.headers,
                )
            said = json.loads(answer.content)
            code, data = said["code"], said.get("data")
        except (httpx.HTTPError, ValueError, KeyError, TypeError, AttributeError):
            return None
        if settings.profile.fault(code) == "no_credits" if isinstance(code, int) else False:
            return 0.0
        if code != 200 or isinstance(data, bool) or not isinstance(data, int | float):
            return None
        return float(data) if math.isfinite(data) else None
