"""The SQLite projection: the contract, and what only a file can do."""

from __future__ import annotations

import multiprocessing
import sqlite3
import threading
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from gateway.projection.projector import apply_now
from gateway.projection.sqlite import SqliteStore
from gateway.projection.store import ProjectionStore, StoreError
from tests.gateway.projection.contract import ProjectionStoreContract, counted, published
from tests.gateway.projection.histories import TENANT
from tests.gateway.projection.reservations_contract import at_once


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "projection.db"


@pytest.fixture
def store(path: Path) -> Iterator[ProjectionStore]:
    store = SqliteStore(path)
    yield store
    store.close()


class TestSqlite(ProjectionStoreContract):
    pass


def _write_for_ever(path: Path, applied: Connection) -> None:
    store = SqliteStore(path)
    for number in range(1_000_000):
        store.apply([counted(number)])
        applied.send_bytes(b".")


def _left(pipe: Connection) -> int:
    """How many messages were sent before the other end died."""
    count = 0
    while True:
        try:
            pipe.recv_bytes()
        except EOFError:
            return count
        count += 1


class TestFile:
    def test_what_was_applied_survives_a_kill(self, path: Path) -> None:
        context = multiprocessing.get_context("spawn")
        read, write = context.Pipe(duplex=False)
        writer = context.Process(target=_write_for_ever, args=(path, write))
        writer.start()
        write.close()
        for _ in range(25):
            read.recv_bytes()
        writer.kill()
        writer.join()
        applied = 25 + _left(read)
        read.close()
        store = SqliteStore(path)
        # The one in flight may have made it to the file without being reported.
        assert store.sequence() in (applied, applied + 1)
        kept = store.sequence()
        dumped = store.dump()
        store.clear()
        store.apply([counted(number) for number in range(kept)])
        assert store.dump() == dumped
        store.close()

    def test_another_process_sees_and_wakes(self, store: ProjectionStore, path: Path) -> None:
        other = SqliteStore(path)
        after = store.sequence()
        writer = threading.Timer(0.05, apply_now, (other, published().envelopes))
        writer.start()
        assert store.wait(after, 30) > after
        writer.join()
        other.close()
        job = store.job(TENANT, "job_1")
        assert job is not None
        assert job.state == "succeeded"

    def test_a_new_file_may_be_opened_by_many_at_once(self, tmp_path: Path) -> None:
        opened: list[SqliteStore] = []
        for turn in range(5):
            path = tmp_path / f"{turn}.db"
            at_once(6, lambda _, path=path: opened.append(SqliteStore(path)))  # type: ignore[misc]
        assert len(opened) == 30
        for store in opened:
            store.check()
            store.close()

    def test_closing_wakes_the_waiting(self, store: ProjectionStore) -> None:
        after = store.sequence()
        closer = threading.Timer(0.05, store.close)
        closer.start()
        assert store.wait(after, 30) == after
        closer.join()

    def test_a_closed_store_says_so(self, store: ProjectionStore) -> None:
        store.close()
        with pytest.raises(StoreError, match="is closed"):
            store.check()

    def test_a_broken_file_is_named_without_its_folder(self, path: Path) -> None:
        path.parent.mkdir()
        path.write_bytes(b"no database" * 1000)
        with pytest.raises(StoreError, match=r"^projection\.db could not be opened") as caught:
            SqliteStore(path)
        assert str(path.parent) not in str(caught.value)

    def test_a_failed_write_leaves_nothing_and_blocks_nobody(
        self, store: ProjectionStore, path: Path
    ) -> None:
        with sqlite3.connect(path) as db:
            db.execute(
                "CREATE TRIGGER refuse BEFORE INSERT ON tracks BEGIN SELECT RAISE(ABORT, 'no'); END"
            )
        db.close()
        with pytest.raises(StoreError, match="could not be written"):
            apply_now(store, published().envelopes)
        assert store.dump() == b""
        assert store.sequence() == 0
        with sqlite3.connect(path) as db:
            db.execute("DROP TRIGGER refuse")
        db.close()
        assert apply_now(store, published().envelopes)
