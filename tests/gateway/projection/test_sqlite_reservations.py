"""The gateway's rows in SQLite: the contract, and two processes on one file."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest

from gateway.projection.reservations import Mine, Reservations
from gateway.projection.sqlite_reservations import SqliteReservations
from gateway.projection.store import StoreError
from tests.gateway.projection.reservations_contract import NOW, ReservationsContract

TURNS = 30


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "gateway.db"


@pytest.fixture
def rows(path: Path) -> Iterator[Reservations]:
    rows = SqliteReservations(path)
    yield rows
    rows.close()


class TestSqlite(ReservationsContract):
    pass


def _race(
    path: Path, name: str, barrier: Barrier, results: SimpleQueue[tuple[list[int], list[str]]]
) -> None:
    rows = SqliteReservations(path)
    barrier.wait(60)  # a racer that died is a failure, not a wait for ever
    versions: list[int] = []
    won: list[str] = []
    for turn in range(TURNS):
        versions.append(rows.reserve_version("studio", "trk_1", f"{name}_{turn}", floor=0))
        outcome = rows.reserve("studio", f"key_{turn}", "d", {"job": name}, NOW)
        if isinstance(outcome, Mine):
            won.append(f"key_{turn}")
    rows.close()
    results.put((versions, won))


class TestFile:
    def test_two_processes_share_versions_and_keys(self, path: Path) -> None:
        context = multiprocessing.get_context("spawn")
        barrier, results = context.Barrier(2), context.SimpleQueue()
        racers = [
            context.Process(target=_race, args=(path, name, barrier, results)) for name in "ab"
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

    def test_rows_are_there_after_a_restart(self, path: Path) -> None:
        first = SqliteReservations(path)
        first.reserve("studio", "k", "d", {"job": "job_1"}, NOW)
        assert first.reserve_version("studio", "trk_1", "job_1", floor=0) == 1
        first.close()
        second = SqliteReservations(path)
        assert second.reserve_version("studio", "trk_1", "job_2", floor=0) == 2
        assert second.reserve("studio", "k", "d", {}, NOW + 60_000) == Mine(
            {"job": "job_1"}, resumed=True
        )
        second.close()
        with pytest.raises(StoreError, match="is closed"):
            second.check()
