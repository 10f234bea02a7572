"""Which deliveries are still owed: the fold of ``webhook-attempted``, a partition at a time.

Each record of the topic says how one delivery stands, and the newest one of a delivery holds. So
the topic is queue, history and state in one: a worker that takes a partition over reads it from the
oldest delivery that is not done, and knows all that its predecessor knew. What is done and behind
that place is forgotten, apart from the newest few thousand ids, so that a notification that comes
twice is not delivered twice.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import NamedTuple

from schemas.events import WebhookAttempted
from schemas.webhooks import FAILED, OWED, order

LIVE = frozenset({OWED, FAILED})
"""Outcomes behind which another attempt comes."""

_REMEMBERED = 10_000
"""Deliveries that are done, a partition: some megabytes, and minutes of a busy bus."""

_FAR = 20_000
"""Records behind which a delivery that still waits is written again, so that a successor does not
read a day's traffic for it."""


class Name(NamedTuple):
    """Which delivery: one notification to one endpoint."""

    endpoint_id: str
    notification_id: str


def name_of(event: WebhookAttempted) -> Name:
    """The delivery that an attempt belongs to."""
    return Name(event.endpoint_id, event.notification_id)


@dataclass(slots=True)
class Delivery:
    """One that is not done."""

    event: WebhookAttempted
    """How it stands."""
    offset: int
    """Where that stands on the log; -1 until it was read there."""
    traceparent: str = ""


@dataclass(slots=True)
class Partition:
    """What one partition owes."""

    position: int = 0
    """Of the next record."""
    live: dict[Name, Delivery] = field(default_factory=dict)
    _done: OrderedDict[Name, tuple[int, int, int]] = field(default_factory=OrderedDict)

    def read(self, event: WebhookAttempted, offset: int, traceparent: str) -> bool:
        """Fold in a record; True when the delivery now waits for another attempt."""
        self.position = max(self.position, offset + 1)
        return self._fold(event, offset, traceparent)

    def wrote(self, event: WebhookAttempted) -> None:
        """Fold in what this worker has just written, before it reads it again."""
        known = self.live.get(name_of(event))
        # Until the new record is read, its place is that of the one before it.
        self._fold(event, known.offset if known else -1, known.traceparent if known else "")

    def low_water(self) -> int:
        """The offset a successor has to begin at."""
        waiting = (each.offset for each in self.live.values() if each.offset >= 0)
        return min(waiting, default=self.position)

    def stragglers(self) -> list[WebhookAttempted]:
        """Deliveries that wait so far back that they should be written again."""
        behind = self.position - _FAR
        return [each.event for each in self.live.values() if 0 <= each.offset < behind]

    def _fold(self, event: WebhookAttempted, offset: int, traceparent: str) -> bool:
        name, rank = name_of(event), order(event)
        known = self.live.get(name)
        newest = order(known.event) if known else self._done.get(name)
        if newest is not None and rank < newest:
            return False
        if event.outcome not in LIVE:
            self.live.pop(name, None)
            self._done[name] = rank
            self._done.move_to_end(name)
            if len(self._done) > _REMEMBERED:
                self._done.popitem(last=False)
            return False
        if known is not None and rank == newest:
            known.offset = max(known.offset, offset)
            return False
        if newest is not None and known is None and rank == newest:
            return False
        self._done.pop(name, None)
        self.live[name] = Delivery(event, offset, traceparent)
        return True
