"""Stages that handle batches: many records in one transaction, and each still ends for itself."""

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from prometheus_client import REGISTRY

from processors.runtime import Sla, Task, stage
from schemas.events import ImportRequested, JobFailed, Separated
from tests.processors.runtime import stages
from tests.processors.runtime.rig import Rig, until
from tests.processors.runtime.test_interruption import done_jobs, host_process, kill_9
from tests.processors.runtime.test_ledger import Troubled
from topics import trace
from topics.codec import event_id
from topics.log import Doubtful, Fenced, LogError

pytestmark = pytest.mark.slow


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    rig = Rig(tmp_path, stages.swift)
    yield rig
    rig.log.close()


def commits() -> float:
    labels = {"stage": "swift", "ending": "committed"}
    return REGISTRY.get_sample_value("melisma_stage_commits_total", labels) or 0.0


def all_done(rig: Rig) -> bool:
    topics = [rig.codec.on_log("import-requested")]
    done = rig.log.group_offsets(rig.codec.on_log("swift"))
    return all(done.get(tp, 0) >= end for tp, end in rig.log.end_offsets(topics).items())


def test_a_backlog_goes_out_in_few_transactions(rig: Rig) -> None:
    asked = {f"job-{n}": rig.request(f"job-{n}") for n in range(200)}
    before = commits()
    with rig.host() as host:
        made = rig.wait_for("separated", 200)
        until(lambda: all_done(rig), "every offset")
        assert host.health(lag=False)["swift"].in_work == 0
    assert 2 <= commits() - before <= 20
    for one in made:
        assert isinstance(one.event, Separated)
        cause = asked[one.event.work.job_id]
        assert one.id == event_id(cause.id, "swift", "separated", "attempt 1")
        assert trace.trace_id(one.traceparent) == trace.trace_id(cause.traceparent)
        assert one.traceparent != cause.traceparent
    assert len({one.id for one in made}) == 200
    assert rig.written() == {"import-requested": 200, "separated": 200}
    # What a step made says that it is done.
    assert rig.records("step-progressed") == []


def test_each_record_of_a_batch_ends_for_itself(rig: Rig) -> None:
    endings = ["work", "reject", "raise", "later", "decline", "confuse", "leave", "work"]
    for do in endings:  # one key, so one partition: neighbours
        rig.request("a", do, attempt=endings.index(do) + 1)
    rig.write_bytes("import-requested", b"nonsense", key=b"track-a")
    rig.cancel("b")
    rig.request("b")
    rig.request("c", attempt=1)
    rig.retried("c", 2)
    rig.request("c", attempt=2)
    with rig.host():
        until(lambda: all_done(rig), "every offset")
    made = [e.event.work for e in rig.events("separated") if isinstance(e.event, Separated)]
    assert Counter(work.job_id for work in made) == {"a": 2, "c": 1}
    assert next(work.attempt for work in made if work.job_id == "c") == 2
    assert rig.written() == {
        "import-requested": 12,
        "job-canceled": 1,
        "job-retried": 1,
        "separated": 3,
        "step-failed": 5,  # reject, raise, later, confuse, leave
        "job-failed": 1,  # reject
        "swift.dlq": 2,  # reject, nonsense
        "swift.retry.5s": 3,  # raise, confuse, leave
        "swift.retry.30s": 1,  # later
    }


def test_one_of_a_batch_is_tried_again_alone(rig: Rig) -> None:
    asked = rig.request("a", "later")
    for number in range(5):
        rig.request(f"job-{number}")
    with rig.host() as host:
        rig.wait_for("separated", 5)
        rig.wait_for_records("swift.retry.30s")
        rig.ahead_ms = 31_000
        host.wake()
        made = rig.wait_for("separated", 6)
    ids = {one.id for one in made}
    assert event_id(asked.id, "swift", "separated", "attempt 1") in ids
    assert len(ids) == 6


def test_the_breaker_trips_in_mid_batch_and_keeps_what_came_before(rig: Rig) -> None:
    for attempt in range(1, 4):
        rig.request("a", attempt=attempt)
    for attempt in range(4, 12):
        rig.request("a", "raise", attempt=attempt)
    with rig.host() as host:
        until(lambda: host.health(lag=False)["swift"].state == "stopped", "the breaker")
        assert "breaker" in host.health(lag=False)["swift"].reason
    # The input that tripped it, and those behind it, keep their tries.
    assert rig.written() == {
        "import-requested": 11,
        "separated": 3,
        "step-failed": 4,
        "swift.retry.5s": 4,
    }


def test_a_hundred_bad_events_do_not_trip_it(rig: Rig) -> None:
    for number in range(100):
        rig.request(f"job-{number}", "reject")
    rig.request("good")
    with rig.host() as host:
        rig.wait_for("separated")
        until(lambda: all_done(rig), "every offset")
        assert host.alive
    assert len(rig.records("swift.dlq")) == 100


def test_a_batch_has_no_store(rig: Rig, tmp_path: Path) -> None:
    rig.request("a", "stored", count=str(tmp_path / "count"))
    rig.request("b")
    with rig.host() as host:
        rig.wait_for_records("swift.retry.5s")
        rig.ahead_ms = 6_000
        host.wake()
        (dead,) = rig.wait_for_records("swift.dlq")
        rig.wait_for("separated")
    said = dict(dead.headers)["melisma.error.message"].decode()
    assert "neither artifacts nor scratch files; leave batch= out" in said
    assert done_jobs(rig) == ["b"]


def test_a_batch_cannot_have_slots_or_a_gpu() -> None:
    def declare(**fields: object) -> None:
        stage(
            name="both",
            revision=1,
            consumes=(ImportRequested,),
            produces=(Separated,),
            sla=Sla(base_s=1),
            **fields,  # type: ignore[arg-type]
        )

    for wrong in ({"batch": 10, "slots": 2}, {"batch": 10, "uses": "gpu"}, {"batch": -1}):
        with pytest.raises(ValueError, match="stage 'both': batch counts"):
            declare(**wrong)
    declare(batch=10)


@stage(
    name="mute",
    revision=1,
    consumes=(ImportRequested,),
    produces=(),
    sla=Sla(base_s=60),
    batch=10,
)
def mute(event: ImportRequested, task: Task) -> tuple[Separated, ...]:
    """Makes no event."""
    return ()


def test_a_step_that_makes_no_event_says_that_it_is_done(tmp_path: Path) -> None:
    rig = Rig(tmp_path, mute)
    rig.request("a")
    with rig.host():
        until(lambda: rig.committed("mute") >= 1, "the offset")
        until(lambda: rig.states("a") == ["done"], "the sign")
    rig.log.close()


def test_slow_handlers_let_the_loop_turn(rig: Rig, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    for attempt in range(1, 4):
        rig.request("a", "gated", attempt=attempt, gate=str(gate), count=str(tmp_path / "count"))
    with rig.host():
        until((tmp_path / "count").exists, "the first one is in work")
        rig.cancel("a", 3)
        time.sleep(0.5)  # longer than a turn may hold the loop
        gate.touch()
        until(lambda: all_done(rig), "every offset")
    assert "separated" not in rig.written()  # a cancel of the third one covers the ones before


def test_revoked_in_mid_batch(rig: Rig, tmp_path: Path) -> None:
    """A second worker joins while the first is in the middle of a batch of every partition."""
    gate, count = tmp_path / "gate", tmp_path / "count"
    jobs = [f"job-{n}" for n in range(40)]
    for job in jobs:
        rig.request(job, "gated", gate=str(gate), count=str(count))
    with rig.host():
        until(count.exists, "the batch begins")
        with rig.host(worker_name="other"):
            time.sleep(1.0)  # to ask for its share
            gate.touch()
            rig.wait_for("separated", len(jobs))
            until(lambda: all_done(rig), "every offset")
    assert sorted(done_jobs(rig)) == sorted(jobs)


@pytest.mark.parametrize(
    "fault",
    [
        ("before", Fenced("a rebalance came between")),
        ("before", Doubtful("timed out")),
        ("after", Doubtful("timed out")),
        ("before", LogError("disk full")),
    ],
    ids=["fenced", "doubtful", "doubtful and written", "refused"],
)
def test_a_commit_that_goes_wrong_doubles_nothing(
    tmp_path: Path, fault: tuple[str, LogError]
) -> None:
    rig = Rig(tmp_path, stages.swift)
    log = Troubled(rig.log)
    log.faults = [("", LogError()), fault, fault]
    rig.log = log
    jobs = [f"job-{n}" for n in range(300)]
    for job in jobs:
        rig.request(job)
    with rig.host():
        until(lambda: all_done(rig), "every offset")
    assert sorted(done_jobs(rig)) == sorted(jobs)
    rig.log.close()


@pytest.mark.faults
@pytest.mark.parametrize("seed", [1, 2])
def test_hosts_killed_in_mid_batch_lose_and_double_nothing(
    rig: Rig, tmp_path: Path, seed: int
) -> None:
    random = Random(seed)
    jobs = [f"job-{n}" for n in range(600)]
    for job in jobs:
        rig.request(job, random.choice(["work", "work", "work", "reject"]))
    gate, count = tmp_path / "gate", tmp_path / "count"
    count.touch()
    jobs.append("gated")  # no host gets past it before its death, however fast it is
    rig.request("gated", "gated", gate=str(gate), count=str(count))
    for turn in range(4):
        before, held = len(done_jobs(rig)), count.stat().st_size
        host = host_process(tmp_path, f"{turn}", "swift")
        try:
            until(
                lambda: len(done_jobs(rig)) > before or count.stat().st_size > held,  # noqa: B023
                "a batch",
            )
        finally:
            kill_9(host)
        assert not all_done(rig)
        for number in range(100):
            jobs.append(f"job-{turn}-{number}")
            rig.request(jobs[-1])
    gate.touch()
    with rig.host():
        until(lambda: all_done(rig), "every offset")
    refused = [e.event.job_id for e in rig.events("job-failed") if isinstance(e.event, JobFailed)]
    assert sorted(done_jobs(rig) + refused) == sorted(jobs)
    assert len(rig.records("swift.dlq")) == len(refused)
