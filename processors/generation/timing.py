"""When to look again, and when a job's time is over. Pure."""

from __future__ import annotations

CLOSE_S, CLOSE_FOR_MS = 5.0, 90_000
"""Looks every 5 s for the first minute and a half: a song takes one to three minutes."""
FAR_S = 30.0
"""Then every 30 s, less than the minute after which a job counts as stale."""

LATE_S = (300.0, 1800.0, 7200.0)
"""After its time is over a job is looked at this many seconds later each: a late song was paid."""


def over(requested_ms: int, now_ms: int, time_ms: int) -> bool:
    """Whether the job's time is over: it has so long from its request."""
    return now_ms - requested_ms >= time_ms


def look_after_s(sent_ms: int, now_ms: int, *, answered: bool) -> float:
    """Until the next look at a task; a provider that does not answer is asked less often."""
    close = answered and now_ms - sent_ms < CLOSE_FOR_MS
    return CLOSE_S if close else FAR_S


def send_after_s(fault: str, sends: int) -> float:
    """Until a refused request is sent again: the next delay tier each time, up to 5 min."""
    tiers = (30.0, 30.0, 300.0) if fault == "maintenance" else (5.0, 30.0, 30.0, 30.0, 300.0)
    return tiers[min(sends, len(tiers)) - 1]
