"""The client of both systems: sends the orders, asks how far they are, kills a worker half-way."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import httpx

from tests.bench.load.runs import Item, Order, Run
from tests.bench.load.watching import Watch

_LOOK_S = 0.2
LONGEST_S = 900.0


class System(Protocol):
    """A system that takes batches over HTTP."""

    def roots(self) -> list[int]:
        """Its processes: everything that these started is its, too."""

    def http(self, client: str) -> httpx.Client:
        """A client of its API."""

    def send(self, http: httpx.Client, order: Order, extractors: Sequence[str] | None) -> str:
        """Ask for a batch; its task."""

    def ended(self, http: httpx.Client, task: str) -> int:
        """How many items of a task its status says are done or have failed."""

    def kill_a_worker(self) -> None:
        """kill -9, and another one in its place."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A status as a client saw it: asked at, and how many items had ended."""

    asked_s: float
    ended: int


@dataclass(slots=True)
class Drive:
    """What a client did and saw; Unix seconds."""

    began_s: float
    tasks: dict[str, tuple[Order, float]] = field(default_factory=dict)
    """Each order and when it was sent, by task."""
    seen: list[Seen] = field(default_factory=list)
    cpu_s: float = 0.0
    peak_mib: float = 0.0

    def run(
        self,
        system: str,
        title: str,
        concurrency: int,
        items: Sequence[Item],
        notes: Sequence[str] = (),
    ) -> Run:
        """What came of it, with the items as the system itself has them."""
        return Run(
            system=system,
            title=title,
            concurrency=concurrency,
            items=items,
            cpu_s=self.cpu_s,
            peak_mib=self.peak_mib,
            stale_s=self._stale_s(items),
            notes=notes,
        )

    def _stale_s(self, items: Sequence[Item]) -> float:
        """How long ago the first item ended that a status did not show yet, at worst."""
        ends = sorted(self.began_s + each.ended_s for each in items if each.ended_s is not None)
        late = [each.asked_s - ends[each.ended] for each in self.seen if each.ended < len(ends)]
        return max([0.0, *late])


def drive(
    system: System,
    orders: Sequence[Order],
    extractors: Sequence[str] | None = None,
    *,
    kill_at: int | None = None,
    silence_s: float = LONGEST_S,
) -> Drive:
    """Send the orders and ask for their status until all items have ended, or none has for
    ``silence_s``. ``kill_at``: the items done when a worker is killed."""
    found = Drive(time.time())
    lock = threading.Lock()

    def send(order: Order) -> None:
        time.sleep(max(0.0, found.began_s + order.after_s - time.time()))
        with system.http(order.client) as http:
            sent_s = time.time()
            task = system.send(http, order, extractors)
            with lock:
                found.tasks[task] = (order, sent_s)

    senders = [threading.Thread(target=send, args=(order,)) for order in orders]
    total = sum(len(order.files) for order in orders)
    with Watch(system.roots) as watch, system.http("watcher") as http:
        for sender in senders:
            sender.start()
        ended, moved_s = 0, time.time()
        while ended < total and time.time() - moved_s < silence_s:
            time.sleep(_LOOK_S)
            asked_s, before = time.time(), ended
            with lock:
                known = list(found.tasks)
            ended = sum(system.ended(http, task) for task in known)
            found.seen.append(Seen(asked_s, ended))
            if ended > before:
                moved_s = asked_s
            if kill_at is not None and ended >= kill_at:
                system.kill_a_worker()
                kill_at = None
        for sender in senders:
            sender.join()
    found.cpu_s, found.peak_mib = watch.cpu_s, watch.peak_mib
    return found
