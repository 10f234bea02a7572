"""Whether there is room for more: a client's own bound, and that of everybody together."""

from __future__ import annotations

import math
import threading
from collections import Counter
from collections.abc import Callable

from gateway.guard.clients import Caller
from gateway.guard.problems import Code, Problem
from gateway.settings import GatewaySettings
from topics.admission import WaitingRoom, who

LOOK_MS = 1000
"""How old the newest report of the waiting room may be; it is reported about once a second."""

_SHORTEST_S, _LONGEST_S = 1, 600
_UNKNOWN_S = 30
"""What a client waits while nobody has finished anything in the last minute."""


class Room:
    """Lets items in while the backlog is within its bounds. Safe to share between threads.

    Several gateways count each for themselves between two reports, so the bounds can be passed by
    what they let in within a second: they are about fairness and memory, not safety.
    """

    def __init__(
        self, settings: GatewaySettings, waiting: WaitingRoom, clock_ms: Callable[[], int]
    ) -> None:
        self._settings = settings
        self._waiting = waiting
        self._clock_ms = clock_ms
        self._lock = threading.Lock()
        self._looked_ms: int | None = None
        self._reported_ms = 0
        self._since: Counter[str] = Counter()

    def require(self, caller: Caller, items: int) -> None:
        """Raise 429 where the caller has too many items waiting, 503 where all together have.

        Raises `topics.log.LogError`.
        """
        name = who(caller.tenant, caller.client_id)
        with self._lock:
            self._look()
            report = self._waiting.latest
            own = self._since[name] + (report.clients.get(name, 0) if report else 0)
            every = self._since.total() + (report.waiting if report else 0)
            rate = report.items_per_second if report else 0.0
            bound = self._settings.extraction_backlog_per_client
            if caller.limited and own + items > bound:
                raise Problem(
                    Code.BACKLOG_OF_CLIENT,
                    f"{own} items of this client wait; {bound} may, and {items} more were sent.",
                    headers={"Retry-After": str(_patience_s(own + items - bound, rate))},
                    extra={"limit": bound, "waiting": own},
                )
            bound = self._settings.extraction_backlog
            if every + items > bound:
                raise Problem(
                    Code.BACKLOG_FULL,
                    f"{every} items wait for their turn; {bound} may.",
                    headers={"Retry-After": str(_patience_s(every + items - bound, rate))},
                    extra={"limit": bound, "waiting": every},
                )
            self._since[name] += items

    def _look(self) -> None:
        now_ms = self._clock_ms()
        if self._looked_ms is not None and 0 <= now_ms - self._looked_ms < LOOK_MS:
            return
        self._looked_ms = now_ms
        self._waiting.refresh()
        report = self._waiting.latest
        if report is not None and report.reported_ms != self._reported_ms:
            # What was let in before is in the report by now; a second's worth may count twice less.
            self._reported_ms = report.reported_ms
            self._since.clear()


def _patience_s(items: int, rate: float) -> int:
    """How long it takes until so many items are gone."""
    if rate <= 0:
        return _UNKNOWN_S
    return min(max(math.ceil(items / rate), _SHORTEST_S), _LONGEST_S)
