"""The projector on the embedded log."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest

from gateway.projection.projector import (
    GROUP,
    Projector,
    Rebuilt,
    _pause_s,
    apply_now,
    rebuild,
)
from gateway.projection.sqlite import SqliteStore
from gateway.projection.store import StoreError
from schemas import avsc
from schemas.events import EVENTS
from tests.gateway.projection.contract import published
from tests.gateway.projection.histories import TENANT, Track
from topics.catalog import CATALOG, PARTITIONS, PROJECTED
from topics.codec import Codec, Envelope, LocalIds
from topics.log import Consumer, Log, LogError, Outgoing, Producer, Record
from topics.log.embedded import EmbeddedLog
from topics.registry import RegistryError

CODEC = Codec(prefix="test.")


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    log = EmbeddedLog(tmp_path / "log.db")
    log.provision({CODEC.on_log(name): PARTITIONS for name in CATALOG})
    yield log
    log.close()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    store = SqliteStore(tmp_path / "projection.db")
    yield store
    store.close()


def write(log: Log, envelopes: Sequence[Envelope]) -> None:
    send(log, [CODEC.encode(envelope) for envelope in envelopes])


def send(log: Log, outgoing: Sequence[Outgoing]) -> None:
    producer = log.producer("test")
    producer.send(outgoing)
    producer.close()


def until(reached: Callable[[], bool]) -> None:
    """Wait for another thread; the suite's own timeout ends a wait in vain."""
    while not reached():
        time.sleep(0.01)


@contextmanager
def projecting(projector: Projector) -> Iterator[None]:
    stop = threading.Event()
    failures: list[BaseException] = []

    def run() -> None:
        try:
            projector.run(stop)
        except BaseException as failure:
            failures.append(failure)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
    assert not failures


def dead_letters(log: Log) -> list[Record]:
    reader = log.reader([CODEC.on_log("projector.dlq")])
    letters: list[Record] = []
    while not reader.caught_up():
        letters += reader.poll(0.1)
    reader.close()
    return letters


class Refusing(SqliteStore):
    """A store whose next writes fail, as those to a full disk do."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.refusals = 0

    def apply(self, changes):  # type: ignore[no-untyped-def]
        if self.refusals:
            self.refusals -= 1
            raise StoreError("projection.db could not be written (disk full)")
        return super().apply(changes)


class Dying(SqliteStore):
    """A store whose process is killed right after its second write."""

    writes = 0

    def apply(self, changes):  # type: ignore[no-untyped-def]
        applied = super().apply(changes)
        self.writes += 1
        if self.writes == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return applied


def _project_and_die(folder: Path) -> None:
    log = EmbeddedLog(folder / "log.db")
    store = Dying(folder / "projection.db")
    Projector(log, CODEC, store, batch=5).run(threading.Event())


class TestRun:
    def test_folds_what_is_there_and_what_comes(
        self, log: Log, store: SqliteStore, tmp_path: Path
    ) -> None:
        first, second = published("trk_1", "job_1"), published("trk_2", "job_2")
        write(log, first.envelopes)
        projector = Projector(log, CODEC, store)
        assert projector.lag() == len(first.envelopes)
        with projecting(projector):
            until(lambda: projector.lag() == 0)
            write(log, second.envelopes)
            until(lambda: projector.status.events == len(first.envelopes + second.envelopes))
        expected = SqliteStore(tmp_path / "expected.db")
        apply_now(expected, [*first.envelopes, *second.envelopes])
        assert store.dump() == expected.dump()
        expected.close()
        assert projector.status.partitions == len(PROJECTED) * PARTITIONS

    def test_goes_on_where_it_committed(self, log: Log, store: SqliteStore) -> None:
        history = published()
        write(log, history.envelopes)
        first = Projector(log, CODEC, store)
        with projecting(first):
            until(lambda: first.status.events == len(history.envelopes))
        more = published("trk_2", "job_2").envelopes
        write(log, more)
        second = Projector(log, CODEC, store)
        with projecting(second):
            until(lambda: second.lag() == 0)
        assert second.status.events == len(more)
        job = store.job(TENANT, "job_2")
        assert job is not None
        assert job.state == "succeeded"

    def test_killed_between_its_write_and_its_commit_it_loses_and_doubles_nothing(
        self, log: Log, store: SqliteStore, tmp_path: Path
    ) -> None:
        envelopes = [*published("trk_1", "job_1").envelopes, *published("trk_2", "job_2").envelopes]
        write(log, envelopes)
        victim = multiprocessing.get_context("spawn").Process(
            target=_project_and_die, args=(tmp_path,)
        )
        victim.start()
        victim.join()
        assert victim.exitcode == -signal.SIGKILL
        half = store.dump()
        assert half
        projector = Projector(log, CODEC, store)
        lag = projector.lag()
        assert 0 < lag < len(envelopes)
        with projecting(projector):
            until(lambda: projector.lag() == 0)
        assert projector.status.events == lag
        live = store.dump()
        assert live != half
        rebuild(log, CODEC, store)
        assert store.dump() == live

    def test_what_the_gateway_folded_before_is_no_change(
        self, log: Log, store: SqliteStore
    ) -> None:
        history = Track()
        history.ask(history.work("job_1"))
        write(log, history.envelopes)
        apply_now(store, history.envelopes)
        assert store.job(TENANT, "job_1") is not None
        before = store.sequence()
        projector = Projector(log, CODEC, store)
        with projecting(projector):
            until(lambda: projector.lag() == 0)
        assert store.sequence() == before

    def test_poison_is_set_aside_with_its_reason_and_blocks_nothing(
        self, log: Log, store: SqliteStore
    ) -> None:
        history = published()
        good = [CODEC.encode(envelope) for envelope in history.envelopes]
        poison = [
            replace(good[0], value=b"no avro"),
            replace(good[0], value=None),
            replace(good[0], headers=(("traceparent", b"t"),)),
        ]
        send(log, [*poison, *good])
        projector = Projector(log, CODEC, store)
        with projecting(projector):
            until(lambda: projector.lag() == 0)
        assert projector.status.poisoned == 3
        assert projector.status.events == len(good)
        job = store.job(TENANT, "job_1")
        assert job is not None
        assert job.state == "succeeded"
        letters = dead_letters(log)
        assert [letter.value for letter in letters] == [each.value for each in poison]
        for letter, origin in zip(letters, poison, strict=True):
            assert letter.headers[: len(origin.headers)] == origin.headers
            why = dict(letter.headers[len(origin.headers) :])
            assert why["melisma.error.stage"] == GROUP.encode()
            assert why["melisma.error.code"] == b"poison"
            assert why["melisma.error.topic"] == origin.topic.encode()
            assert why["melisma.error.message"]
        assert [dict(letter.headers)["melisma.error.offset"] for letter in letters] == [
            b"0",
            b"1",
            b"2",
        ]

    @pytest.mark.parametrize("topic", sorted(PROJECTED))
    def test_poison_of_every_topic_is_kept_as_it_was(
        self, log: Log, store: SqliteStore, topic: str
    ) -> None:
        random = Random(topic)
        fine = avsc.golden(topic)
        good = CODEC.encode(Envelope(EVENTS[topic].from_wire(fine), "id", "test", 1, ""))
        assert good.value is not None
        values = (
            random.randbytes(100),
            b"\0" + random.randbytes(4) + good.value[5:],  # an id that nobody gave
            good.value[:-1],
            good.value + b"\0",
            random.randbytes(2 * 2**20),
            b"",
            None,
        )
        send(log, [replace(good, value=value) for value in values])
        projector = Projector(log, CODEC, store)
        with projecting(projector):
            until(lambda: projector.lag() == 0)
        letters = dead_letters(log)
        assert [letter.value for letter in letters] == list(values)
        assert {letter.key for letter in letters} == {good.key}
        for letter in letters:
            assert letter.headers[: len(good.headers)] == good.headers

    def test_a_store_that_refuses_is_asked_again(
        self, log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("gateway.projection.projector._AGAIN_S", 0.01)
        store = Refusing(tmp_path / "refusing.db")
        store.refusals = 3
        history = published()
        write(log, history.envelopes)
        projector = Projector(log, CODEC, store)
        with projecting(projector):
            until(lambda: projector.lag() == 0)
        assert store.refusals == 0
        assert projector.status.store_failures == 0
        assert store.track(TENANT, "trk_1") is not None
        store.close()

    def test_stopped_before_the_write_it_commits_nothing(self, log: Log, tmp_path: Path) -> None:
        store = Refusing(tmp_path / "refusing.db")
        store.refusals = 1_000_000
        write(log, published().envelopes)
        projector = Projector(log, CODEC, store)
        with projecting(projector):
            until(lambda: projector.status.store_failures > 0)
        assert set(log.group_offsets(GROUP).values()) <= {0}
        assert projector.lag() == len(published().envelopes)
        store.close()

    def test_its_loop_shows_life_when_nothing_comes(self, log: Log, store: SqliteStore) -> None:
        ticks = iter(range(1_000_000))
        projector = Projector(log, CODEC, store, monotonic=lambda: float(next(ticks)))
        with projecting(projector):
            until(lambda: projector.status.looped_at > 2)
        assert projector.status.events == 0


class TestRebuild:
    def test_from_zero_is_byte_identical(self, log: Log, store: SqliteStore) -> None:
        history = published()
        history.edit(2, 1)
        two = history.ask(replace(history.work("job_2", 2), from_stage="alignment"), "reprocess")
        history.fail(two, "alignment")
        history.run(history.retry(two, "alignment"))
        write(log, history.envelopes)
        projector = Projector(log, CODEC, store)
        with projecting(projector):
            until(lambda: projector.lag() == 0)
        live = store.dump()
        assert live.count(b"\n") == 3
        assert rebuild(log, CODEC, store) == Rebuilt(len(history.envelopes), 0)
        assert store.dump() == live
        assert rebuild(log, CODEC, store, batch=1) == Rebuilt(len(history.envelopes), 0)
        assert store.dump() == live

    def test_counts_poison_and_goes_on(self, log: Log, store: SqliteStore) -> None:
        history = published()
        good = [CODEC.encode(envelope) for envelope in history.envelopes]
        send(log, [replace(good[0], value=b"?"), *good])
        assert rebuild(log, CODEC, store) == Rebuilt(len(good), 1)
        assert store.job(TENANT, "job_1") is not None

    def test_of_an_empty_log_is_empty(self, log: Log, store: SqliteStore) -> None:
        apply_now(store, published().envelopes)
        assert rebuild(log, CODEC, store) == Rebuilt(0, 0)
        assert store.dump() == b""


class Unreadable:
    """A log whose consumers fail at so many polls, as those of a broker that is away do."""

    def __init__(self, log: Log, failures: int) -> None:
        self._log = log
        self.failures = failures
        self.opened = 0

    def consumer(self, group: str, topics: Collection[str], **callbacks: Any) -> Consumer:
        self.opened += 1
        consumer = self._log.consumer(group, topics, **callbacks)
        poll = consumer.poll

        def failing(timeout_s: float, max_records: int = 100) -> Sequence[Record]:
            if self.failures:
                self.failures -= 1
                raise LogError("no broker answers")
            return poll(timeout_s, max_records)

        consumer.poll = failing  # type: ignore[method-assign]
        return consumer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)


class TestWhenTheLogIsAway:
    @pytest.fixture(autouse=True)
    def _soon(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("gateway.projection.projector._AGAIN_S", 0.001)
        monkeypatch.setattr("gateway.projection.projector._LONGEST_S", 0.01)

    @pytest.mark.parametrize(("failures", "opened"), [(3, 1), (5, 2), (12, 3)])
    def test_it_goes_on_and_makes_another_consumer_in_the_end(
        self, log: Log, store: SqliteStore, failures: int, opened: int
    ) -> None:
        away = Unreadable(log, failures)
        write(log, published().envelopes)
        projector = Projector(away, CODEC, store)
        with projecting(projector):
            until(lambda: projector.lag() == 0)
        assert away.opened == opened
        assert projector.status.log_failures == 0
        assert store.track(TENANT, "trk_1") is not None

    def test_meanwhile_it_shows_life_and_what_it_fails_at(
        self, log: Log, store: SqliteStore
    ) -> None:
        ticks = itertools.count()
        away = Unreadable(log, 1_000_000)
        projector = Projector(away, CODEC, store, monotonic=lambda: float(next(ticks)))
        with projecting(projector):
            until(lambda: projector.status.log_failures > 2)
            seen = projector.status.looped_at
            until(lambda: projector.status.looped_at > seen)
        assert projector.status.events == 0

    def test_pauses_grow_to_a_bound(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("gateway.projection.projector._AGAIN_S", 1.0)
        monkeypatch.setattr("gateway.projection.projector._LONGEST_S", 10.0)
        assert [_pause_s(n) for n in (1, 2, 3, 4, 5, 10_000)] == [1, 2, 4, 8, 10, 10]

    def test_a_registry_that_is_away_makes_no_record_poison(
        self, log: Log, store: SqliteStore
    ) -> None:
        class Ids(LocalIds):
            refusals = 3

            def schema_of(self, schema_id: int) -> avsc.Schema:
                if self.refusals:
                    self.refusals -= 1
                    raise RegistryError("no registry answers")
                return super().schema_of(schema_id)

        write(log, published().envelopes)
        ids = Ids()
        projector = Projector(log, Codec(ids, "test."), store)
        with projecting(projector):
            until(lambda: projector.lag() == 0)
        assert ids.refusals == 0
        assert projector.status.poisoned == 0
        assert store.track(TENANT, "trk_1") is not None


class Away:
    """A log whose broker is away for the first commits of the projector."""

    def __init__(self, log: Log, refusals: int) -> None:
        self._log = log
        self.refusals = refusals

    def producer(self, name: str) -> Producer:
        if self.refusals:
            self.refusals -= 1
            raise LogError("the broker is away")
        return self._log.producer(name)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)


def test_a_commit_that_fails_is_tried_again_with_its_dead_letters(
    log: Log, store: SqliteStore
) -> None:
    topic = CODEC.on_log("published")
    send(log, [Outgoing(topic, b"poison", key=b"a")])
    away = Away(log, refusals=1)
    projector = Projector(away, CODEC, store, monotonic=time.monotonic)
    with projecting(projector):
        until(lambda: projector.status.poisoned == 1)
        until(lambda: projector.lag() == 0)
    assert away.refusals == 0
