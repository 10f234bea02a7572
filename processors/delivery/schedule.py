"""When a failed delivery is tried again. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

STANDARD_S = (5.0, 300.0, 1800.0, 7200.0, 18_000.0, 36_000.0, 36_000.0)
"""Standard Webhooks 1.0.0 (as Svix runs it): seven retries over 27.6 hours."""

_LONGEST_S = 36_000.0
"""A receiver may put us off for as long as the longest pause, not for ever."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """Pauses in seconds before each retry, each spread by ``jitter`` up and down, so that what
    failed together does not come back together.
    """

    pauses_s: tuple[float, ...] = STANDARD_S
    jitter: float = 0.2

    def due_ms(
        self, attempt: int, now_ms: int, chance: float, retry_after_s: float | None = None
    ) -> int | None:
        """When to try again after ``attempt`` (from 1) failed; None when the tries are spent.

        ``chance`` is uniform in [0, 1). A Retry-After only ever makes it later.
        """
        if attempt > len(self.pauses_s):
            return None
        pause_s = self.pauses_s[attempt - 1] * (1 + self.jitter * (2 * chance - 1))
        return now_ms + round(1000 * max(pause_s, retry_after_s or 0.0))


def retry_after_s(header: str | None, now_ms: int) -> float | None:
    """Seconds that a Retry-After asks for (RFC 9110, section 10.2.3: seconds or a date), at most
    ten hours; None for none or one that cannot be read.
    """
    text = (header or "").strip()
    if not text:
        return None
    if text.isascii() and text.isdigit():
        return min(float(text[:9]), _LONGEST_S)
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    try:
        seconds = (moment - datetime.fromtimestamp(now_ms / 1000, UTC)).total_seconds()
    except OverflowError:
        return None
    return min(max(seconds, 0.0), _LONGEST_S) if math.isfinite(seconds) else None
