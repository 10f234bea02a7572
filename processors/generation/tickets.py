"""The provider's rate limit, kept by all workers together.

Time is cut into slots; a request for songs may be sent in a slot by whoever holds its ticket, and a
ticket is a mark that one caller gets (`marks`). No worker has to know of the others, none has to
live for the limit to hold, and nothing is lost when one dies but its slot.

Why not one partition that a single consumer drains: its new owner after a rebalance would not know
what the old one sent in the last ten seconds, and one request that hangs would stop every other.
Why not a counter in the projection's database: stages have no connection to it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from schemas.providers import Profile
from topics.artifacts.protocol import ArtifactStore

_MARGIN = 0.15
"""Of the limit, for requests that take longer on their way than the one behind them, and for clocks
of workers that differ by up to that share of the window (1.5 s of 10 s)."""

_HORIZON = 40
"""Slots looked at ahead, some 24 s: more senders than that do not wait at once."""

_KEPT_MS = 120_000  # how long a ticket that was used lies about: longer than any request lives


def slot_ms(profile: Profile) -> int:
    """Length of a slot. A window of W touches at most W / slot + 1 slots: that many are sent."""
    calls = profile.calls * (1 - _MARGIN) - 1
    return int(profile.window_s * 1000 / calls) + 1


@dataclass(slots=True)
class Tickets:
    """The tickets of one account, as one worker takes them."""

    store: ArtifactStore
    account: str
    profile: Profile
    now_ms: Callable[[], int]
    sleep: Callable[[float], None]
    used: deque[tuple[int, str]] = field(default_factory=deque)

    def wait(self) -> bool:
        """Wait for a slot of one's own. False when all within the horizon are taken."""
        width = slot_ms(self.profile)
        while True:
            first = self.now_ms() // width
            mine = next((s for s in range(first, first + _HORIZON) if self._take(s)), None)
            if mine is None:
                return False
            begins_ms = mine * width
            while (left := begins_ms - self.now_ms()) > 0:
                self.sleep(left / 1000)
            self._tidy()
            if self.now_ms() < begins_ms + width:
                return True
            # Slept through it (a stopped process, a loaded machine): the slot is over.

    def _take(self, slot: int) -> bool:
        key = f"generation/tickets/{self.account}/{slot}"
        if not self.store.put_if_absent(key, b"{}", "application/json"):
            return False
        self.used.append((slot * slot_ms(self.profile), key))
        return True

    def _tidy(self) -> None:
        while self.used and self.used[0][0] < self.now_ms() - _KEPT_MS:
            self.store.delete(self.store.uri(self.used.popleft()[1]))
