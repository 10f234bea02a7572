"""Which delivery goes next, so that no receiver keeps another one waiting. No I/O, no clock."""

from __future__ import annotations

import heapq
from collections import defaultdict, deque
from collections.abc import Callable, Iterator

from processors.delivery.health import Health, HealthPolicy
from processors.delivery.owed import Name


class Queue:
    """Deliveries by when they are due, and by endpoint once they are.

    An endpoint has its own line, its own health and its own share of what goes at once; the lines
    take turns.
    """

    def __init__(self, policy: HealthPolicy, *, at_once: int, an_endpoint: int) -> None:
        self._policy = policy
        self._at_once = at_once
        self._an_endpoint = an_endpoint
        self._timers: list[tuple[int, int, Name]] = []
        self._count = 0
        self._lines: dict[str, deque[Name]] = {}
        self._waiting: set[Name] = set()  # in a line or at a timer
        self._health: dict[str, Health] = {}
        self._by_endpoint: defaultdict[str, int] = defaultdict(int)
        self._in_hand: set[Name] = set()

    @property
    def in_hand(self) -> int:
        """Attempts under way."""
        return len(self._in_hand)

    def health(self, endpoint_id: str) -> Health:
        """How an endpoint is doing."""
        return self._health.get(endpoint_id, Health())

    def judge(self, endpoint_id: str, health: Health) -> None:
        """Remember how an endpoint is doing."""
        if health == Health():
            self._health.pop(endpoint_id, None)
        else:
            self._health[endpoint_id] = health

    def put(self, name: Name, due_ms: int) -> None:
        """A delivery waits until a moment."""
        self._count += 1
        heapq.heappush(self._timers, (due_ms, self._count, name))

    def take(
        self,
        now_ms: int,
        due: Callable[[Name], int | None],
        status: Callable[[str], str],
    ) -> Iterator[Name]:
        """Deliveries to attempt now; they are in hand from then on.

        ``due`` says when a delivery is due, None for one that is not owed any more; ``status`` what
        an endpoint is: only those of ``active`` ones are taken.
        """
        while self._timers and self._timers[0][0] <= now_ms:
            _, _, name = heapq.heappop(self._timers)
            when = due(name)
            # A later word about it put it here again, with another time.
            if when is None or when > now_ms or name in self._waiting or name in self._in_hand:
                continue
            self._waiting.add(name)
            self._lines.setdefault(name.endpoint_id, deque()).append(name)
        turns = deque(self._lines)
        while turns and len(self._in_hand) < self._at_once:
            endpoint_id = turns.popleft()
            line = self._lines[endpoint_id]
            while line and ((when := due(line[0])) is None or when > now_ms):
                self._waiting.discard(line.popleft())
            if not line:
                del self._lines[endpoint_id]
                continue
            health, busy = self.health(endpoint_id), self._by_endpoint[endpoint_id]
            if not health.permits(self._policy, now_ms, busy, self._an_endpoint):
                continue
            if status(endpoint_id) != "active":
                continue
            name = line.popleft()
            self._waiting.discard(name)
            self._in_hand.add(name)
            self._by_endpoint[endpoint_id] += 1
            turns.append(endpoint_id)
            yield name

    def ended(self, name: Name) -> None:
        """An attempt is over."""
        self._in_hand.discard(name)
        self._by_endpoint[name.endpoint_id] -= 1
        if self._by_endpoint[name.endpoint_id] <= 0:
            del self._by_endpoint[name.endpoint_id]

    def wait_ms(self, now_ms: int) -> int | None:
        """Until something may go that may not now; None when only an ending or news can tell."""
        moments = [self._timers[0][0]] if self._timers else []
        for endpoint_id in self._lines:
            until_ms = self.health(endpoint_id).closed_until_ms
            if until_ms > now_ms:
                moments.append(until_ms)
        return max(min(moments) - now_ms, 0) if moments else None

    def endpoints(self) -> list[str]:
        """Endpoints with deliveries that are due."""
        return list(self._lines)
