"""How an endpoint is doing, and what follows from it. Pure.

A circuit breaker an endpoint: after some failures in a row nothing is sent for a while, then one
delivery at a time until one succeeds. What waits meanwhile loses no try. After days of nothing
but failures the endpoint is disabled.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

_WIDEST = 1024  # the window's; the worker's own limit is far below


@dataclass(frozen=True, slots=True)
class HealthPolicy:
    """Limits of the breaker."""

    failures: int = 5
    """In a row, after which the endpoint is spared."""
    pause_ms: int = 5_000
    """First pause; it doubles with every probe that fails."""
    longest_ms: int = 300_000
    """Longest pause: a receiver that was repaired waits five minutes at most."""
    disable_ms: int = 432_000_000
    """Of nothing but failures, until the endpoint is disabled: five days."""


@dataclass(frozen=True, slots=True)
class Health:
    """What is known of one endpoint. The fresh one is well."""

    failures: int = 0
    """In a row."""
    failing_since_ms: int = 0
    """Since when nothing has succeeded; 0 when the last attempt did."""
    window: int = 4
    """Attempts at once. It doubles with every success and halves with every failure, so that a
    receiver that hangs holds few of the worker's places."""
    closed_until_ms: int = 0
    """Nothing is sent before: the breaker is open, or the receiver asked for a pause."""

    def permits(self, policy: HealthPolicy, now_ms: int, in_hand: int, limit: int) -> bool:
        """Whether one more attempt may begin while ``in_hand`` are under way."""
        if now_ms < self.closed_until_ms:
            return False
        return in_hand < (1 if self.failures >= policy.failures else min(limit, self.window))

    def succeeded(self) -> Health:
        """After a 2xx."""
        return Health(window=min(2 * self.window, _WIDEST))

    def failed(self, policy: HealthPolicy, now_ms: int, retry_after_s: float | None) -> Health:
        """After an attempt that failed."""
        failures = self.failures + 1
        until_ms = self.closed_until_ms
        if failures >= policy.failures:
            doubled = policy.pause_ms * 2 ** min(failures - policy.failures, 16)
            until_ms = max(until_ms, now_ms + min(doubled, policy.longest_ms))
        if retry_after_s is not None:
            until_ms = max(until_ms, now_ms + round(1000 * retry_after_s))
        since_ms = self.failing_since_ms or now_ms
        return Health(failures, since_ms, max(self.window // 2, 1), until_ms)

    def hopeless(self, policy: HealthPolicy, now_ms: int) -> bool:
        """Whether it has failed for so long that it is called no more."""
        return bool(self.failing_since_ms) and now_ms - self.failing_since_ms >= policy.disable_ms

    def remembering(self, failing_since_ms: int) -> Health:
        """With what an earlier owner of the endpoint wrote down."""
        if not failing_since_ms or self.failing_since_ms:
            return self
        return replace(self, failing_since_ms=failing_since_ms)
