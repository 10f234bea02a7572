"""Times and rates as people type them, and doing things at a rate."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from typing import TypeVar

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_AGE = re.compile(r"(\d+(?:\.\d+)?)\s*([smhdw])")
_RATE = re.compile(r"(\d+(?:\.\d+)?)(?:\s*/\s*(s|m|h))?")

Item = TypeVar("Item")


def instant_ms(text: str, now_ms: int) -> int:
    """Unix milliseconds of a time: RFC 3339 (UTC where it names no offset) or an age: 90s, 15m, 2h,
    7d, 1w before ``now_ms``. Raises ValueError.
    """
    age = _AGE.fullmatch(text.strip())
    if age:
        return now_ms - round(float(age[1]) * _SECONDS[age[2]] * 1000)
    try:
        time = datetime.fromisoformat(text.strip())
    except ValueError:
        raise ValueError(
            f"'{text}' is no time; write 2026-03-01T12:00:00Z, or an age such as 15m, 2h, 7d"
        ) from None
    return round((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp() * 1000)


def rate_per_second(text: str) -> float:
    """Events a second of ``5``, ``5/s``, ``300/m``, ``1000/h``. Raises ValueError."""
    rate = _RATE.fullmatch(text.strip())
    number = float(rate[1]) / _SECONDS[rate[2] or "s"] if rate else 0.0
    if number <= 0:
        raise ValueError(f"'{text}' is no rate; write 5/s, 300/m or 1000/h")
    return number


def shown(ms: int) -> str:
    """A time for tables: ``2026-03-01 12:00:00Z``."""
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def age(ms: int) -> str:
    """How long ago, in the largest unit that fits: ``45s``, ``12m``, ``3h``, ``5d``."""
    seconds = max(ms, 0) // 1000
    unit = next(unit for unit in "dhms" if seconds >= _SECONDS[unit] or unit == "s")
    return f"{seconds // _SECONDS[unit]}{unit}"


def rfc3339(ms: int) -> str:
    """A time for programs: ``2026-03-01T12:00:00.000Z``."""
    text = datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def paced(
    items: Iterable[Item],
    per_second: float | None,
    *,
    clock: Callable[[], float],
    sleep: Callable[[float], None],
) -> Iterator[Item]:
    """The items, the n-th no sooner than n / ``per_second`` seconds after the first.

    Slow consumers are not made up for by a burst. ``clock`` is monotonic, in seconds.
    """
    due_s = clock()
    for item in items:
        if per_second is not None:
            wait_s = due_s - clock()
            if wait_s > 0:
                sleep(wait_s)
            due_s = max(due_s, clock()) + 1 / per_second
        yield item
