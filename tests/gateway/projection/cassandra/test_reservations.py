"""The gateway's rows in Cassandra: the contract, two processes, and rows that expire."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from dataclasses import replace
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Barrier

import pytest

pytest.importorskip("cassandra", reason="cassandra-driver is not installed")

from gateway.projection.cassandra.reservations import CassandraReservations
from gateway.projection.cassandra.session import CassandraSession
from gateway.projection.cassandra.settings import CassandraSettings
from gateway.projection.reservations import Mine
from gateway.projection.store import StoreError
from tests.gateway.projection.reservations_contract import (
    ANSWER,
    ASSET,
    NOW,
    UPLOAD,
    ReservationsContract,
)

pytestmark = pytest.mark.stack

TURNS = 20


@pytest.fixture(scope="module")
def tables(cassandra: CassandraSettings) -> Iterator[CassandraSession]:
    session = CassandraSession(cassandra)
    yield session
    session.close()


@pytest.fixture
def rows(cassandra: CassandraSettings, tables: CassandraSession) -> Iterator[CassandraReservations]:
    tables.truncate(
        ["uploads", "assets", "versions", "idempotency", "clients", "charges", "channels"]
    )
    rows = CassandraReservations(cassandra)
    yield rows
    rows.close()


class TestCassandra(ReservationsContract):
    pass


def _race(
    cassandra: CassandraSettings,
    name: str,
    barrier: Barrier,
    results: SimpleQueue[tuple[list[int], list[str]]],
) -> None:
    rows = CassandraReservations(cassandra)
    barrier.wait(120)  # a racer that died is a failure, not a wait for ever
    versions: list[int] = []
    won: list[str] = []
    for turn in range(TURNS):
        versions.append(rows.reserve_version("studio", "trk_1", f"{name}_{turn}", floor=0))
        outcome = rows.reserve("studio", f"key_{turn}", "d", {"job": name}, NOW)
        if isinstance(outcome, Mine):
            won.append(f"key_{turn}")
    rows.close()
    results.put((versions, won))


class TestCluster:
    def test_two_processes_share_versions_and_keys(
        self, rows: CassandraReservations, cassandra: CassandraSettings
    ) -> None:
        context = multiprocessing.get_context("spawn")
        barrier, results = context.Barrier(2), context.SimpleQueue()
        racers = [
            context.Process(target=_race, args=(cassandra, name, barrier, results)) for name in "ab"
        ]
        for racer in racers:
            racer.start()
        for racer in racers:
            racer.join()
        assert [racer.exitcode for racer in racers] == [0, 0]
        outcomes = [results.get() for _ in racers]
        versions = [number for given, _ in outcomes for number in given]
        assert sorted(versions) == list(range(1, 2 * TURNS + 1))
        won = [key for _, keys in outcomes for key in keys]
        assert sorted(won) == sorted(f"key_{turn}" for turn in range(TURNS))

    def test_rows_have_the_time_to_live_of_the_settings(
        self, rows: CassandraReservations, cassandra: CassandraSettings, tables: CassandraSession
    ) -> None:
        rows.save_upload(UPLOAD)
        rows.end_upload("studio", "upl_1", "completed")
        rows.save_asset(ASSET)
        rows.reserve("studio", "k", "d", {}, NOW)
        rows.complete("studio", "k", ANSWER, NOW)

        def left(table: str, column: str) -> int | None:
            row = tables.row("read", f"SELECT TTL({column}) FROM {table}")
            assert row is not None
            found: int | None = row[0]
            return found

        for column in ("state", "expires_ms", "body"):
            seconds = left("uploads", column)
            assert seconds is not None
            assert 0 < seconds <= cassandra.cassandra_upload_ttl_seconds
        for column in ("digest", "ids", "begun_ms", "answer"):
            seconds = left("idempotency", column)
            assert seconds is not None
            assert 0 < seconds <= cassandra.cassandra_idempotency_ttl_seconds
        assert left("assets", "body") is None

    def test_uploads_stay_for_ever_where_the_setting_says_so(
        self, rows: CassandraReservations, cassandra: CassandraSettings, tables: CassandraSession
    ) -> None:
        other = CassandraReservations(
            cassandra.model_copy(update={"cassandra_upload_ttl_seconds": 0})
        )
        other.save_upload(replace(UPLOAD, upload_id="upl_9"))
        other.close()
        assert tables.row("read", "SELECT TTL(body) FROM uploads") == (None,)

    def test_a_closed_session_says_so(self, rows: CassandraReservations) -> None:
        rows.close()
        with pytest.raises(StoreError, match="is closed"):
            rows.check()
