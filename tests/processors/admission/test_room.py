"""Laws of the waiting room, whatever comes in whatever order."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from hypothesis import given
from hypothesis import strategies as st

from processors.admission.room import Item, Limits, Release, Room
from schemas.events import ExtractionAdmitted, ExtractionRequested
from tests.processors.admission.items import admitted, item, requested
from topics.admission import who

LIMITS = Limits(in_flight=5, a_client=3, ageing=0.5)
PARTITIONS = 16


@dataclass
class Life:
    """A room, and everything that a log would have of it."""

    limits: Limits = LIMITS
    requests: list[Item] = field(default_factory=list)
    releases: list[tuple[ExtractionAdmitted, int]] = field(default_factory=list)
    ended: list[tuple[str, int]] = field(default_factory=list)
    put_off: list[tuple[str, int]] = field(default_factory=list)
    room: Room = field(init=False)

    def __post_init__(self) -> None:
        self.room = Room(self.limits, PARTITIONS)

    def ask(self, event: ExtractionRequested) -> None:
        self.requests.append(item(event, len(self.requests)))
        self.room.ask(self.requests[-1])

    def release(self) -> Release | None:
        release = self.room.next()
        if release is not None:
            self.releases.append((admitted(release), release.partition))
            self.room.released(*self.releases[-1])
        return release

    def end(self, choice: int) -> None:
        busy = sorted(each.id for each in self.room.items.values() if each.partition is not None)
        if busy:
            chosen = self.room.items[busy[choice % len(busy)]]
            self.ended.append((chosen.id, chosen.attempt))
            self.room.ended(*self.ended[-1])

    def fail(self, choice: int) -> None:
        busy = sorted(each.id for each in self.room.items.values() if in_work(each))
        if busy:
            chosen = self.room.items[busy[choice % len(busy)]]
            self.put_off.append((chosen.id, chosen.attempt))
            assert self.room.put_off(*self.put_off[-1]) is chosen

    def restart(self) -> None:
        """Another room, made of the log alone: requests first, then the rest in any order."""
        room = Room(self.limits, PARTITIONS)
        for one in self.requests:
            room.ask(Item(one.event, one.cause, one.offset, one.arrived_ms))
        told: list[Callable[[], object]] = [
            *(partial(room.released, *release) for release in self.releases),
            *(partial(room.put_off, *failed) for failed in self.put_off),
            *(partial(room.ended, *ended) for ended in self.ended),
        ]
        random.Random(len(told)).shuffle(told)
        for each in told:
            each()
        self.room = room


def in_work(each: Item) -> bool:
    return each.partition is not None and not each.away


TASKS = {f"t{n}": (f"c{n % 3}", n % 4) for n in range(7)}  # task -> client, concurrency

asks = st.tuples(
    st.just("ask"),
    st.sampled_from([*TASKS, ""]),
    st.floats(min_value=0.1, max_value=1000.0),
)
acts = st.one_of(
    asks,
    st.tuples(st.just("release"), st.just(""), st.just(0.0)),
    st.tuples(st.just("end"), st.just(""), st.floats(0, 50)),
    st.tuples(st.just("fail"), st.just(""), st.floats(0, 50)),
    st.tuples(st.just("restart"), st.just(""), st.just(0.0)),
)
lives = st.lists(acts, max_size=120)


def _live(acts: list[tuple[str, str, float]], *, restarts: bool) -> Life:
    life = Life()
    for what, task, number in acts:
        if what == "ask":
            client, concurrency = TASKS.get(task, ("alone", 0))
            name = f"i{len(life.requests)}"
            life.ask(requested(name, task, client=client, concurrency=concurrency, seconds=number))
        elif what == "release":
            life.release()
        elif what == "end":
            life.end(int(number))
        elif what == "fail":
            life.fail(int(number))
        elif restarts:
            life.restart()
        _within_limits(life.room)
    return life


def _within_limits(room: Room) -> None:
    released = [each for each in room.items.values() if each.partition is not None]
    busy = [each for each in released if in_work(each)]
    assert len(busy) == room.in_flight <= LIMITS.in_flight
    assert len({each.partition for each in busy}) == len(busy), "a partition an item"
    assert max(Counter(each.who for each in busy).values(), default=0) <= LIMITS.a_client
    for task, count in Counter(each.task for each in released).items():
        concurrency = TASKS.get(task, ("", 0))[1]
        assert not concurrency or count <= concurrency
    assert room.waiting == len(room.items) - len(released) == sum(room.clients().values())


@given(lives)
def test_no_limit_is_ever_crossed_and_a_restart_changes_nothing(
    acts: list[tuple[str, str, float]],
) -> None:
    straight, restarted = (_live(acts, restarts=each) for each in (False, True))
    assert straight.releases == restarted.releases
    assert abs(straight.room.waiting_s - restarted.room.waiting_s) < 1e-6


@given(lives)
def test_every_item_is_released_exactly_once(acts: list[tuple[str, str, float]]) -> None:
    life = _live(acts, restarts=True)
    while life.room.items:
        while life.release():
            pass
        assert any(each.partition is not None for each in life.room.items.values()), "stuck"
        life.end(0)
    names = Counter(event.work.job_id for event, _ in life.releases)
    assert names == Counter(each.id for each in life.requests)
    assert [event.sequence for event, _ in life.releases] == [*range(1, len(names) + 1)]
    assert life.room.waiting_s == 0
    assert not life.room.clients()


@given(st.floats(5.0, 200.0), st.floats(0.1, 2.0))
def test_a_long_item_is_overtaken_for_a_bounded_time(seconds: float, ageing: float) -> None:
    """However many short ones keep coming: it is its turn behind what came soon enough."""
    room = Room(Limits(in_flight=1, ageing=ageing), PARTITIONS)
    room.ask(item(requested("long", seconds=seconds), 0))
    count, overtaken = 0, 0
    while True:
        count += 1
        room.ask(item(requested(f"short-{count}", seconds=1.0), count, 1000 * count))
        release = room.next()
        assert release is not None
        room.released(admitted(release), release.partition)
        room.ended(release.item.id, 1)
        if release.item.id == "long":
            break
        overtaken += 1
        assert overtaken <= seconds / ageing + 1
    assert overtaken >= (seconds - 1.0) / ageing - 2, "short ones do go first"


def test_a_client_with_one_file_does_not_wait_for_anothers_thousand() -> None:
    room = Room(Limits(in_flight=1), PARTITIONS)
    for n in range(1000):
        room.ask(item(requested(f"b{n}", "big", client="greedy"), n, 0))
    first = _served(room, 10)
    room.ask(item(requested("single", client="modest", seconds=300.0), 1001))
    assert "single" not in first
    assert "single" in _served(room, 2), "it came new: its turn is at once, however long it is"


def test_shares_follow_the_work_not_the_number_of_files() -> None:
    room = Room(Limits(in_flight=1), PARTITIONS)
    for n in range(200):
        room.ask(item(requested(f"s{n}", client="shorts", seconds=1.0), n, 0))
        room.ask(item(requested(f"l{n}", client="longs", seconds=10.0), 1000 + n, 0))
    names = Counter(name[0] for name in _served(room, 110))
    assert names["s"] == 100
    assert names["l"] == 10


def _served(room: Room, count: int) -> list[str]:
    names = []
    for _ in range(count):
        release = room.next()
        assert release is not None
        room.released(admitted(release), release.partition)
        room.ended(release.item.id, 1)
        names.append(release.item.id)
    return names


def test_a_batch_of_concurrency_one_goes_one_by_one() -> None:
    room = Room(Limits(in_flight=8), PARTITIONS)
    for n in range(3):
        room.ask(item(requested(f"i{n}", "t", concurrency=1), n))
    release = room.next()
    assert release is not None
    room.released(admitted(release), release.partition)
    assert room.next() is None
    room.ended(release.item.id, 1)
    assert room.next() is not None


def test_what_waits_for_its_next_try_blocks_its_own_batch_only() -> None:
    room = Room(Limits(in_flight=1, a_client=1), PARTITIONS)
    for n in range(2):
        room.ask(item(requested(f"i{n}", "t", concurrency=1), n))
    release = room.next()
    assert release is not None
    room.released(admitted(release), release.partition)
    assert room.put_off("i0", 1) is not None
    assert room.put_off("i0", 1) is None
    assert room.next() is None, "one of the batch is under way"
    room.ask(item(requested("other"), 2))
    other = room.next()
    assert other is not None
    assert other.item.id == "other"
    room.ended("i0", 1)
    head = room.next()
    assert head is not None
    assert head.item.id in ("i1", "other")


def test_a_newer_attempt_takes_the_place_of_an_older_one() -> None:
    room = Room(Limits(), PARTITIONS)
    assert room.ask(item(requested("i", attempt=1), 0))
    assert room.ask(item(requested("i", attempt=2), 1))
    assert not room.ask(item(requested("i", attempt=1), 2))
    assert room.ended("i", 1) is None, "the older attempt's end says nothing of the newer one"
    release = room.next()
    assert release is not None
    assert release.item.attempt == 2
    assert room.ended("i", 2) is not None
    assert not room.ask(item(requested("i", attempt=2), 3)), "written twice, done once"
    assert room.ask(item(requested("i", attempt=3), 4))


def test_the_open_items_of_a_task_are_known_in_order() -> None:
    room = Room(Limits(), PARTITIONS)
    for n in range(4):
        room.ask(item(requested(f"i{n}", "t", attempt=1 + n % 2), n))
    assert [each.id for each in room.of_task("t", 2)] == ["i0", "i1", "i2", "i3"]
    assert [each.id for each in room.of_task("t", 1)] == ["i0", "i2"]
    assert room.of_task("other", 1) == []


def test_shares_are_the_tenants_and_the_clients_only_where_nobody_is_known() -> None:
    assert who("acme", "phone") == who("acme", "laptop") == "acme"
    assert who("default", "phone") != who("default", "laptop")


@given(st.lists(st.integers(0, 3), max_size=60), st.integers(2, 8))
def test_items_are_spread_over_workers_whoever_has_which_partitions(
    ends: list[int], in_flight: int
) -> None:
    """No worker of two has all the work while the other has none."""
    room = Room(Limits(in_flight=in_flight), PARTITIONS)
    for n in range(100):
        room.ask(item(requested(f"i{n}"), n))
    for end in [0, *ends]:
        while release := room.next():
            room.released(admitted(release), release.partition)
        busy = sorted(each.partition for each in room.items.values() if each.partition is not None)
        for one in (
            [place for place in busy if place < PARTITIONS // 2],
            [place for place in busy if place % 2],
        ):
            assert abs(2 * len(one) - len(busy)) <= 2, busy
        room.ended(room._taken[busy[end % len(busy)]], 1)


def test_every_partition_is_used_whatever_their_number() -> None:
    for partitions in range(1, 20):
        room = Room(Limits(in_flight=100), partitions)
        for n in range(partitions):
            room.ask(item(requested(f"i{n}"), n))
        found = set()
        while release := room.next():
            room.released(admitted(release), release.partition)
            found.add(release.partition)
        assert found == set(range(partitions))


def _ends_s(seconds: list[float], places: int) -> list[float]:
    """When the items of a batch end that arrive together, each in one of so many places."""
    life = Life(Limits(in_flight=places))
    for number, cost_s in enumerate(seconds):
        life.requests.append(item(requested(f"i{number}", "t", seconds=cost_s), number, 0))
        life.room.ask(life.requests[-1])
    now_s, busy, ends = 0.0, list[tuple[float, str]](), list[float]()
    while len(ends) < len(seconds):
        while (release := life.release()) is not None:
            busy.append((now_s + release.item.cost_s, release.item.id))
        busy.sort()
        now_s, name = busy.pop(0)
        life.room.ended(name, 1)
        ends.append(now_s)
    return ends


def test_the_longest_of_a_batch_is_not_what_is_waited_for_at_the_end() -> None:
    shorts, longs = [1.0 + 0.01 * n for n in range(18)], [6.0, 5.0]
    ends = _ends_s(shorts + longs, places=2)
    # In order of length the last one would begin when nothing else is left to do.
    assert ends[-1] <= 1.03 * sum(shorts + longs) / 2
    # And still half of the items are there as soon as the shortest can be.
    assert ends[9] == _ends_s(shorts, places=2)[9]


@given(st.lists(st.floats(0.1, 100), min_size=1, max_size=40), st.integers(1, 6))
def test_the_end_of_a_batch_costs_no_more_than_the_worst_order_of_lists_may(
    seconds: list[float], places: int
) -> None:
    """Graham's bound for whoever leaves no place empty."""
    longest, whole = max(seconds), sum(seconds)
    assert _ends_s(seconds, places)[-1] <= whole / places + longest * (1 - 1 / places) + 1e-6
