"""Token buckets: how many requests somebody may send, and the headers that say so.

The headers are those of draft-ietf-httpapi-ratelimit-headers-10: ``RateLimit-Policy`` says the rule
(``q`` requests in ``w`` seconds), ``RateLimit`` where one stands (``r`` left, ``t`` seconds until
all are back). Each gateway counts for itself: behind a balancer the limit is per gateway.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

MOST_KEPT = 10_000
"""Buckets in memory before those that are full again, which say nothing, are thrown away."""


@dataclass(slots=True)
class _Bucket:
    left: float
    at_s: float


@dataclass(frozen=True, slots=True)
class Standing:
    """Where somebody stands after a request. ``retry_after_s`` is 0 when it may go on."""

    policy: str
    quota: int
    window_s: int
    left: int
    reset_s: int
    retry_after_s: int

    def headers(self) -> list[tuple[bytes, bytes]]:
        """The draft's two fields, structured (RFC 9651)."""
        return [
            (b"ratelimit-policy", f'"{self.policy}";q={self.quota};w={self.window_s}'.encode()),
            (b"ratelimit", f'"{self.policy}";r={self.left};t={self.reset_s}'.encode()),
        ]


class Buckets:
    """A bucket for each name: full at first, ``quota`` deep, filled again in ``window_s`` seconds.

    For one event loop. A clock that is set back gives nothing and takes nothing.
    """

    def __init__(
        self, policy: str, quota: int, window_s: int, *, clock_s: Callable[[], float]
    ) -> None:
        self._policy, self._quota, self._window_s = policy, quota, window_s
        self._rate = quota / window_s
        self._clock_s = clock_s
        self._buckets: dict[str, _Bucket] = {}

    def take(self, name: str, tokens: int = 1) -> Standing:
        """Take for one request; 0 ``tokens`` only look. What is not there is not taken."""
        now_s = self._clock_s()
        bucket = self._buckets.get(name)
        if bucket is None:
            if len(self._buckets) >= MOST_KEPT:
                self._forget(now_s)
            bucket = self._buckets[name] = _Bucket(self._quota, now_s)
        left = min(self._quota, bucket.left + max(0.0, now_s - bucket.at_s) * self._rate)
        wait_s = 0
        if left < max(tokens, 1):
            wait_s = max(1, math.ceil((max(tokens, 1) - left) / self._rate))
        else:
            left -= tokens
        bucket.left, bucket.at_s = left, now_s
        return Standing(
            policy=self._policy,
            quota=self._quota,
            window_s=self._window_s,
            left=int(left),
            reset_s=math.ceil((self._quota - left) / self._rate),
            retry_after_s=wait_s,
        )

    def _forget(self, now_s: float) -> None:
        full_s = self._window_s
        self._buckets = {
            name: bucket for name, bucket in self._buckets.items() if now_s - bucket.at_s < full_s
        }
