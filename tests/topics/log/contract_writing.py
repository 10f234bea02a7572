"""The log's contract: topics, records, transactions."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable

import pytest

from tests.topics.log.steps import DEADLINE_S, Member, abort, quiet, settle, take, until, values
from topics.log import (
    Consumer,
    Fenced,
    Log,
    Outgoing,
    Producer,
    Record,
    TopicPartition,
    UnknownTopic,
)

OpenLog = Callable[[], Log]


def one_read(log: Log, producer: Producer, topic: str, group: str) -> tuple[Consumer, Record]:
    """A member, and the only record that it has read."""
    producer.send([Outgoing(topic, b"in")])
    consumer = log.consumer(group, [topic])
    (record,) = take(consumer, 1)
    return consumer, record


class WritingContract:
    # -- topics ------------------------------------------------------------------------------

    def test_provisions_topics_once(self, log: Log, topic: str) -> None:
        log.provision({topic: 9})
        until(lambda: log.topics().get(topic) == 4, "the topic")
        assert log.end_offsets([topic]) == {TopicPartition(topic, n): 0 for n in range(4)}

    def test_unknown_topics_are_named(self, log: Log, unique: str, group: str) -> None:
        missing = f"missing-{unique}"
        producer = log.producer(f"p-{unique}")
        with pytest.raises(UnknownTopic, match=missing):
            producer.send([Outgoing(missing, b"x")])
        with pytest.raises(UnknownTopic, match=missing), producer.transaction() as tx:
            tx.send(Outgoing(missing, b"x"))
        with pytest.raises(UnknownTopic, match=missing):
            log.consumer(group, [missing])
        with pytest.raises(UnknownTopic, match=missing):
            log.reader([missing])

    # -- records -----------------------------------------------------------------------------

    def test_a_record_comes_back_as_it_was_sent(self, log: Log, single: str, unique: str) -> None:
        headers = (("ce_id", b"\x00\xff"), ("again", b"1"), ("again", b"2"), ("empty", b""))
        before_ms = int(time.time() * 1000)
        log.producer(f"p-{unique}").send(
            [
                Outgoing(single, b"value", key=b"key", headers=headers),
                Outgoing(single, None, key=b"tombstone"),
                Outgoing(single, b"", key=None),
                Outgoing(single, b"empty key", key=b""),
            ]
        )
        records = take(log.reader([single]), 4)
        assert [(r.key, r.value, r.headers) for r in records] == [
            (b"key", b"value", headers),
            (b"tombstone", None, ()),
            (None, b"", ()),
            (b"", b"empty key", ()),
        ]
        assert [r.offset for r in records] == sorted(r.offset for r in records)
        assert all(r.tp == TopicPartition(single, 0) for r in records)
        # A broker on another machine may have another clock; a minute tells ms from s.
        assert all(abs(r.timestamp_ms - before_ms) < 60_000 for r in records)

    def test_equal_keys_keep_their_order(self, log: Log, topic: str, unique: str) -> None:
        keys = [f"track-{n}".encode() for n in range(16)]
        producer = log.producer(f"p-{unique}")
        for n in range(10):
            producer.send(Outgoing(topic, str(n).encode(), key=key) for key in keys)
        by_key: dict[bytes | None, list[Record]] = defaultdict(list)
        for record in take(log.reader([topic]), 160):
            by_key[record.key].append(record)
        for key in keys:
            assert values(by_key[key]) == [str(n).encode() for n in range(10)]
            assert len({r.partition for r in by_key[key]}) == 1
        assert len({r.partition for rs in by_key.values() for r in rs}) > 1

    def test_keys_land_where_kafkas_partitioner_puts_them(
        self, log: Log, topic: str, unique: str
    ) -> None:
        # murmur2 of these, from Kafka's own UtilsTest, without the sign bit, modulo 4
        signed = {b"21": -973932308, b"foobar": -790332482, b"a-little-bit-long-string": -985981536}
        log.producer(f"p-{unique}").send(Outgoing(topic, b"", key=key) for key in signed)
        landed = {r.key: r.partition for r in take(log.reader([topic]), 3)}
        assert landed == {key: (h & 0x7FFFFFFF) % 4 for key, h in signed.items()}

    def test_a_named_partition_wins_over_the_key(self, log: Log, topic: str, unique: str) -> None:
        log.producer(f"p-{unique}").send(
            Outgoing(topic, b"x", key=b"same", partition=n) for n in (3, 1)
        )
        assert {r.partition for r in take(log.reader([topic]), 2)} == {1, 3}

    def test_large_values(self, log: Log, single: str, unique: str) -> None:
        big = bytes(range(256)) * 8192  # 2 MiB
        producer = log.producer(f"p-{unique}")
        with producer.transaction() as tx:
            tx.send(Outgoing(single, big))
            tx.send(Outgoing(single, big[::-1]))
        assert values(take(log.reader([single]), 2)) == [big, big[::-1]]

    def test_concurrent_producers_lose_nothing(self, log: Log, topic: str, unique: str) -> None:
        def write(who: int) -> None:
            producer = log.producer(f"p-{unique}-{who}")
            for n in range(20):
                producer.send([Outgoing(topic, f"{who}:{n}".encode(), key=str(who).encode())])

        threads = [threading.Thread(target=write, args=(who,)) for who in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(DEADLINE_S)
        records = take(log.reader([topic]), 80)
        for who in range(4):
            mine = [r.value for r in records if r.key == str(who).encode()]
            assert mine == [f"{who}:{n}".encode() for n in range(20)]

    # -- transactions ------------------------------------------------------------------------

    def test_an_aborted_transaction_leaves_nothing(
        self, log: Log, topic: str, single: str, unique: str
    ) -> None:
        producer = log.producer(f"p-{unique}")
        abort(producer, Outgoing(topic, b"never"), Outgoing(single, b"never"))
        with producer.transaction() as tx:
            tx.send(Outgoing(topic, b"kept"))
        reader = log.reader([topic, single])
        assert values(take(reader, 1) + quiet(reader)) == [b"kept"]

    def test_nothing_of_an_open_transaction_is_seen(
        self, log: Log, single: str, unique: str
    ) -> None:
        producer = log.producer(f"p-{unique}")
        reader = log.reader([single])
        with producer.transaction() as tx:
            tx.send(Outgoing(single, b"x"))
            assert quiet(reader) == []
        assert values(take(reader, 1)) == [b"x"]

    def test_outputs_and_offsets_commit_together(
        self, log: Log, topic: str, single: str, group: str, unique: str
    ) -> None:
        producer = log.producer(f"p-{unique}")
        consumer, record = one_read(log, producer, single, group)
        abort(producer, Outgoing(topic, b"out"), consumer=consumer, after=record)
        assert consumer.committed(record.tp) is None
        assert log.group_offsets(group) == {}
        with producer.transaction() as tx:
            tx.send(Outgoing(topic, b"out"))
            tx.commit_offsets(consumer, {record.tp: record.offset + 1})
        until(lambda: consumer.committed(record.tp) == record.offset + 1, "the commit")
        assert log.group_offsets(group) == {record.tp: record.offset + 1}
        reader = log.reader([topic])
        assert values(take(reader, 1) + quiet(reader)) == [b"out"]

    def test_what_is_written_meanwhile_is_whole_when_it_was_waited_for(
        self, log: Log, topic: str, single: str, group: str, unique: str
    ) -> None:
        producer = log.producer(f"p-{unique}")
        consumer, record = one_read(log, producer, single, group)
        reader = log.reader([topic])
        writing = producer.write()
        for number in range(20):
            writing.send(Outgoing(topic, str(number).encode()))
        assert quiet(reader) == []
        writing.end(consumer, {record.tp: record.offset + 1})
        writing.wait()
        assert writing.over()
        writing.wait()  # it ended well, as often as one asks
        until(lambda: consumer.committed(record.tp) == record.offset + 1, "the commit")
        found = values(take(reader, 20) + quiet(reader))
        assert sorted(int(value or b"-1") for value in found) == list(range(20))
        with producer.transaction() as tx:  # the producer is free again
            tx.send(Outgoing(topic, b"20"))
        assert values(take(reader, 1)) == [b"20"]

    def test_what_is_written_meanwhile_for_others_is_fenced(
        self, log: Log, topic: str, single: str, group: str, unique: str
    ) -> None:
        producer = log.producer(f"p-{unique}")
        consumer = log.consumer(group, [single])
        writing = producer.write()
        writing.send(Outgoing(single, b"never"))
        writing.end(consumer, {TopicPartition(topic, 0): 1})
        for _ in range(2):  # it says so each time
            with pytest.raises(Fenced):
                writing.wait()
        assert log.group_offsets(group) == {}
        with producer.transaction() as tx:
            tx.send(Outgoing(single, b"kept"))
        reader = log.reader([single])
        assert values(take(reader, 1) + quiet(reader)) == [b"kept"]

    def test_a_group_goes_on_where_it_committed(
        self, open_log: OpenLog, log: Log, single: str, group: str, unique: str
    ) -> None:
        producer = log.producer(f"p-{unique}")
        producer.send(Outgoing(single, str(n).encode()) for n in range(5))
        consumer = log.consumer(group, [single])
        records = take(consumer, 5)
        with producer.transaction() as tx:
            tx.commit_offsets(consumer, {records[2].tp: records[2].offset + 1})
        consumer.close()
        log.close()
        again = open_log()
        try:
            assert values(take(again.consumer(group, [single]), 2)) == [b"3", b"4"]
        finally:
            again.close()

    def test_a_producer_fences_its_predecessor(self, log: Log, single: str, unique: str) -> None:
        old = log.producer(f"p-{unique}")
        with old.transaction() as tx:
            tx.send(Outgoing(single, b"old"))
        new = log.producer(f"p-{unique}")
        with pytest.raises(Fenced), old.transaction() as tx:
            tx.send(Outgoing(single, b"too late"))
        with new.transaction() as tx:
            tx.send(Outgoing(single, b"new"))
        reader = log.reader([single])
        assert values(take(reader, 2) + quiet(reader)) == [b"old", b"new"]

    def test_commits_of_partitions_that_are_not_owned_are_fenced(
        self, log: Log, topic: str, single: str, group: str, unique: str
    ) -> None:
        first = Member(log, group, [topic])
        settle([first], {topic: 4})
        second = Member(log, group, [topic])
        settle([first, second], {topic: 4})
        moved = next(iter(second.consumer.assignment()))
        kept = next(iter(first.consumer.assignment()))
        producer = log.producer(f"p-{unique}")

        def overreach() -> None:
            with producer.transaction() as tx:
                tx.send(Outgoing(single, b"never"))
                tx.commit_offsets(first.consumer, {kept: 0, moved: 0})

        with pytest.raises(Fenced):
            overreach()
        assert log.group_offsets(group) == {}
        assert quiet(log.reader([single])) == []
        with producer.transaction() as tx:
            tx.commit_offsets(first.consumer, {kept: 0})
        until(lambda: log.group_offsets(group) == {kept: 0}, "the commit")
