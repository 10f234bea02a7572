"""The log's contract: positions, readers, waiting."""

from __future__ import annotations

import threading
import time

from tests.topics.log.steps import DEADLINE_S, Member, quiet, settle, take, until, values
from topics.log import (
    Log,
    Outgoing,
    Record,
    TopicPartition,
)


class ReadingContract:
    # -- positions ---------------------------------------------------------------------------

    def test_a_paused_partition_waits_and_the_others_go_on(
        self, log: Log, topic: str, group: str, unique: str
    ) -> None:
        member = Member(log, group, [topic])
        settle([member], {topic: 4})
        held = TopicPartition(topic, 2)
        member.consumer.pause([held, TopicPartition("elsewhere", 0)])
        assert held in member.consumer.assignment()
        log.producer(f"p-{unique}").send(
            Outgoing(topic, str(n).encode(), partition=n) for n in (0, 2, 2, 3)
        )
        records = take(member.consumer, 2) + quiet(member.consumer)
        assert {r.partition for r in records} == {0, 3}
        member.consumer.resume([held])
        assert [(r.tp, r.offset) for r in take(member.consumer, 2)] == [(held, 0), (held, 1)]

    def test_seek_moves_the_position_and_not_the_commit(
        self, log: Log, single: str, group: str, unique: str
    ) -> None:
        log.producer(f"p-{unique}").send(Outgoing(single, str(n).encode()) for n in range(4))
        consumer = log.consumer(group, [single])
        take(consumer, 4)
        tp = TopicPartition(single, 0)
        consumer.seek(tp, 2)
        assert values(take(consumer, 2)) == [b"2", b"3"]
        assert consumer.committed(tp) is None

    def test_max_records_bounds_a_poll(self, log: Log, single: str, unique: str) -> None:
        log.producer(f"p-{unique}").send(Outgoing(single, str(n).encode()) for n in range(7))
        reader = log.reader([single])
        polls: list[list[Record]] = []

        def read_on() -> bool:
            polls.append(list(reader.poll(0.05, max_records=3)))
            return sum(map(len, polls)) == 7

        until(read_on, "seven records")
        assert max(map(len, polls)) <= 3
        assert [v for p in polls for v in values(p)] == [str(n).encode() for n in range(7)]

    # -- readers -----------------------------------------------------------------------------

    def test_readers_share_nothing(self, log: Log, topic: str, unique: str) -> None:
        log.producer(f"p-{unique}").send(Outgoing(topic, b"x", partition=n) for n in range(4))
        for _ in range(2):
            reader = log.reader([topic])
            assert len(take(reader, 4) + quiet(reader)) == 4

    def test_a_reader_starts_where_it_is_told(self, log: Log, topic: str, unique: str) -> None:
        log.producer(f"p-{unique}").send(
            Outgoing(topic, f"{p}:{n}".encode(), partition=p) for p in (0, 1) for n in range(3)
        )
        reader = log.reader([topic], start={TopicPartition(topic, 0): 2})
        assert sorted(v or b"" for v in values(take(reader, 4))) == [
            b"0:2", b"1:0", b"1:1", b"1:2"
        ]  # fmt: skip
        reader.seek(TopicPartition(topic, 0), 1)
        assert values(take(reader, 2)) == [b"0:1", b"0:2"]

    def test_caught_up_means_all_that_was_there_has_been_polled(
        self, log: Log, topic: str, unique: str
    ) -> None:
        producer = log.producer(f"p-{unique}")
        with producer.transaction() as tx:  # a transaction's marker may be the last offset
            for n in range(12):
                tx.send(Outgoing(topic, b"x", partition=n % 3))
        reader = log.reader([topic])
        assert not reader.caught_up()
        seen: list[Record] = []

        def up() -> bool:
            seen.extend(reader.poll(0.05, max_records=5))
            return reader.caught_up()

        until(up, "the reader to catch up")
        assert len(seen) == 12
        producer.send([Outgoing(topic, b"later")])
        assert reader.caught_up()

    def test_a_reader_of_nothing_is_caught_up(self, log: Log, topic: str) -> None:
        reader = log.reader([topic])

        def up() -> bool:
            reader.poll(0.05)
            return reader.caught_up()

        until(up, "the reader to catch up")

    # -- waiting -----------------------------------------------------------------------------

    def test_a_poll_returns_when_a_record_comes(self, log: Log, single: str, unique: str) -> None:
        reader = log.reader([single])
        reader.poll(0)
        producer = log.producer(f"p-{unique}")
        later = threading.Timer(0.1, lambda: producer.send([Outgoing(single, b"x")]))
        later.start()
        started = time.monotonic()
        assert values(reader.poll(DEADLINE_S)) == [b"x"]
        assert time.monotonic() - started < DEADLINE_S / 2
        later.join()

    def test_wake_ends_a_poll(self, log: Log, single: str, group: str) -> None:
        for reader in (log.consumer(group, [single]), log.reader([single])):
            threading.Timer(0.1, reader.wake).start()
            deadline = time.monotonic() + DEADLINE_S
            # A client may not be able to: polls of a second each show that it loses nothing.
            while reader.poll(1.0):
                assert time.monotonic() < deadline
            reader.close()
