"""The Cassandra projection: the contract, and what only several processes on a cluster can do."""

from __future__ import annotations

import multiprocessing
import random
import threading
from collections.abc import Iterator
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

pytest.importorskip("cassandra", reason="cassandra-driver is not installed")

from gateway.projection.cassandra import schema
from gateway.projection.cassandra.session import CassandraSession
from gateway.projection.cassandra.settings import CassandraSettings
from gateway.projection.cassandra.store import CassandraStore
from gateway.projection.cells import Cell, Document, Key
from gateway.projection.fold import fold
from gateway.projection.projector import apply_now
from gateway.projection.sqlite import SqliteStore
from gateway.projection.store import ProjectionStore, StoreError
from tests.gateway.projection.contract import ProjectionStoreContract, published
from tests.gateway.projection.histories import TENANT, Track, tracks

pytestmark = pytest.mark.stack


@pytest.fixture(scope="module")
def tables(cassandra: CassandraSettings) -> Iterator[CassandraSession]:
    session = CassandraSession(cassandra)
    yield session
    session.close()


@pytest.fixture
def store(cassandra: CassandraSettings, tables: CassandraSession) -> Iterator[CassandraStore]:
    tables.truncate([*schema.PROJECTION, "clock"])
    store = CassandraStore(cassandra)
    yield store
    store.close()


class TestCassandra(ProjectionStoreContract):
    pass


def _document(*cells: tuple[str, Cell]) -> Document:
    return Document(Key("job", TENANT, "job_1"), dict(cells))


class TestOrder:
    """What `USING TIMESTAMP` keeps is what `merge` keeps."""

    @pytest.mark.parametrize(
        ("winner", "loser"),
        [
            (Cell(2, "a", 0), Cell(1, "z", 9)),
            (Cell(-1, "", "later"), Cell(-(1 << 62), "", "earlier")),
            (Cell((1 << 62) - 1, "", "greatest"), Cell(0, "", "least")),
            (Cell(5, "b", 1), Cell(5, "a", 9)),
            (Cell(5, "ab", 1), Cell(5, "a", 9)),  # an id that begins with the other one
            (Cell(5, "a\0", 1), Cell(5, "a", 9)),
            (Cell(5, "a\1", 1), Cell(5, "a\0", 9)),
            (Cell(5, "é", 1), Cell(5, "z", 9)),
            (Cell(5, "\U0001f3a4", 1), Cell(5, "\uffee", 9)),  # UTF-16 would turn these round
            (Cell(5, "a", "я"), Cell(5, "a", "z")),  # a try that was made twice
            (Cell(5, "a", {"b": 1, "a": [1.5]}), Cell(5, "a", None)),
        ],
    )
    def test_the_greater_cell_stays_in_both_orders(
        self, store: CassandraStore, cassandra: CassandraSettings, winner: Cell, loser: Cell
    ) -> None:
        # Written past the read before a write, as two processes do that look at the same time.
        for name, writes in (("up", (loser, winner)), ("down", (winner, loser))):
            for cell in writes:
                store._write([(None, _document((name, cell)))])
        assert store._document(Key("job", TENANT, "job_1")) == _document(
            ("up", winner), ("down", winner)
        )

    @settings(
        max_examples=8,
        deadline=None,
        derandomize=True,
        phases=[Phase.explicit, Phase.generate],  # shrinking would write for minutes
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )
    @given(history=tracks(), seed=st.integers(0, 2**32))
    def test_any_order_gives_the_bytes_that_sqlite_gives(
        self, store: CassandraStore, tmp_path: Path, history: Track, seed: int
    ) -> None:
        chance = random.Random(seed)
        sqlite = SqliteStore(tmp_path / f"{chance.random()}.db")
        stores: list[ProjectionStore] = [sqlite, store]
        store.clear()
        for each in stores:
            left = [*history.envelopes, *chance.choices(history.envelopes, k=5)]
            chance.shuffle(left)
            while left:
                size = chance.randint(1, 12)
                each.apply(change for envelope in left[:size] for change in fold(envelope))
                del left[:size]
        assert store.dump() == sqlite.dump()
        jobs = store.jobs(TENANT, limit=100).items
        assert jobs == sqlite.jobs(TENANT, limit=100).items
        assert store.tracks(TENANT).items == sqlite.tracks(TENANT).items
        for state in {job.state for job in jobs}:
            assert store.jobs(TENANT, state=state) == sqlite.jobs(TENANT, state=state)
        sqlite.close()


def _apply_apart(cassandra: CassandraSettings, seed: int, barrier: Barrier) -> None:
    store = CassandraStore(cassandra)
    events = [*published("trk_1", "job_1").envelopes, *published("trk_2", "job_2").envelopes]
    random.Random(seed).shuffle(events)
    barrier.wait(120)  # a racer that died is a failure, not a wait for ever
    for event in events:
        apply_now(store, [event])
    store.close()


class TestProcesses:
    def test_two_processes_that_write_the_same_in_other_orders_agree(
        self, store: CassandraStore, cassandra: CassandraSettings, tmp_path: Path
    ) -> None:
        context = multiprocessing.get_context("spawn")
        barrier = context.Barrier(2)
        writers = [
            context.Process(target=_apply_apart, args=(cassandra, seed, barrier))
            for seed in range(2)
        ]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()
        assert [writer.exitcode for writer in writers] == [0, 0]
        sqlite = SqliteStore(tmp_path / "projection.db")
        for number in (1, 2):
            apply_now(sqlite, published(f"trk_{number}", f"job_{number}").envelopes)
        assert store.dump() == sqlite.dump()
        assert store.jobs(TENANT, state="succeeded") == sqlite.jobs(TENANT, state="succeeded")
        assert not store.jobs(TENANT, state="running").items
        sqlite.close()

    def test_another_store_sees_and_wakes(
        self, store: CassandraStore, cassandra: CassandraSettings
    ) -> None:
        other = CassandraStore(cassandra)
        after = store.sequence()
        writer = threading.Timer(0.05, apply_now, (other, published().envelopes))
        writer.start()
        assert store.wait(after, 60) > after
        writer.join()
        other.close()
        job = store.job(TENANT, "job_1")
        assert job is not None
        assert job.state == "succeeded"

    def test_who_waits_is_woken_when_a_writer_starts_again(
        self, store: CassandraStore, cassandra: CassandraSettings
    ) -> None:
        # It may have died after its cells were written and before it told of them.
        apply_now(store, published().envelopes)
        after = store.sequence()
        CassandraStore(cassandra).close()
        assert store.wait(after, 60) > after

    def test_closing_wakes_the_waiting(self, store: CassandraStore) -> None:
        after = store.sequence()
        closer = threading.Timer(0.05, store.close)
        closer.start()
        assert store.wait(after, 60) == after
        closer.join()

    def test_a_closed_store_says_so(self, store: CassandraStore) -> None:
        store.close()
        store.close()
        with pytest.raises(StoreError, match="is closed"):
            store.check()


class TestFailures:
    def test_what_a_failed_batch_left_untold_is_told_by_the_next(
        self, store: CassandraStore, tables: CassandraSession, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(count: int) -> int:
            raise StoreError("the clock is down")

        events = published().envelopes
        apply_now(store, events[:1])
        seen = store.sequence()
        with monkeypatch.context() as broken:
            broken.setattr(store._clock, "tell", refuse)
            with pytest.raises(StoreError, match="the clock is down"):
                apply_now(store, events)
        assert store.sequence() == seen
        # The cells are there by now; the change is reported all the same, from where it began.
        told = {a.key.kind: a for a in apply_now(store, events)}
        assert set(told) == {"job", "track"}
        before = told["job"].before
        assert before is not None
        assert before.cells["state"].value["state"] == "queued"
        assert told["job"].after.cells["state"].value["state"] == "succeeded"
        assert store.sequence() == seen + 2
        assert apply_now(store, events) == ()

    def test_a_row_of_a_list_without_its_document_is_left_out(
        self, store: CassandraStore, tables: CassandraSession
    ) -> None:
        apply_now(store, published().envelopes)
        for table in ("jobs", "tracks"):
            tables.truncate([table])
        assert store.jobs(TENANT) == store.jobs("nobody")
        assert not store.tracks(TENANT).items

    def test_a_job_whose_request_comes_late_is_listed_once(self, store: CassandraStore) -> None:
        events = published().envelopes
        apply_now(store, events[5:])
        assert [job.job_id for job in store.jobs(TENANT).items] == ["job_1"]
        apply_now(store, events[:5])
        assert [job.job_id for job in store.jobs(TENANT).items] == ["job_1"]
        assert [track.track_id for track in store.tracks(TENANT).items] == ["trk_1"]

    def test_lists_go_on_over_days_without_jobs(self, store: CassandraStore) -> None:
        day_ms = 86_400_000
        for number, day in enumerate((0, 1, 5, 400)):
            history = Track(f"trk_{number}", skew_ms=lambda day=day: day * day_ms)  # type: ignore[misc]
            history.ask(history.work(f"job_{number}"))
            apply_now(store, history.envelopes)
        page = store.jobs(TENANT, limit=3)
        assert [job.job_id for job in page.items] == ["job_3", "job_2", "job_1"]
        assert [job.job_id for job in store.jobs(TENANT, cursor=page.cursor).items] == ["job_0"]
