"""Batches on a real broker: what holds on the embedded log, and what only a broker can do."""

from __future__ import annotations

import os
import signal
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.processors.runtime import stages
from tests.processors.runtime.rig import Rig, until
from tests.processors.runtime.test_batches import (
    all_done,
    test_a_backlog_goes_out_in_few_transactions,
    test_each_record_of_a_batch_ends_for_itself,
    test_hosts_killed_in_mid_batch_lose_and_double_nothing,
    test_one_of_a_batch_is_tried_again_alone,
    test_revoked_in_mid_batch,
    test_the_breaker_trips_in_mid_batch_and_keeps_what_came_before,
)
from tests.processors.runtime.test_interruption import done_jobs, host_process, kill_9

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600, func_only=True)]

__all__ = [
    "test_a_backlog_goes_out_in_few_transactions",
    "test_each_record_of_a_batch_ends_for_itself",
    "test_hosts_killed_in_mid_batch_lose_and_double_nothing",
    "test_one_of_a_batch_is_tried_again_alone",
    "test_revoked_in_mid_batch",
    "test_the_breaker_trips_in_mid_batch_and_keeps_what_came_before",
]


@pytest.fixture(autouse=True)
def kafka(kafka_bootstrap: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every log that opens is on the broker, under a prefix of the test's own."""
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", kafka_bootstrap)
    monkeypatch.setenv("TOPIC_PREFIX", f"r{uuid.uuid4().hex[:8]}.")


@pytest.fixture
def rig(tmp_path: Path, kafka: None) -> Iterator[Rig]:
    rig = Rig(tmp_path, stages.swift)
    yield rig
    rig.log.close()


@pytest.mark.faults
def test_a_worker_taken_for_dead_in_mid_batch_commits_nothing(
    rig: Rig, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    gate, count = tmp_path / "gate", tmp_path / "count"
    jobs = [f"job-{n}" for n in range(60)]
    for job in jobs:
        rig.request(job, "gated", gate=str(gate), count=str(count))
    zombie = host_process(tmp_path, "zombie", "swift")
    try:
        until(count.exists, "the batch begins")
        os.kill(zombie.pid, signal.SIGSTOP)
        gate.touch()
        with rig.host():
            rig.wait_for("separated", len(jobs))  # once the group took the other for dead
            until(lambda: all_done(rig), "every offset")
            capfd.readouterr()
            os.kill(zombie.pid, signal.SIGCONT)
            until(lambda: "a commit was fenced off" in capfd.readouterr().out, "it is refused")
            rig.request("after")
            rig.wait_for("separated", len(jobs) + 1)
            until(lambda: all_done(rig), "every offset")
    finally:
        kill_9(zombie)
    assert sorted(done_jobs(rig)) == sorted([*jobs, "after"])
