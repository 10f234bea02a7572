"""The waiting room of extractions: who waits, who is in work, whose turn is next. Pure: no clock.

Three rules decide, in this order.

*Room.* No more than so many items are in work at once, of all, of a client, and of a batch that
asked for it.

*Fair between clients.* Each has a place on a clock of fair shares (start-time fair queueing,
Goyal, Vin, Cheng 1996): it moves on by the work that the client is given, and the client that is
furthest behind is next. A client that comes new, or was away, begins at the clock's hand: it
neither jumps the queue for the time it was away nor waits for those who came before it.

*Short before long, with ageing.* Of one client's items the one with the smallest ``expected
seconds + ageing * time of arrival`` is next. That is the same order as ``expected - ageing *
waited``, and never changes while an item waits, so it needs no clock. A long item is overtaken by
what comes within ``expected / ageing`` seconds behind it, and by nothing later. The end of a batch
is the exception: once its longest item takes as long as all that waits of the batch would in all of
its places, that one is next, for begun at the very end it would be waited for alone.

Everything here is a fold of the topics: what was asked for, released, ended and canceled, in any
order of the topics among each other as long as a request comes before what follows from it.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache

from schemas.events import ExtractionAdmitted, ExtractionRequested
from topics.admission import EXTRACTION_SPEED, who

_TYPICAL_S = 240 / EXTRACTION_SPEED
"""What an item is thought to take when nobody knows its length: as long as a song of 4 minutes."""

_WORKERS = (2, 3, 4, 8)
"""Among how many workers items are spread evenly, whether each has neighbouring partitions or every
so-and-so-many-th: who has which, only the workers know."""
_REMEMBERED = 20_000
"""Items that are done, so that a request that was written twice is not done twice: some MB."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much may be in work at once, and how soon waiting counts."""

    in_flight: int = 4
    a_client: int = 0
    """0: no limit of its own."""
    ageing: float = 1.0
    """Seconds of work that one second of waiting makes up for."""


@dataclass(eq=False, slots=True)
class Item:
    """An item that is not done."""

    event: ExtractionRequested
    cause: str
    """Id of the request's event."""
    offset: int
    """Where the request lies in its partition."""
    arrived_ms: int
    traceparent: str = ""
    partition: int | None = None
    """Where it was released to; None while it waits."""
    away: bool = False
    """Its try failed, and the next one comes by itself after a while: meanwhile it takes nobody's
    place but that of its own batch."""

    @property
    def id(self) -> str:
        """The item's id, which is its job's."""
        return self.event.work.job_id

    @property
    def task(self) -> str:
        """The task that it belongs to."""
        return self.event.extraction.task_id or self.id

    @property
    def attempt(self) -> int:
        """Of its job."""
        return self.event.work.attempt

    @property
    def who(self) -> str:
        """Whose share it takes from."""
        return who(self.event.work.tenant, self.event.extraction.client)

    @property
    def cost_s(self) -> float:
        """What it is thought to take on one core."""
        known = self.event.extraction.expected_seconds
        length_s = self.event.work.duration_ms / 1000
        return known if known > 0 else length_s / EXTRACTION_SPEED if length_s > 0 else _TYPICAL_S


@dataclass(frozen=True, slots=True)
class Release:
    """An item whose turn has come, and where it goes."""

    item: Item
    partition: int
    sequence: int
    start: float
    finish: float


@dataclass(slots=True)
class _Client:
    open: int = 0
    waiting: int = 0
    in_flight: int = 0
    ready: list[tuple[float, int, str]] = field(default_factory=list)
    """Heads of its tasks that have room, by rank; what is out of date is dropped when met."""


@dataclass(slots=True)
class _Task:
    concurrency: int
    in_flight: int = 0
    waiting: list[tuple[float, int, str]] = field(default_factory=list)
    longest: list[tuple[float, int, str]] = field(default_factory=list)
    """The same items, by cost, the most first."""
    waiting_s: float = 0.0
    """What they are thought to take on one core."""
    open: set[str] = field(default_factory=set)


class Room:
    """Belongs to one thread. ``partitions`` is how many items can be in work at all."""

    def __init__(self, limits: Limits, partitions: int) -> None:
        self._limits = limits
        self._partitions = partitions
        self.items: dict[str, Item] = {}
        """Open ones, by id."""
        self.sequence = 0
        """Of the newest release."""
        self.now = 0.0
        """The hand of the clock of fair shares."""
        self.served: dict[str, float] = {}
        """Where clients are on it, if they are ahead of its hand."""
        self._clients: dict[str, _Client] = {}
        self._tasks: dict[str, _Task] = {}
        self._taken: dict[int, str] = {}
        self._done: OrderedDict[str, int] = OrderedDict()  # item -> newest attempt that is done
        self._waiting_s = 0.0

    @property
    def in_flight(self) -> int:
        """Items that are released, not done, and not put off."""
        return len(self._taken)

    @property
    def waiting(self) -> int:
        """Items that wait for their turn."""
        return sum(each.waiting for each in self._clients.values())

    @property
    def waiting_s(self) -> float:
        """The work that waits, in seconds of one core."""
        return max(self._waiting_s, 0.0)

    def clients(self) -> dict[str, int]:
        """How many items wait, by whose they are."""
        return {name: each.waiting for name, each in self._clients.items() if each.waiting}

    def remember(self, sequence: int, now: float, served: Mapping[str, float]) -> None:
        """Take over the clock that somebody wrote down."""
        self.sequence = max(self.sequence, sequence)
        self.now = max(self.now, now)
        for name, at in served.items():
            self.served[name] = max(at, self.served.get(name, 0.0))

    # The fold.

    def ask(self, item: Item) -> bool:
        """Somebody wants this; False when it is known, or an older attempt at what is known.

        An item of an older attempt is replaced.
        """
        if self._done.get(item.id, 0) >= item.attempt:
            return False
        known = self.items.get(item.id)
        if known is not None:
            if known.attempt >= item.attempt:
                return False
            self._forget(known)
        self.items[item.id] = item
        client = self._clients.setdefault(item.who, _Client())
        client.open += 1
        client.waiting += 1
        self._waiting_s += item.cost_s
        task = self._tasks.setdefault(item.task, _Task(item.event.extraction.concurrency))
        task.open.add(item.id)
        heapq.heappush(task.waiting, (self._rank(item), item.offset, item.id))
        heapq.heappush(task.longest, (-item.cost_s, item.offset, item.id))
        task.waiting_s += item.cost_s
        if task.waiting[0][2] == item.id:
            self._line_up(item.task, client)
        return True

    def released(self, event: ExtractionAdmitted, partition: int) -> None:
        """It was released, by this room or one before it."""
        self.sequence = max(self.sequence, event.sequence)
        self.now = max(self.now, event.virtual_start)
        name = who(event.work.tenant, event.extraction.client)
        self.served[name] = max(event.virtual_finish, self.served.get(name, 0.0))
        item = self.items.get(event.work.job_id)
        if item is None or item.attempt != event.work.attempt or item.partition is not None:
            return
        item.partition = partition
        client, task = self._clients[item.who], self._tasks[item.task]
        client.waiting -= 1
        task.waiting_s -= item.cost_s
        task.in_flight += 1
        if not item.away:
            self._taken[partition] = item.id
            client.in_flight += 1
        self._waiting_s -= item.cost_s
        self._line_up(item.task, client)

    def put_off(self, item_id: str, attempt: int) -> Item | None:
        """A try of it failed and another one comes later; it was released, or that is read soon.

        None when it is not open, or was put off before.
        """
        item = self.items.get(item_id)
        if item is None or item.attempt != attempt or item.away:
            return None
        item.away = True
        if item.partition is not None:
            self._vacate(item)
        return item

    def ended(self, item_id: str, attempt: int) -> Item | None:
        """It is done, failed or canceled. None when it was not open."""
        item = self.items.get(item_id)
        if item is None or item.attempt > attempt:
            return None
        self._forget(item)
        self._done[item_id] = attempt
        if len(self._done) > _REMEMBERED:
            self._done.popitem(last=False)
        return item

    def of_task(self, task_id: str, attempt: int) -> list[Item]:
        """The open items of a task that an order for this attempt of it is about."""
        task = self._tasks.get(task_id)
        found = [self.items[each] for each in task.open] if task else []
        return sorted((i for i in found if i.attempt <= attempt), key=lambda item: item.offset)

    def _forget(self, item: Item) -> None:
        del self.items[item.id]
        client, task = self._clients[item.who], self._tasks[item.task]
        client.open -= 1
        task.open.discard(item.id)
        if item.partition is None:
            client.waiting -= 1
            task.waiting_s -= item.cost_s
            self._waiting_s -= item.cost_s
        else:
            task.in_flight -= 1
            if not item.away:
                self._vacate(item)
        if not task.open:
            del self._tasks[item.task]
        else:
            self._line_up(item.task, client)
        if not client.open:
            del self._clients[item.who]
        if not self.items:
            self._waiting_s = 0.0  # of many small differences a little would be left

    def _vacate(self, item: Item) -> None:
        """Its place is another's."""
        assert item.partition is not None
        self._clients[item.who].in_flight -= 1
        if self._taken.get(item.partition) == item.id:
            del self._taken[item.partition]

    # Whose turn it is.

    def next(self) -> Release | None:
        """The next release, None while there is no room or nobody waits. `released` makes it so."""
        if len(self._taken) >= min(self._limits.in_flight, self._partitions):
            return None
        best: tuple[float, float, int] | None = None
        chosen = ""
        for name, client in self._clients.items():
            if self._limits.a_client and client.in_flight >= self._limits.a_client:
                continue
            head = self._head(client)
            if head is None:
                continue
            place = (max(self.now, self.served.get(name, 0.0)), head[0], head[1])
            if best is None or place < best:
                best, chosen = place, head[2]
        if best is None:
            return None
        item = self._first(self._tasks[chosen])
        sequence = self.sequence + 1
        start = best[0]
        return Release(item, self._free(sequence), sequence, start, start + item.cost_s)

    def forget_the_past(self) -> None:
        """Drop the places of clients that say nothing any more: those behind the clock's hand."""
        self.served = {name: at for name, at in self.served.items() if at > self.now}

    def _rank(self, item: Item) -> float:
        return item.cost_s + self._limits.ageing * item.arrived_ms / 1000

    def _line_up(self, task_id: str, client: _Client) -> None:
        """Put the task's first item among those that may be next, if the task has room."""
        task = self._tasks[task_id]
        self._drop_gone(task.waiting)
        if task.waiting and self._has_room(task):
            rank, offset, _ = task.waiting[0]
            heapq.heappush(client.ready, (rank, offset, task_id))

    def _head(self, client: _Client) -> tuple[float, int, str] | None:
        while client.ready:
            rank, offset, task_id = client.ready[0]
            task = self._tasks.get(task_id)
            if task is not None:
                self._drop_gone(task.waiting)
                if self._has_room(task) and task.waiting and task.waiting[0][:2] == (rank, offset):
                    return client.ready[0]
            heapq.heappop(client.ready)
        return None

    def _first(self, task: _Task) -> Item:
        """Which of a task is next: the shortest, and towards its end the longest."""
        limits = (self._limits.in_flight, self._partitions, self._limits.a_client, task.concurrency)
        places = min(limit for limit in limits if limit)
        self._drop_gone(task.longest)
        if task.waiting_s <= places * -task.longest[0][0]:
            return self.items[task.longest[0][2]]
        return self.items[task.waiting[0][2]]

    def _drop_gone(self, waiting: list[tuple[float, int, str]]) -> None:
        """Drop the first items that do not wait any more."""
        while waiting:
            _, offset, item_id = waiting[0]
            item = self.items.get(item_id)
            if item is not None and item.offset == offset and item.partition is None:
                return
            heapq.heappop(waiting)

    @staticmethod
    def _has_room(task: _Task) -> bool:
        return not task.concurrency or task.in_flight < task.concurrency

    def _free(self, sequence: int) -> int:
        """A partition with nothing in work, so that the item waits behind no other; the one whose
        worker has the least to do, whichever that is."""
        count, near = self._partitions, _near(self._partitions)
        free = ((sequence + step) % count for step in range(count))
        return min(
            (place for place in free if place not in self._taken),
            key=lambda place: sum(near[place][taken] for taken in self._taken),
        )


@cache
def _near(count: int) -> tuple[tuple[int, ...], ...]:
    """How likely two partitions are one worker's: in how many ways of sharing them out."""

    def ways(one: int, other: int) -> int:
        block = sum(one * n // count == other * n // count for n in _WORKERS)
        return block + sum(one % n == other % n for n in _WORKERS)

    return tuple(tuple(ways(one, other) for other in range(count)) for one in range(count))
