"""Workers that die, a log that delivers again, a provider that lies: in time that is made up.

Threads stand for the workers, but only one of them runs at a time, and time moves only when all of
them wait. What they do is the product's own code from the event to the next event; the log is what
it promises and no more: a record is handled until somebody's events and its offset are committed
together, by one worker or, when that one dies or loses its partition, by another.
"""

from __future__ import annotations

import heapq
import itertools
import random
import threading
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

from processors.generation import following, sending
from processors.generation.desk import Desk
from processors.generation.provider import HttpProvider
from processors.generation.provider.answers import callback_of
from processors.generation.tickets import Tickets
from processors.runtime import Later
from processors.runtime.delays import delay_ms
from schemas.events import (
    Event,
    Generated,
    GenerationDue,
    GenerationHinted,
    GenerationRequested,
    GenerationUpdated,
)
from schemas.providers import SUNOAPI
from tests.processors.generation.parts import (
    FakeFetcher,
    FakeTransport,
    MemoryStore,
    fake,
    keep_token,
    provider_settings,
    requested,
)
from tools.provider.core import FakeProvider
from tools.provider.faults import Chance
from topics.codec import Envelope

START_MS = 1_800_000_000_000
RANK = {10: 0, 20: 1, 30: 2, 40: 3, 99: 4, 90: 5, 50: 6}


class Killed(BaseException):
    """The worker's process is no more."""


@dataclass
class Time:
    """Made-up time for threads that take turns."""

    now_ms: float = START_MS
    waiting: list[tuple[float, int, threading.Semaphore]] = field(default_factory=list)
    count: itertools.count[int] = field(default_factory=itertools.count)

    def sleep(self, seconds: float) -> None:
        """Give the turn away until then."""
        if seconds <= 0:
            return
        turn = threading.Semaphore(0)
        heapq.heappush(self.waiting, (self.now_ms + seconds * 1000, next(self.count), turn))
        self.give()
        turn.acquire()

    def give(self) -> None:
        """Let the next one run."""
        if self.waiting:
            at_ms, _, turn = heapq.heappop(self.waiting)
            self.now_ms = max(self.now_ms, at_ms)
            turn.release()


@dataclass
class Hand:
    """A record that a worker has."""

    event: Event
    cause: str
    lost: bool = False  # its partition went to another worker: what it makes is not committed


@dataclass
class World:
    """Jobs, workers, provider."""

    folder: Path
    seed: int
    share: float
    kill_every_s: float = 10.0
    senders: int = 3
    lookers: int = 6
    time: Time = field(default_factory=Time)
    store: MemoryStore = field(default_factory=MemoryStore)
    envelopes: list[Envelope] = field(default_factory=list)
    kills: int = 0

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)
        self.provider: FakeProvider = fake(
            lambda: self.time.now_ms / 1000, chance=Chance(self.share, self.seed)
        )
        self.queues: dict[str, deque[Hand]] = {"send": deque(), "look": deque()}
        self.later: list[tuple[float, int, Hand]] = []
        self.number = itertools.count()
        self.owners: dict[str, GenerationRequested] = {}  # by token
        self.doomed: dict[str, int] = {}  # worker -> acts until it dies
        self.hands: dict[str, Hand] = {}
        self.over = False
        self.failures: list[BaseException] = []
        self.store.touch = self.touch

    # What happens to whom.

    def touch(self) -> None:
        """An act of a worker: it may be its last."""
        me = threading.current_thread().name
        if me in self.doomed:
            self.doomed[me] -= 1
            if self.doomed[me] < 0:
                del self.doomed[me]
                raise Killed

    def ask(self, jobs: int, over_s: float) -> None:
        """Requests, spread over a time."""
        for number in range(jobs):
            at_ms = START_MS + round(over_s * 1000 * number / max(jobs, 1))
            event = requested(number, at_ms)
            self.owners[keep_token(self.store, event)] = event
            self._push(at_ms, Hand(event, f"request-{number}"))

    def run(self, until_s: float = 4 * 3600.0) -> None:
        """Until nothing is left to do."""
        kinds = ["send"] * self.senders + ["look"] * self.lookers
        threads = [
            threading.Thread(target=self._work, name=f"{kind}-{number}", args=(kind,), daemon=True)
            for number, kind in enumerate(kinds)
        ]
        for thread in threads:
            turn = threading.Semaphore(0)
            heapq.heappush(self.time.waiting, (START_MS, next(self.time.count), turn))
            thread._turn = turn  # type: ignore[attr-defined]
            thread.start()
        next_kill_s = self.kill_every_s
        while self.time.now_ms < START_MS + until_s * 1000 and not self.failures:
            self.time.sleep(self._idle_s())
            self._deliver()
            passed_s = (self.time.now_ms - START_MS) / 1000
            if passed_s >= next_kill_s:
                next_kill_s += self.kill_every_s
                self._strike()
            if not self._busy() and not self.later and not self.provider.callbacks:
                break
        self.over = True
        while any(thread.is_alive() for thread in threads) and not self.failures:
            self.time.sleep(1.0)
        if self.failures:
            raise self.failures[0]

    def _idle_s(self) -> float:
        """Until something may be to do: soon while others work, else until a record is due."""
        if self._busy():
            return 0.1
        due = [self.later[0][0]] if self.later else []
        due += [callback.at_s * 1000 for callback in self.provider.callbacks]
        return min(max((min(due, default=0) - self.time.now_ms) / 1000, 0.1), 60.0)

    def _busy(self) -> bool:
        return any(self.queues.values()) or bool(self.hands)

    def _deliver(self) -> None:
        now = self.time.now_ms
        while self.later and self.later[0][0] <= now:
            _, _, hand = heapq.heappop(self.later)
            self._queue(hand.event).append(hand)
        for callback in self.provider.due():
            owner = self.owners.get(callback.url.rpartition("/")[2])
            if owner is None:
                continue  # the gateway answers 404
            task_id, kind = callback_of(callback.body)
            hint = GenerationHinted(
                work=owner.work,
                generation=owner.generation,
                hint_id=f"hint-{next(self.number)}",
                task_id=task_id,
                callback_type=kind,
            )
            self.queues["look"].append(Hand(hint, hint.hint_id))

    def _strike(self) -> None:
        """Kill a worker in the middle of its work, or take its partition away."""
        if not self.hands:
            return
        self.kills += 1
        me = self.rng.choice(sorted(self.hands))
        hand = self.hands[me]
        if self.rng.random() < 0.7:
            self.doomed[me] = self.rng.randrange(8)
        elif not hand.lost:
            hand.lost = True
            self._queue(hand.event).append(Hand(hand.event, hand.cause))

    def _queue(self, event: Event) -> deque[Hand]:
        is_send = isinstance(event, GenerationRequested) or (
            isinstance(event, GenerationDue) and event.step == "send"
        )
        return self.queues["send" if is_send else "look"]

    def _push(self, at_ms: float, hand: Hand) -> None:
        heapq.heappush(self.later, (at_ms, next(self.number), hand))

    # A worker.

    def _work(self, kind: str) -> None:
        threading.current_thread()._turn.acquire()  # type: ignore[attr-defined]
        me = threading.current_thread().name
        folder = self.folder / me
        folder.mkdir(parents=True, exist_ok=True)
        desk = self._desk(folder)
        try:
            while not self.over:
                if not self.queues[kind]:
                    self.time.sleep(self._idle_s())
                    continue
                hand = self.queues[kind].popleft()
                self.hands[me] = hand
                try:
                    made = self._handle(hand.event, desk)
                except Killed:
                    self._push(self.time.now_ms + self.rng.uniform(200, 8000), hand)
                    desk = self._desk(folder)
                    if hand.lost:
                        self.later = [each for each in self.later if each[2] is not hand]
                        heapq.heapify(self.later)
                else:
                    if not hand.lost:
                        self._commit(hand, made)
                finally:
                    self.doomed.pop(me, None)
                    del self.hands[me]
        except BaseException as error:
            self.failures.append(error)
        finally:
            self.time.give()

    def _handle(self, event: Event, desk: Desk) -> sending.Moves:
        if isinstance(event, GenerationRequested):
            return sending.intend(event, desk.now_ms())
        if isinstance(event, GenerationHinted):
            return following.hinted(event, desk)
        assert isinstance(event, GenerationDue)
        return sending.send(event, desk) if event.step == "send" else following.look(event, desk)

    def _commit(self, hand: Hand, made: sending.Moves) -> None:
        for place, one in enumerate(made):
            event = one.event if isinstance(one, Later) else one
            envelope = Envelope.caused(
                event,
                by=hand.cause,
                source="stage",
                time_ms=round(self.time.now_ms),
                traceparent="",
                part=str(place),
            )
            self.envelopes.append(envelope)
            if isinstance(one, Later):
                self._push(self.time.now_ms + delay_ms(one), Hand(event, envelope.id))
            elif isinstance(event, GenerationDue):
                self._queue(event).append(Hand(event, envelope.id))

    def _desk(self, folder: Path) -> Desk:
        settings = provider_settings()

        def now_ms() -> int:
            return round(self.time.now_ms)

        def call_takes_time(seconds: float) -> None:
            self.time.sleep(seconds or self.rng.uniform(0.05, 0.8))

        return Desk(
            provider=HttpProvider(
                settings, transport=FakeTransport(self.provider, call_takes_time, self.touch)
            ),
            account=settings.account,
            store=self.store.as_store(),
            tickets=Tickets(
                self.store.as_store(), settings.account, SUNOAPI, now_ms, self.time.sleep
            ),
            fetcher=FakeFetcher(),
            folder=folder,
            now_ms=now_ms,
            rng=self.rng,
            default_model="V4_5",
        )

    # What became of it.

    def stages(self) -> dict[str, int]:
        """The stage that each job ended in."""
        found: dict[str, int] = {owner.work.job_id: 10 for owner in self.owners.values()}
        for envelope in self.envelopes:
            event = envelope.event
            if isinstance(event, GenerationUpdated):
                job, stage = event.job_id, event.stage
            elif isinstance(event, Generated):
                job, stage = event.work.job_id, 50
            else:
                continue
            if RANK[stage] > RANK[found[job]]:
                found[job] = stage
        return found


def most_in_a_window(times_s: list[float], window_s: float) -> int:
    """The most calls in any window of that length."""
    ordered, most, first = sorted(times_s), 0, 0
    for last, at in enumerate(ordered):
        while ordered[first] <= at - window_s:
            first += 1
        most = max(most, last - first + 1)
    return most
