"""The embedded log when processes die, disks fill and files are not what they should be."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.topics.log.other_process import NAME, Child
from tests.topics.log.steps import DEADLINE_S, Member, settle, take, until, values
from topics.log import (
    Doubtful,
    EmbeddedLog,
    Fenced,
    LogError,
    Outgoing,
    TopicPartition,
)
from topics.log.embedded import schema


@pytest.fixture
def log(tmp_path: Path) -> Iterator[EmbeddedLog]:
    log = EmbeddedLog(tmp_path / NAME, busy_timeout_s=0.2)
    yield log
    log.close()


# -- deaths ------------------------------------------------------------------------------------

COPY = """
log.provision({"in": 1, "out": 1, "also": 2})
consumer, producer = log.consumer("copy", ["in"]), log.producer("copy")
while True:
    for record in consumer.poll(1, max_records=3):
        with producer.transaction() as tx:
            tx.send(Outgoing("out", record.value))
            tx.send(Outgoing("also", record.value))
            tx.commit_offsets(consumer, {record.tp: record.offset + 1})
        say(record.offset)
"""


@pytest.mark.faults
def test_kill_9_loses_nothing_and_shows_nothing_by_halves(tmp_path: Path, log: EmbeddedLog) -> None:
    log.provision({"in": 1, "out": 1, "also": 2})
    log.producer("fill").send(Outgoing("in", str(n).encode()) for n in range(20_000))
    copied = 0
    for attempt in range(5):
        with Child(tmp_path, COPY) as child:
            assert int(child.line()) == copied  # goes on exactly where the dead one stopped
            time.sleep(0.02 + attempt * 0.0037)  # a different moment each time
            child.process.kill()
            assert child.process.stdout is not None
            said = [int(line) for line in child.process.stdout]
        ends = log.end_offsets(["out", "also"])
        done = ends[TopicPartition("out", 0)]
        assert done > max(said, default=copied)  # what it was told is kept is kept
        assert sum(ends.values()) == 2 * done
        assert log.group_offsets("copy") == {TopicPartition("in", 0): done}
        copied = done
    assert values(take(log.reader(["out"]), copied)) == [str(n).encode() for n in range(copied)]
    with sqlite3.connect(tmp_path / NAME) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    db.close()


JOIN = """
consumer = log.consumer("group", ["topic"])
while True:
    consumer.poll(0.02)
    say(len(consumer.assignment()))
"""


@pytest.mark.faults
def test_a_killed_member_is_followed_at_once(tmp_path: Path, log: EmbeddedLog) -> None:
    log.provision({"topic": 4})
    with Child(tmp_path, JOIN) as child:
        assert child.line() == "4"
        child.process.kill()  # and not waited for: it stays a zombie
        assert child.process.stdout is not None
        child.process.stdout.read()
        member = Member(log, "group", ["topic"])
        member.poll()
        assert len(member.consumer.assignment()) == 4


@pytest.mark.faults
def test_members_notice_that_another_was_killed(tmp_path: Path, log: EmbeddedLog) -> None:
    log.provision({"topic": 4})
    member = Member(log, "group", ["topic"])
    with Child(tmp_path, JOIN) as child:
        until(lambda: member.poll() == 0 and len(member.consumer.assignment()) == 2, "a share")
        until(lambda: child.line() == "2", "the other's share")
        child.process.kill()
        settle([member], {"topic": 4})


def test_another_processs_records_wake_a_poll(tmp_path: Path, log: EmbeddedLog) -> None:
    log.provision({"topic": 1})
    reader = log.reader(["topic"])
    script = "sys.stdin.readline(); log.producer('p').send([Outgoing('topic', b'x')]); log.close()"
    with Child(tmp_path, script) as child:
        assert child.process.stdin is not None
        child.process.stdin.write("now\n")
        child.process.stdin.flush()
        started = time.monotonic()
        assert values(reader.poll(DEADLINE_S)) == [b"x"]
        assert time.monotonic() - started < DEADLINE_S / 2


def test_a_producer_of_another_process_fences(tmp_path: Path, log: EmbeddedLog) -> None:
    log.provision({"topic": 1})
    producer = log.producer("p")
    with Child(tmp_path, "log.producer('p'); say('made')") as child:
        assert child.line() == "made"
    with pytest.raises(Fenced, match="'p'"):
        producer.send([Outgoing("topic", b"x")])


def test_topics_of_another_process_are_found(tmp_path: Path, log: EmbeddedLog) -> None:
    with Child(tmp_path, "log.provision({'new': 3}); say('made')") as child:
        assert child.line() == "made"
    log.producer("p").send([Outgoing("new", b"x", partition=2)])
    assert log.topics() == {"new": 3}


# -- files and disks ---------------------------------------------------------------------------


def test_a_file_from_the_future_is_refused(tmp_path: Path) -> None:
    EmbeddedLog(tmp_path / NAME).close()
    db = sqlite3.connect(tmp_path / NAME)
    db.execute("PRAGMA user_version = 7")
    db.close()
    with pytest.raises(LogError, match=f"'{NAME}' has format 7, written by a newer Melisma"):
        EmbeddedLog(tmp_path / NAME)


def test_a_file_of_another_program_is_refused(tmp_path: Path) -> None:
    db = sqlite3.connect(tmp_path / NAME)
    db.execute("CREATE TABLE customers (id)")
    db.close()
    with pytest.raises(LogError, match="another program"):
        EmbeddedLog(tmp_path / NAME)
    (tmp_path / "text").write_text("not a database, but long enough to have a header" * 9)
    with pytest.raises(LogError, match="damaged or no log"):
        EmbeddedLog(tmp_path / "text")


def writer_of(log: EmbeddedLog) -> sqlite3.Connection:
    return log._shared.file._writer


def test_a_full_disk_is_a_log_error_and_writes_nothing(log: EmbeddedLog) -> None:
    log.provision({"topic": 1})
    producer = log.producer("p")
    (pages,) = writer_of(log).execute("PRAGMA page_count").fetchone()
    writer_of(log).execute(f"PRAGMA max_page_count = {pages + 4}")
    with pytest.raises(LogError, match=f"no room is left for '{NAME}'.*free disk space"):
        producer.send([Outgoing("topic", b"small"), Outgoing("topic", b"x" * 10**6)])
    assert log.end_offsets(["topic"]) == {TopicPartition("topic", 0): 0}
    writer_of(log).execute(f"PRAGMA max_page_count = {2**31}")
    producer.send([Outgoing("topic", b"x" * 10**6)])
    assert values(take(log.reader(["topic"]), 1)) == [b"x" * 10**6]


def test_a_locked_file_is_a_log_error(tmp_path: Path, log: EmbeddedLog) -> None:
    log.provision({"topic": 1})
    producer = log.producer("p")
    other = sqlite3.connect(tmp_path / NAME, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(LogError, match=r"locked for 0\.2 s; nothing was written"):
        producer.send([Outgoing("topic", b"x")])
    other.execute("ROLLBACK")
    producer.send([Outgoing("topic", b"y")])
    assert values(take(log.reader(["topic"]), 1)) == [b"y"]
    other.close()


def test_a_stopped_writer_of_another_process_is_a_log_error(
    tmp_path: Path, log: EmbeddedLog
) -> None:
    log.provision({"topic": 1})
    hold = "with log._shared.file.presence.writing(1):\n    say('held')\n    time.sleep(60)"
    with Child(tmp_path, hold) as child:
        assert child.line() == "held"
        with pytest.raises(LogError, match="another process has held"):
            log.producer("p")
    log.producer("p").send([Outgoing("topic", b"x")])


class FailingCommit:
    """A connection whose COMMIT fails, before or after it did its work."""

    def __init__(self, db: sqlite3.Connection, code: int, *, committed: bool) -> None:
        self._db = db
        self._code = code
        self._committed = committed

    def execute(self, sql: str, parameters: Any = ()) -> sqlite3.Cursor:
        if sql != "COMMIT":
            return self._db.execute(sql, parameters)
        if self._committed:
            self._db.execute(sql)
        error = sqlite3.OperationalError("injected")
        error.sqlite_errorcode = self._code
        raise error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._db, name)


@pytest.mark.parametrize("committed", [False, True])
def test_an_error_while_committing_is_doubtful(log: EmbeddedLog, committed: bool) -> None:
    log.provision({"topic": 1})
    producer = log.producer("p")
    db = writer_of(log)
    log._shared.file._writer = FailingCommit(  # type: ignore[assignment]
        db, sqlite3.SQLITE_IOERR_FSYNC, committed=committed
    )
    with pytest.raises(Doubtful, match="read the offsets"):
        producer.send([Outgoing("topic", b"x")])
    log._shared.file._writer = db
    assert log.end_offsets(["topic"]) == {TopicPartition("topic", 0): int(committed)}
    log.producer("p").send([Outgoing("topic", b"y")])
    expected = [b"x", b"y"] if committed else [b"y"]
    assert values(take(log.reader(["topic"]), len(expected))) == expected


def test_a_commit_that_found_no_room_is_not_doubtful(log: EmbeddedLog) -> None:
    log.provision({"topic": 1})
    producer = log.producer("p")
    db = writer_of(log)
    log._shared.file._writer = FailingCommit(  # type: ignore[assignment]
        db, sqlite3.SQLITE_FULL, committed=False
    )
    with pytest.raises(LogError, match="no room") as caught:
        producer.send([Outgoing("topic", b"x")])
    assert not isinstance(caught.value, Doubtful)
    log._shared.file._writer = db
    producer.send([Outgoing("topic", b"y")])
    assert values(take(log.reader(["topic"]), 1)) == [b"y"]


def test_a_member_that_cannot_leave_now_leaves_later(log: EmbeddedLog) -> None:
    log.provision({"topic": 2})
    leaver = log.consumer("group", ["topic"])
    leaver.poll(0)
    member = Member(log, "group", ["topic"])
    db = writer_of(log)
    with log._shared.file._turn:
        log._shared.file._writer = FailingCommit(  # type: ignore[assignment]
            db, sqlite3.SQLITE_FULL, committed=False
        )
    with pytest.raises(LogError, match="no room"):
        leaver.close()
    with log._shared.file._turn:
        log._shared.file._writer = db
    settle([member], {"topic": 2})


def test_a_log_closes_on_a_full_disk(tmp_path: Path) -> None:
    log = EmbeddedLog(tmp_path / NAME)
    log.provision({"topic": 2})
    log.consumer("group", ["topic"]).poll(0)
    kept = log.consumer("group", ["topic"])
    file = log._shared.file
    with file._turn:
        file._writer = FailingCommit(  # type: ignore[assignment]
            writer_of(log), sqlite3.SQLITE_FULL, committed=False
        )
    log.close()
    with pytest.raises(LogError, match="closed"):
        kept.poll(0)
    again = EmbeddedLog(tmp_path / NAME)
    settle([Member(again, "group", ["topic"])], {"topic": 2})
    again.close()


def test_a_write_after_the_close_is_refused(tmp_path: Path) -> None:
    log = EmbeddedLog(tmp_path / NAME)
    file = log._shared.file
    log.close()
    with pytest.raises(LogError, match="closed; open it again"):
        file.write(lambda db, _: db.execute("DELETE FROM record"))


def test_writes_that_are_committed_together_fail_alone(log: EmbeddedLog) -> None:
    log.provision({"topic": 1})
    old = log.producer("old")
    log.producer("old")
    producers = [log.producer(str(n)) for n in range(3)]
    outcomes: dict[str, str] = {}

    def send(name: str, producer: Any) -> None:
        try:
            producer.send([Outgoing("topic", name.encode())])
            outcomes[name] = "sent"
        except Fenced:
            outcomes[name] = "fenced"

    class HalfWay:
        """Fails after it has written."""

        def send(self, _: object) -> None:
            def work(db: sqlite3.Connection, changes: object) -> None:
                db.execute("UPDATE topic_partition SET next = next + 1000")
                raise Fenced("half way")

            log._shared.file.write(work)

    senders = [threading.Thread(target=send, args=("old", old))]
    senders += [threading.Thread(target=send, args=("half", HalfWay()))]
    senders += [threading.Thread(target=send, args=(str(n), p)) for n, p in enumerate(producers)]
    file = log._shared.file
    with file._turn:  # the writer is busy, so that all of them queue
        for sender in senders:
            sender.start()
        until(lambda: len(file._queue) == 5, "five writes in the queue")
    for sender in senders:
        sender.join(DEADLINE_S)
    assert outcomes == {"old": "fenced", "half": "fenced", "0": "sent", "1": "sent", "2": "sent"}
    assert sorted(v or b"" for v in values(take(log.reader(["topic"]), 3))) == [b"0", b"1", b"2"]
    assert log.end_offsets(["topic"]) == {TopicPartition("topic", 0): 3}


def test_headers_are_laid_out_and_read_back() -> None:
    headers = (("имя", b"\x00" * 300), ("", b""), ("a", b"b"))
    assert schema.unpack(schema.pack(headers)) == headers
    assert schema.pack(()) is None


def test_wrong_uses_are_named(log: EmbeddedLog) -> None:
    with pytest.raises(ValueError, match="no topic name"):
        log.provision({"a b": 1})
    with pytest.raises(ValueError, match="1 partition"):
        log.provision({"a": 0})
    log.provision({"a": 2})
    producer = log.producer("p")
    with pytest.raises(LogError, match="no partition 2, only 0 to 1"):
        producer.send([Outgoing("a", b"", partition=2)])
    with pytest.raises(LogError, match="not read here"):
        log.reader(["a"]).seek(TopicPartition("b", 0), 0)
    with producer.transaction(), pytest.raises(LogError, match="already"), producer.transaction():
        pass
    producer.close()
    with pytest.raises(LogError, match="closed"):
        producer.send([])


def test_a_log_does_not_pass_a_fork(log: EmbeddedLog, monkeypatch: pytest.MonkeyPatch) -> None:
    child = os.getpid() + 1
    monkeypatch.setattr(os, "getpid", lambda: child)
    with pytest.raises(LogError, match="before a fork"):
        log.topics()


def test_an_interrupt_while_committing_reaches_its_thread_and_breaks_nothing(
    log: EmbeddedLog,
) -> None:
    log.provision({"topic": 1})
    producer = log.producer("p")

    def interrupt(db: sqlite3.Connection, changes: object) -> None:
        db.execute("UPDATE topic_partition SET next = 1000")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        log._shared.file.write(interrupt)
    producer.send([Outgoing("topic", b"x")])
    assert [(r.offset, r.value) for r in take(log.reader(["topic"]), 1)] == [(0, b"x")]
