"""Time as an argument."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Clock:
    """Where a worker reads the time. Durations never come from the wall clock: it may jump."""

    wall_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000  # Unix time
    monotonic_s: Callable[[], float] = time.monotonic
