"""Cancel, kill, drain and rebalance: what stops work half-way, and what is left behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from schemas.events import JobFailed, Separated, StepFailed
from tests.processors.runtime import stages
from tests.processors.runtime.rig import Rig, is_running, until

pytestmark = pytest.mark.slow


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    rig = Rig(tmp_path, stages.trial)
    yield rig
    rig.log.close()


def noted(note: Path, count: int = 1) -> list[int]:
    """The process ids in a note, once there are that many."""

    def pids() -> list[int] | None:
        found = note.read_text().split() if note.exists() else []
        return [int(pid) for pid in found] if len(found) == count else None

    found: list[int] = until(pids, "the work begins")
    return found


def test_a_cancel_kills_the_work(rig: Rig, tmp_path: Path) -> None:
    rig.request("a", "hang", note=str(tmp_path / "note"))
    with rig.host():
        (pid,) = noted(tmp_path / "note")
        until(lambda: rig.states("a"), "the first sign")
        rig.cancel("a")
        until(lambda: not is_running(pid), "the child is gone")
        until(lambda: rig.committed("trial") == 1, "the offset")
        assert rig.states("a")[-1] == "canceled"
        rig.request("b")  # the slot is free again
        rig.wait_for("separated")
    assert rig.written() == {"import-requested": 2, "job-canceled": 1, "separated": 1}


def test_a_retry_of_the_job_stops_the_older_attempt(rig: Rig, tmp_path: Path) -> None:
    rig.request("a", "hang", note=str(tmp_path / "note"))
    with rig.host():
        (pid,) = noted(tmp_path / "note")
        rig.retried("a", 2)
        until(lambda: not is_running(pid), "the child is gone")
        until(lambda: rig.committed("trial") == 1, "the offset")
    assert rig.written() == {"import-requested": 1, "job-retried": 1}


def test_grandchildren_die_with_the_work(rig: Rig, tmp_path: Path) -> None:
    rig.request("a", "grandchild", note=str(tmp_path / "note"))
    with rig.host():
        pids = noted(tmp_path / "note", 2)
        rig.cancel("a")
        until(lambda: not any(map(is_running, pids)), "the whole group is gone")


def test_no_scratch_is_left(rig: Rig) -> None:
    rig.request("a")
    rig.request("b", "segfault")
    with rig.host():
        rig.wait_for("separated")
        rig.wait_for("step-failed")
        until(lambda: not list((rig.folder / "scratch").glob("*/trial-*")), "no folder of a try")
    assert list((rig.folder / "scratch").iterdir()) == []


def test_an_idle_child_leaves_and_the_next_job_starts_another(rig: Rig, tmp_path: Path) -> None:
    rig.request("a", note=str(tmp_path / "a"))
    with rig.host(child_idle_seconds=0.2):
        rig.wait_for("separated")
        (pid,) = noted(tmp_path / "a")
        until(lambda: not is_running(pid), "the idle child leaves")
        rig.request("b", note=str(tmp_path / "b"))
        rig.wait_for("separated", 2)
    assert noted(tmp_path / "b") != [pid]


def test_a_warm_child_serves_the_next_job(rig: Rig, tmp_path: Path) -> None:
    rig.request("a", note=str(tmp_path / "a"))
    rig.request("b", note=str(tmp_path / "b"))
    with rig.host():
        rig.wait_for("separated", 2)
    assert noted(tmp_path / "a") == noted(tmp_path / "b")


def test_a_failed_gpu_costs_its_child_and_no_job(rig: Rig, tmp_path: Path) -> None:
    rig.request("a", "gpu_fails", note=str(tmp_path / "a"))
    with rig.host() as host:
        (failed,) = rig.wait_for("step-failed")
        pid = noted(tmp_path / "a")
        until(lambda: not any(map(is_running, pid)), "the child that cannot go on is gone")
        rig.ahead_ms = 6_000
        host.wake()
        rig.wait_for("separated")
    assert isinstance(failed.event, StepFailed)
    assert (failed.event.code, failed.event.try_number) == ("gpu_failed", 1)
    assert "nothing is wrong with the file" in failed.event.message
    assert noted(tmp_path / "a") != pid


def test_a_drain_finishes_what_is_in_hand_and_begins_nothing(rig: Rig, tmp_path: Path) -> None:
    note, count = str(tmp_path / "note"), str(tmp_path / "count")
    rig.request("a", "stored", note=note, count=count, seconds="1")
    with rig.host() as host:
        noted(tmp_path / "note")
        rig.request("b")
        host.drain(60)
        assert {health.state for health in host.health().values()} == {"stopped"}
    assert done_jobs(rig) == ["a"]
    with rig.host():
        rig.wait_for("separated", 2)


def test_a_drain_hands_over_what_is_not_done_in_time(rig: Rig, tmp_path: Path) -> None:
    rig.request("a", "hang", note=str(tmp_path / "note"))
    with rig.host() as host:
        (pid,) = noted(tmp_path / "note")
        host.drain(0.1)
        assert not is_running(pid)
    assert rig.committed("trial") == 0
    assert rig.written() == {"import-requested": 1}
    (tmp_path / "note").unlink()
    with rig.host():
        assert noted(tmp_path / "note") != [pid]  # begun again


def done_jobs(rig: Rig) -> list[str]:
    events = [envelope.event for envelope in rig.events("separated")]
    return [event.work.job_id for event in events if isinstance(event, Separated)]


def wait_for_commits(rig: Rig, count: int) -> None:
    until(lambda: rig.committed("trial") >= count, f"{count} records committed")


HOST = """
import sys, time
from pathlib import Path
from random import Random
from processors.runtime.host import Host
from tests.processors.runtime import stages
from tests.processors.runtime.rig import settings_in
stage = getattr(stages, sys.argv[3])
host = Host([stage], settings_in(Path(sys.argv[1]), worker_name=sys.argv[2]))
host.start()
time.sleep(600)
"""


def host_process(folder: Path, name: str, stage: str = "trial") -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", HOST, str(folder), name, stage])


def kill_9(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGKILL)
    process.wait()


@pytest.mark.faults
def test_kill_9_of_the_host_in_mid_work_loses_and_doubles_nothing(rig: Rig, tmp_path: Path) -> None:
    note = tmp_path / "note"
    rig.request("a", "grandchild", note=str(note))
    first = host_process(tmp_path, "one")
    try:
        pids = noted(note, 2)
    finally:
        kill_9(first)
    until(lambda: not any(map(is_running, pids)), "child and grandchild go with the host")
    assert rig.committed("trial") == 0
    note.unlink()
    rig.request("b")
    second = host_process(tmp_path, "two")
    try:
        os.kill(noted(note, 2)[1], signal.SIGTERM)  # the helper ends, so the work does
        rig.wait_for("separated", 2)
        until(lambda: rig.committed("trial") == 2, "both offsets")
    finally:
        kill_9(second)
    assert rig.written() == {"import-requested": 2, "separated": 2}
    ids = [sign.id for sign in rig.events("step-progressed")]
    assert len(set(ids)) == len(ids)
    # What the killed hosts left in the scratch folder goes when the next one starts.
    with rig.host():
        assert len(list((tmp_path / "scratch").iterdir())) == 1


@pytest.mark.faults
@pytest.mark.parametrize("seed", [1, 2])
def test_hosts_killed_at_any_moment_lose_and_double_nothing(
    rig: Rig, tmp_path: Path, seed: int
) -> None:
    random = Random(seed)
    jobs = [f"job-{n}" for n in range(30)]
    for job in jobs:
        do = random.choice(["work", "stored", "stored", "reject"])
        rig.request(job, do, count=str(tmp_path / "count"), seconds="0.1", song=job)
    for turn in range(4):
        hosts = [host_process(tmp_path, f"{turn}-{n}") for n in range(random.choice([1, 2]))]
        wanted = min(rig.committed("trial") + 2, len(jobs))
        try:
            wait_for_commits(rig, wanted)
            time.sleep(random.uniform(0, 0.3))
        finally:
            for host in hosts:
                kill_9(host)
    with rig.host():
        wait_for_commits(rig, len(jobs))
    refused = [e.event.job_id for e in rig.events("job-failed") if isinstance(e.event, JobFailed)]
    assert sorted(done_jobs(rig) + refused) == sorted(jobs)
    assert len(rig.records("trial.dlq")) == len(refused) == len(rig.records("step-failed"))


@pytest.mark.faults
def test_a_child_that_hears_nothing_goes_with_its_host_too(rig: Rig, tmp_path: Path) -> None:
    note = tmp_path / "note"
    rig.request("a", "grandchild", note=str(note), deaf="yes")
    host = host_process(tmp_path, "one")
    try:
        pids = noted(note, 2)
    finally:
        kill_9(host)
    until(lambda: not any(map(is_running, pids)), "child and grandchild go with the host")


@pytest.mark.faults
def test_results_are_taken_over_from_a_killed_holder(rig: Rig, tmp_path: Path) -> None:
    count = tmp_path / "count"
    rig.request("a", "stored", count=str(count), seconds="600")
    first = host_process(tmp_path, "one")
    try:
        until(count.exists, "the work begins")
    finally:
        kill_9(first)
    # Another job on the same bytes (what it is told apart by is no parameter of the result).
    rig.cancel("a")
    rig.request("b", "stored", count=str(count))
    with rig.host():
        (made,) = rig.wait_for("separated")
    assert isinstance(made.event, Separated)
    assert not made.event.reused
    assert count.read_text().splitlines() == ["made", "made"]


def test_the_same_work_at_the_same_time_is_done_once(rig: Rig, tmp_path: Path) -> None:
    count = tmp_path / "count"
    for job in ("a", "b", "c", "d"):
        rig.request(job, "stored", count=str(count), seconds="0.5")
    with rig.host(slots={"trial": 3}):
        made = rig.wait_for("separated", 4)
    assert count.read_text().splitlines() == ["made"]
    reused = [m.event.reused for m in made if isinstance(m.event, Separated)]
    assert sorted(reused) == [False, True, True, True]


def test_a_lost_partition_drops_the_commit_but_not_the_result(rig: Rig, tmp_path: Path) -> None:
    """A second worker joins in mid-work and gets partitions of the first."""
    count, gate = tmp_path / "count", tmp_path / "gate"
    jobs = [f"job-{n}" for n in range(8)]
    for job in jobs:
        rig.request(job, "stored", count=str(count), gate=str(gate), song=job)
    partitions = {record.partition for record in rig.records("import-requested")}
    assert len(partitions) == 4
    with rig.host(slots={"trial": 4}):
        until(
            lambda: count.exists() and len(count.read_text().splitlines()) == 4,
            "work on every partition",
        )
        with rig.host(worker_name="other", slots={"trial": 4}) as other:
            until(lambda: other.health()["trial"].in_work, "work on what the first has lost")
            gate.touch()
            made = rig.wait_for("separated", len(jobs))
            until(lambda: rig.committed("trial") == len(jobs), "every offset")
    assert sorted(done_jobs(rig)) == jobs
    assert sorted(count.read_text().splitlines()) == ["made"] * len(jobs)
    # The new owner waited for the first one's result and adopted it.
    assert any(one.event.reused for one in made if isinstance(one.event, Separated))


def test_the_breaker_stops_a_stage_that_crashes_on_everything(rig: Rig) -> None:
    for number in range(8):
        rig.request(f"job-{number}", "raise")
    with rig.host() as host:
        until(lambda: host.health()["trial"].state == "stopped", "the breaker")
        health = host.health()["trial"]
        assert not health.alive
        assert not host.alive
        assert "breaker" in health.reason
        assert health.lag >= 4
    # The input that tripped it keeps its tries.
    assert rig.written() == {"import-requested": 8, "step-failed": 4, "trial.retry.5s": 4}


def test_a_hundred_bad_songs_do_not_trip_the_breaker(rig: Rig) -> None:
    for number in range(100):
        rig.request(f"job-{number}", "reject")
    rig.request("good")
    with rig.host() as host:
        rig.wait_for("separated")
        until(lambda: rig.committed("trial") == 101, "every offset")
        assert host.alive
    assert len(rig.records("trial.dlq")) == 100


def test_a_stage_that_stands_still_is_not_alive_and_shows_its_stacks(
    rig: Rig, capfd: pytest.CaptureFixture[str]
) -> None:
    with rig.host(stuck_seconds=0.2) as host:
        until(lambda: host.health()["trial"].state == "running", "the start")
        host._workers["trial"]._attendance.watch = lambda verdict: time.sleep(3)  # type: ignore[method-assign,assignment]
        until(lambda: not host.alive, "no liveness")
        until(lambda: "most recent call first" in capfd.readouterr().err, "the stacks")
