"""Commits against a log in trouble: the embedded log, with faults put in front of it."""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from processors.runtime.endings import Settled
from processors.runtime.ledger import Ledger, Unwritable
from processors.runtime.metrics import Ending
from schemas.events import Separated
from tests.processors.runtime import stages
from tests.processors.runtime.rig import Rig, until
from topics.log import (
    Consumer,
    Doubtful,
    Fenced,
    LogError,
    Outgoing,
    Producer,
    Record,
    TopicPartition,
    UnknownTopic,
    Writing,
)


class Troubled:
    """A log whose producers fail as told: ``before`` the commit, or ``after`` it."""

    def __init__(self, log: Any) -> None:
        self._log = log
        self.faults: list[tuple[str, LogError]] = []
        self.producers: list[str] = []
        self.answers = True

    def producer(self, name: str) -> Producer:
        self.producers.append(name)
        return _TroubledProducer(self, self._log.producer(name))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)


class _TroubledProducer:
    def __init__(self, log: Troubled, real: Any) -> None:
        self._log = log
        self._real = real

    @contextmanager
    def transaction(self) -> Iterator[Any]:
        when, error = self._log.faults.pop(0) if self._log.faults else ("", LogError())
        with self._real.transaction() as transaction:
            yield transaction
            if when == "before":
                raise error
        if when == "after":
            raise error

    def write(self) -> Writing:
        when, error = self._log.faults.pop(0) if self._log.faults else ("", LogError())
        return _Slow(self._log, self._real.write(), when, error)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


class _Slow:
    """A writing that is over when the log says so, or when it is waited for."""

    def __init__(self, log: Troubled, real: Writing, when: str, error: LogError) -> None:
        self._log = log
        self._real = real
        self._when, self._error = when, error

    def send(self, outgoing: Outgoing) -> None:
        self._real.send(outgoing)

    def end(self, consumer: Consumer, offsets: Mapping[TopicPartition, int]) -> None:
        if self._when != "before":
            self._real.end(consumer, offsets)

    def over(self) -> bool:
        return self._log.answers

    def wait(self) -> None:
        if self._when:
            raise self._error
        self._real.wait()


class Time:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Bench:
    """A consumer that owns everything, a ledger and a clock."""

    def __init__(self, rig: Rig, batch: int | None = None) -> None:
        self.rig = rig
        self.log = Troubled(rig.log)
        self.clock = Time()
        self.consumer: Consumer = rig.log.consumer("trial", ["import-requested"])
        self.consumer.poll(0)
        self.ledger = Ledger(self.log, "trial", "trial.bench", self.clock, batch=batch)

    def settle_one(self, job: str) -> None:
        known = {(one.tp, one.offset) for one in self.rig.records("import-requested")}
        self.rig.request(job)
        for record in self.rig.records("import-requested"):
            if (record.tp, record.offset) not in known:
                self._add(record, "finished")

    def settle(self, *jobs: str, dead: bool = False) -> None:
        for job in jobs:
            self.rig.request(job)
        for record in self.rig.records("import-requested"):
            self._add(record, "spent" if dead else "finished")

    def _add(self, record: Record, ending: Ending) -> None:
        out = Outgoing("separated", record.key, record.key)
        self.ledger.add(Settled(record.tp, record.offset + 1, ending, (out,)))

    def busiest_first(self) -> tuple[TopicPartition, list[Settled]]:
        """Put what is settled of the partition with the most of it before the rest."""
        settled = self.ledger._open
        first = Counter(one.tp for one in settled).most_common(1)[0][0]
        settled.sort(key=lambda one: one.tp != first)
        return first, [one for one in settled if one.tp == first]

    def outputs(self) -> int:
        return len(self.rig.records("separated"))


@contextmanager
def opened(folder: Path, batch: int | None = None) -> Iterator[Bench]:
    rig = Rig(folder, stages.trial)
    bench = Bench(rig, batch)
    yield bench
    bench.consumer.close()
    bench.ledger.close()
    rig.log.close()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with opened(tmp_path) as bench:
        yield bench


@pytest.fixture
def batches(tmp_path: Path) -> Iterator[Bench]:
    """Three records a transaction."""
    with opened(tmp_path, batch=3) as bench:
        yield bench


def test_full_transactions_are_written_while_others_fill(batches: Bench) -> None:
    """One at a time: what is settled meanwhile waits for it."""
    batches.log.answers = False
    seen = []
    for number in range(8):
        batches.settle_one(f"job-{number}")
        batches.ledger.write(batches.consumer)
        seen.append(batches.rig.committed("trial"))
        batches.log.answers = number >= 6
    assert seen == [0, 0, 3, 3, 3, 3, 3, 6]
    assert batches.ledger.commit(batches.consumer) == []
    assert (batches.outputs(), batches.rig.committed("trial")) == (8, 8)
    assert not batches.ledger.settled


@pytest.mark.parametrize("when", ["before", "after"])
def test_doubt_about_what_was_begun_is_resolved_by_the_offsets(batches: Bench, when: str) -> None:
    batches.settle(*"abcde")
    batches.log.faults = [(when, Doubtful("timed out"))]
    batches.ledger.write(batches.consumer)
    batches.ledger.write(batches.consumer)  # begins nothing behind what is in doubt
    batches.ledger.commit(batches.consumer)
    batches.ledger.commit(batches.consumer)
    assert (batches.outputs(), batches.rig.committed("trial")) == (5, 5)
    assert len(batches.log.producers) == 2
    assert not batches.ledger.settled


def test_a_failure_of_what_was_begun_is_for_the_commit_to_hear(batches: Bench) -> None:
    batches.settle(*"abcdefg")
    batches.log.faults = [("before", LogError("disk full"))]
    batches.ledger.write(batches.consumer)
    batches.ledger.write(batches.consumer)  # hears that it failed, and begins nothing behind it
    assert batches.rig.committed("trial") == 0
    batches.ledger.commit(batches.consumer)
    assert batches.ledger.wait_s() > 0
    batches.clock.now += batches.ledger.wait_s()
    batches.ledger.commit(batches.consumer)
    assert (batches.outputs(), batches.rig.committed("trial")) == (7, 7)


def test_nothing_passes_a_partition_that_was_fenced_while_others_filled(batches: Bench) -> None:
    batches.settle(*"abcdefgh")
    first, of_first = batches.busiest_first()
    assert len(of_first) == 3  # one more than the transaction holds that is refused
    batches.ledger._batch = 2
    batches.log.faults = [("before", Fenced("of these"))]
    batches.ledger.write(batches.consumer)
    assert list(batches.ledger.commit(batches.consumer)) == of_first[:2]
    assert batches.rig.log.group_offsets("trial").get(first) is None
    assert (batches.outputs(), batches.rig.committed("trial")) == (8 - len(of_first),) * 2


def test_everything_settled_is_one_transaction(bench: Bench) -> None:
    bench.settle("a", "b", "c")
    bench.log.faults = [("", LogError()), ("before", LogError("a second one"))]
    assert bench.ledger.commit(bench.consumer) == []
    assert (bench.outputs(), bench.rig.committed("trial")) == (3, 3)
    assert not bench.ledger.settled


@pytest.mark.parametrize("when", ["before", "after"])
def test_doubt_is_resolved_by_the_offsets(bench: Bench, when: str) -> None:
    bench.settle("a", "b")
    bench.log.faults = [(when, Doubtful("timed out"))]
    bench.ledger.commit(bench.consumer)
    assert bench.ledger.settled
    bench.ledger.commit(bench.consumer)
    assert (bench.outputs(), bench.rig.committed("trial")) == (2, 2)
    assert len(bench.log.producers) == 2  # the doubtful one was thrown away


def test_a_fenced_partition_is_dropped_and_only_that(bench: Bench) -> None:
    bench.settle(*"abcdefgh")
    first, of_first = bench.busiest_first()
    # The batch, then partition by partition: the first is at fault.
    bench.log.faults = [("before", Fenced("batch")), ("before", Fenced("one"))]
    dropped = bench.ledger.commit(bench.consumer)
    assert list(dropped) == of_first
    assert len(of_first) > 1  # nothing behind the refused one may pass it by
    assert bench.rig.log.group_offsets("trial").get(first) is None
    assert (bench.outputs(), bench.rig.committed("trial")) == (8 - len(of_first),) * 2


def test_what_was_revoked_is_not_committed_later(bench: Bench) -> None:
    bench.settle("a", "b")
    bench.log.faults = [("before", LogError("disk full"))]
    bench.ledger.commit(bench.consumer)
    bench.ledger.forget(bench.consumer.assignment())
    bench.clock.now += 60
    bench.ledger.commit(bench.consumer)
    assert (bench.outputs(), bench.rig.committed("trial")) == (0, 0)
    assert not bench.ledger.settled


def test_a_log_in_trouble_is_asked_again_later(bench: Bench) -> None:
    bench.settle("a")
    bench.log.faults = [("before", LogError("disk full"))] * 2
    bench.ledger.commit(bench.consumer)
    wait = bench.ledger.wait_s()
    assert wait > 0
    bench.ledger.commit(bench.consumer)  # too early: nothing is tried
    assert len(bench.log.faults) == 1
    bench.clock.now += wait
    bench.ledger.commit(bench.consumer)
    assert bench.ledger.wait_s() > wait
    bench.clock.now += bench.ledger.wait_s()
    bench.ledger.commit(bench.consumer)
    assert (bench.outputs(), bench.rig.committed("trial")) == (1, 1)


def test_what_was_committed_one_by_one_is_not_written_twice(bench: Bench) -> None:
    bench.settle("a", "b")
    bench.log.faults = [
        ("before", Fenced("batch")),
        ("", LogError()),
        ("before", LogError("disk full")),
    ]
    bench.ledger.commit(bench.consumer)
    bench.clock.now += bench.ledger.wait_s()
    bench.ledger.commit(bench.consumer)
    assert (bench.outputs(), bench.rig.committed("trial")) == (2, 2)


def test_partitions_of_others_are_not_committed(bench: Bench) -> None:
    bench.ledger.add(Settled(TopicPartition("reprocess-requested", 0), 1, "finished"))
    bench.ledger.commit(bench.consumer)
    assert bench.rig.committed("trial") == 0
    assert not bench.ledger.settled


@pytest.mark.parametrize("error", [LogError("disk full"), UnknownTopic("no trial.dlq")])
def test_a_dead_letter_that_cannot_be_written_is_the_end(bench: Bench, error: LogError) -> None:
    bench.settle("a", dead=True)
    bench.log.faults = [("before", error)]
    with pytest.raises(Unwritable, match=str(error)):
        bench.ledger.commit(bench.consumer)


def test_it_stops_the_stage_which_says_so(tmp_path: Path) -> None:
    rig = Rig(tmp_path, stages.trial)
    log = Troubled(rig.log)
    log.faults = [("before", LogError("disk full"))] * 9
    rig.log = log
    rig.request("a", "reject")
    with rig.host() as host:
        until(lambda: host.health()["trial"].state == "stopped", "the stop")
        assert "disk full" in host.health()["trial"].reason
        assert not host.alive
    assert rig.written() == {"import-requested": 1}
    rig.log.close()


def test_a_stage_goes_on_after_a_doubtful_commit(tmp_path: Path) -> None:
    rig = Rig(tmp_path, stages.trial)
    log = Troubled(rig.log)
    log.faults = [("after", Doubtful("timed out")), ("before", Doubtful("timed out"))]
    rig.log = log
    rig.request("a")
    rig.request("b")
    with rig.host():
        made = rig.wait_for("separated", 2)
        until(lambda: rig.committed("trial") == 2, "both offsets")
    assert sorted(m.event.work.job_id for m in made if isinstance(m.event, Separated)) == ["a", "b"]
    assert len(rig.records("separated")) == 2
    rig.log.close()


def test_a_fenced_commit_on_a_partition_that_stayed_is_read_again(tmp_path: Path) -> None:
    rig = Rig(tmp_path, stages.trial)
    log = Troubled(rig.log)
    log.faults = [("before", Fenced("a rebalance came between"))]
    rig.log = log
    for attempt in (1, 2, 3):
        rig.request("a", attempt=attempt)
    with rig.host():
        made = rig.wait_for("separated", 3)
        until(lambda: rig.committed("trial") == 3, "the offset")
    # In their order: what was polled behind the refused one does not come before it.
    assert [m.event.work.attempt for m in made if isinstance(m.event, Separated)] == [1, 2, 3]
    assert rig.written() == {"import-requested": 3, "separated": 3}
    rig.log.close()


def test_a_topic_that_does_not_exist_stops_the_stage(tmp_path: Path) -> None:
    rig = Rig(tmp_path, stages.trial)
    with rig.host(stages.hasty) as host:
        until(lambda: host.health(lag=False)["hasty"].state == "stopped", "the stop")
        assert "hasty.retry.5s" in host.health(lag=False)["hasty"].reason
        assert host.health()["hasty"].lag == -1
    rig.log.close()
