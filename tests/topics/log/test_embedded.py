"""The embedded log: the contract, then what only a file can do."""

from __future__ import annotations

import gc
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.topics.log.contract import LogContract
from tests.topics.log.other_process import NAME
from tests.topics.log.steps import DEADLINE_S, Member, settle, take, values
from topics.log import (
    EmbeddedLog,
    Fenced,
    Log,
    LogError,
    Outgoing,
    TopicPartition,
)
from topics.log.embedded import groups


class TestEmbedded(LogContract):
    @pytest.fixture
    def open_log(self, tmp_path: Path) -> Callable[[], Log]:
        return lambda: EmbeddedLog(tmp_path / NAME)


@pytest.fixture
def log(tmp_path: Path) -> Iterator[EmbeddedLog]:
    log = EmbeddedLog(tmp_path / NAME, busy_timeout_s=0.2)
    yield log
    log.close()


# -- members -----------------------------------------------------------------------------------


def test_a_forgotten_consumer_leaves(log: EmbeddedLog) -> None:
    log.provision({"topic": 2})
    forgotten = log.consumer("group", ["topic"])
    forgotten.poll(0)
    assert len(forgotten.assignment()) == 2
    member = Member(log, "group", ["topic"])
    del forgotten
    gc.collect()
    settle([member], {"topic": 2})


def test_closing_the_log_gives_up_what_it_opened(tmp_path: Path, log: EmbeddedLog) -> None:
    log.provision({"topic": 2})
    other = EmbeddedLog(tmp_path / NAME)
    consumer = other.consumer("group", ["topic"])
    consumer.poll(0)
    reader = other.reader(["topic"])

    def poll() -> None:
        with pytest.raises(LogError):
            reader.poll(DEADLINE_S)

    polling = threading.Thread(target=poll)
    polling.start()
    other.close()
    polling.join(DEADLINE_S)
    assert not polling.is_alive()
    settle([Member(log, "group", ["topic"])], {"topic": 2})
    for use in (lambda: consumer.poll(0), other.topics, lambda: other.reader(["topic"])):
        with pytest.raises(LogError, match="closed"):
            use()


def test_a_member_that_was_removed_is_fenced(log: EmbeddedLog) -> None:
    log.provision({"topic": 1, "out": 1})
    consumer = log.consumer("group", ["topic"])
    consumer.poll(0)
    log._shared.file.write(lambda db, changes: groups.leave(db, changes, [consumer.member]))
    producer = log.producer("p")

    def commit() -> None:
        with producer.transaction() as tx:
            tx.send(Outgoing("out", b"never"))
            tx.commit_offsets(consumer, {TopicPartition("topic", 0): 0})

    with pytest.raises(Fenced, match="drop the work"):
        commit()
    assert log.end_offsets(["out"]) == {TopicPartition("out", 0): 0}
    with pytest.raises(Fenced, match="removed from group 'group'"):
        consumer.poll(0)


def test_a_failing_callback_surfaces_and_is_repeated(log: EmbeddedLog) -> None:
    log.provision({"topic": 2})
    first = Member(log, "group", ["topic"])
    settle([first], {"topic": 2})

    def fail(partitions: frozenset[TopicPartition]) -> None:
        raise OSError("not now")

    first.on_revoke = fail
    second = Member(log, "group", ["topic"])
    with pytest.raises(OSError, match="not now"):
        first.poll()
    second.poll()
    assert second.consumer.assignment() == frozenset()  # nothing was given up
    first.on_revoke = lambda _: None
    settle([first, second], {"topic": 2})


def test_nothing_is_written_at_idle(tmp_path: Path, log: EmbeddedLog) -> None:
    log.provision({"topic": 2})
    members = [Member(log, "group", ["topic"]) for _ in range(2)]
    settle(members, {"topic": 2})
    other = sqlite3.connect(tmp_path / NAME)
    before = other.execute("PRAGMA data_version").fetchone()
    members[0].consumer.poll(0.6)  # longer than every interval of the watcher
    assert other.execute("PRAGMA data_version").fetchone() == before
    other.close()


def test_polls_are_fair_to_partitions(log: EmbeddedLog) -> None:
    log.provision({"topic": 3})
    producer = log.producer("p")
    producer.send(Outgoing("topic", b"many", partition=0) for _ in range(100))
    producer.send(Outgoing("topic", b"one", partition=n) for n in (1, 2))
    reader = log.reader(["topic"])
    assert sorted(r.partition for r in reader.poll(0, max_records=6)) == [0, 0, 0, 0, 1, 2]
    producer.send(Outgoing("topic", b"next", partition=n) for n in (1, 2))
    turns = [r.partition for _ in range(3) for r in reader.poll(0, max_records=1)]
    assert sorted(turns) == [0, 1, 2]


# -- retention ---------------------------------------------------------------------------------


def test_trim_moves_the_earliest_record_and_no_offset(tmp_path: Path) -> None:
    now_s = [1_000.0]
    log = EmbeddedLog(tmp_path / NAME, clock=lambda: now_s[0])
    log.provision({"short": 1, "kept": 1})
    producer = log.producer("p")
    producer.send(Outgoing("short", str(n).encode()) for n in range(1200))
    behind, told = log.reader(["short"]), log.reader(["short"])
    behind.poll(0, max_records=10)
    now_s[0] += 60
    producer.send([Outgoing("short", b"young"), Outgoing("kept", b"kept")])
    now_s[0] += 60
    assert log.trim({"short": 90_000}) == 1200
    assert log.trim({"short": 90_000}) == 0
    tp = TopicPartition("short", 0)
    assert log.end_offsets(["short"]) == {tp: 1201}
    for reader in (behind, log.reader(["short"]), log.reader(["short"], start={tp: 3})):
        assert [(r.offset, r.value) for r in take(reader, 1)] == [(1200, b"young")]
    assert log.trim({"short": 1}) == 1
    assert values(take(log.reader(["kept"]), 1)) == [b"kept"]
    producer.send([Outgoing("short", b"next")])
    assert [(r.offset, r.value) for r in take(told, 1)] == [(1201, b"next")]
    assert told.caught_up()
    log.close()
