"""Whose wait admission shortens, beside first come, first served, and what deciding costs.

``python -m tests.bench.bench_admission`` prints two tables:

- a day's hour in made-up time, the same items for both: four places, a studio with a batch of 400
  songs at concurrency 4, one with 40 albums' worth of long files, and a hundred people who bring a
  single song each as the hour goes by. Wait is from asking to being released, slowdown the time
  until done over the time that it takes alone.
- the room itself, on one core: items that a room takes in, releases and ends a second, and how
  long a successor needs to fold them all again.
"""

from __future__ import annotations

import heapq
import random
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from processors.admission.room import Item, Limits, Room
from tests.processors.admission.items import admitted, item, requested

PLACES = 4
HOUR_S = 3600
ITEMS = 50_000


@dataclass(frozen=True, slots=True)
class Served:
    """How one item fared, in seconds."""

    kind: str
    waited: float
    took: float
    done_at: float


def hour(seed: int) -> list[tuple[float, str, Item]]:
    """When each item comes, of whom, and what it is."""
    chance = random.Random(seed)
    found: list[tuple[float, str, str, str, int, float]] = []
    found += [(0.0, "batch", "studio", "songs", PLACES, chance.uniform(5, 12)) for _ in range(400)]
    found += [(60.0, "long", "archive", "", 0, chance.uniform(60, 180)) for _ in range(40)]
    found += [
        (chance.uniform(0, HOUR_S / 2), "single", f"person {n}", "", 0, chance.uniform(3, 12))
        for n in range(100)
    ]
    found.sort(key=lambda each: each[0])
    return [
        (
            at,
            kind,
            item(
                requested(f"{kind}{n}", task, client=client, concurrency=most, seconds=seconds),
                n,
                round(1000 * at),
            ),
        )
        for n, (at, kind, client, task, most, seconds) in enumerate(found)
    ]


def served(
    coming: list[tuple[float, str, Item]], take: Callable[[], Item | None], room: Room | None
) -> Iterator[Served]:
    """Run the hour; ``take`` says who is next, None while nobody may go."""
    kinds = {one.id: kind for _, kind, one in coming}
    busy: list[tuple[float, str]] = []
    waiting, now = iter(coming), 0.0
    next_one = next(waiting, None)
    while next_one is not None or busy:
        if next_one is not None and (not busy or next_one[0] <= busy[0][0]):
            now = next_one[0]
            arrived.append(next_one[2])
            if room is not None:
                room.ask(next_one[2])
            next_one = next(waiting, None)
        else:
            now, ended = heapq.heappop(busy)
            if room is not None:
                room.ended(ended, 1)
        while len(busy) < PLACES and (chosen := take()) is not None:
            heapq.heappush(busy, (now + chosen.cost_s, chosen.id))
            yield Served(
                kinds[chosen.id],
                now - chosen.arrived_ms / 1000,
                chosen.cost_s,
                now + chosen.cost_s,
            )


arrived: list[Item] = []
"""Who came and has not gone, for first come, first served."""


def first_come(coming: list[tuple[float, str, Item]]) -> list[Served]:
    """As a queue without any order of its own does it."""
    arrived.clear()
    return list(served(coming, lambda: arrived.pop(0) if arrived else None, None))


def by_admission(coming: list[tuple[float, str, Item]]) -> list[Served]:
    """As the room decides."""
    arrived.clear()
    room = Room(Limits(in_flight=PLACES), 16)

    def take() -> Item | None:
        release = room.next()
        if release is None:
            return None
        room.released(admitted(release), release.partition)
        return release.item

    return list(served(coming, take, room))


def compare() -> None:
    """Print how each kind fared."""
    coming = hour(7)
    ways = {"first come": first_come(coming), "admission": by_admission(coming)}
    print(f"{'':10} {'':8} {'wait p50':>9} {'wait p95':>9} {'slowdown p50':>13}")
    for kind in ("single", "batch", "long"):
        for name, done in ways.items():
            waits = sorted(each.waited for each in done if each.kind == kind)
            slow = [(each.waited + each.took) / each.took for each in done if each.kind == kind]
            print(
                f"{kind:10} {name:10} {statistics.median(waits):7.0f} s"
                f" {waits[int(0.95 * len(waits))]:7.0f} s {statistics.median(slow):13.1f}"
            )
    ends = {name: max(each.done_at for each in done) for name, done in ways.items()}
    ratio = ends["admission"] / ends["first come"]
    print(f"makespan: {ends['admission']:.0f} s, {ratio:.3f} of first come, first served")


def measure() -> None:
    """Print what the room itself costs."""
    chance = random.Random(3)
    items = [
        item(
            requested(
                f"i{n}",
                f"t{n // 500}",
                client=f"c{n // 500 % 20}",
                concurrency=4,
                seconds=chance.uniform(1, 100),
            ),
            n,
        )
        for n in range(ITEMS)
    ]
    room = Room(Limits(in_flight=16), 16)
    began = time.perf_counter()
    for one in items:
        room.ask(one)
    taken_s = time.perf_counter() - began
    log = []
    while room.items:
        release = room.next()
        if release is None:
            busy = next(each for each in room.items.values() if each.partition is not None)
            room.ended(busy.id, 1)
            continue
        event = admitted(release)
        log.append((event, release.partition))
        room.released(event, release.partition)
        if room.in_flight == 16:
            room.ended(release.item.id, 1)
    decided_s = time.perf_counter() - began - taken_s
    again = Room(Limits(in_flight=16), 16)
    began = time.perf_counter()
    for one in items:
        again.ask(Item(one.event, one.cause, one.offset, one.arrived_ms))
    for event, partition in log:
        again.released(event, partition)
        again.ended(event.work.job_id, 1)
    folded_s = time.perf_counter() - began
    print(f"{ITEMS / taken_s:,.0f} items taken in a second, {ITEMS / decided_s:,.0f} released")
    print(f"{ITEMS:,} items, released and done, are folded again in {folded_s:.1f} s")


if __name__ == "__main__":
    compare()
    print()
    measure()
