"""What every log keeps, whichever broker is behind it: one suite, run over each implementation.

A subclass gives the fixture ``open_log``: each call opens the same broker anew. Nothing here knows
the implementation: names are unique to a test, and whatever a broker may do a little later is
waited for, up to a deadline.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence

import pytest

from topics.log import (
    Consumer,
    Fenced,
    Log,
    Outgoing,
    Producer,
    Reader,
    Record,
    TopicPartition,
    UnknownTopic,
)

DEADLINE_S = 30.0  # far above what any broker takes; only a failing test waits this long
QUIET_S = 0.3  # how long nothing must come for "nothing comes"; a broker late by more passes too

OpenLog = Callable[[], Log]


def until(condition: Callable[[], bool], what: str) -> None:
    """Call ``condition`` until it holds."""
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, f"waited {DEADLINE_S:g} s for {what}"


def take(reader: Reader, count: int) -> list[Record]:
    """Poll until at least ``count`` records have come."""
    records: list[Record] = []

    def enough() -> bool:
        records.extend(reader.poll(0.05))
        return len(records) >= count

    until(enough, f"{count} records")
    return records


def quiet(reader: Reader) -> list[Record]:
    """What comes within a short while, for asserting that it is nothing."""
    deadline = time.monotonic() + QUIET_S
    records: list[Record] = []
    while time.monotonic() < deadline:
        records.extend(reader.poll(0.05))
    return records


def values(records: Sequence[Record]) -> list[bytes | None]:
    return [r.value for r in records]


def abort(
    producer: Producer,
    *outputs: Outgoing,
    consumer: Consumer | None = None,
    after: Record | None = None,
) -> None:
    """Fill a transaction, then leave it with an exception."""
    try:
        with producer.transaction() as tx:
            for output in outputs:
                tx.send(output)
            if consumer is not None and after is not None:
                tx.commit_offsets(consumer, {after.tp: after.offset + 1})
            raise RuntimeError("changed my mind")
    except RuntimeError as error:
        assert str(error) == "changed my mind"  # noqa: PT017


class Member:
    """A consumer with what its callbacks saw, and what it read."""

    def __init__(self, log: Log, group: str, topics: list[str]) -> None:
        self.calls: list[tuple[str, frozenset[TopicPartition]]] = []
        self.seen: list[Record] = []
        self.on_revoke: Callable[[frozenset[TopicPartition]], None] = lambda _: None
        self.consumer: Consumer = log.consumer(
            group, topics, on_assign=self._assigned, on_revoke=self._revoked
        )

    def _assigned(self, partitions: frozenset[TopicPartition]) -> None:
        self.calls.append(("assign", partitions))

    def _revoked(self, partitions: frozenset[TopicPartition]) -> None:
        self.on_revoke(partitions)
        self.calls.append(("revoke", partitions))

    def poll(self) -> int:
        """How many records have come by now."""
        self.seen.extend(self.consumer.poll(0.02))
        return len(self.seen)


def settle(members: Sequence[Member], topics: dict[str, int]) -> None:
    """Poll in turn until the members own every partition between them, each some of it."""
    wanted = {TopicPartition(t, n) for t, count in topics.items() for n in range(count)}

    def settled() -> bool:
        for member in members:
            member.poll()
        owned = [member.consumer.assignment() for member in members]
        assert sum(map(len, owned)) == len(frozenset().union(*owned)), "a partition has two owners"
        return frozenset().union(*owned) == wanted and all(owned)

    until(settled, f"{len(members)} members to share {len(wanted)} partitions")


class LogContract:
    """The suite. Subclass it and give ``open_log``."""

    @pytest.fixture
    def open_log(self) -> OpenLog:
        raise NotImplementedError

    @pytest.fixture
    def log(self, open_log: OpenLog) -> Iterator[Log]:
        log = open_log()
        yield log
        log.close()

    @pytest.fixture
    def unique(self) -> str:
        return uuid.uuid4().hex[:12]

    @pytest.fixture
    def topic(self, log: Log, unique: str) -> str:
        """A topic of four partitions."""
        log.provision({f"t-{unique}": 4})
        return f"t-{unique}"

    @pytest.fixture
    def single(self, log: Log, unique: str) -> str:
        """A topic of one partition."""
        log.provision({f"s-{unique}": 1})
        return f"s-{unique}"

    @pytest.fixture
    def group(self, unique: str) -> str:
        return f"g-{unique}"

    # -- topics --------------------------------------------------------------------------------

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

    # -- records -------------------------------------------------------------------------------

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

    # -- transactions --------------------------------------------------------------------------

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
        producer.send([Outgoing(single, b"in")])
        consumer = log.consumer(group, [single])
        (record,) = take(consumer, 1)
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

    # -- groups --------------------------------------------------------------------------------

    def test_groups_are_independent(self, log: Log, single: str, group: str, unique: str) -> None:
        log.producer(f"p-{unique}").send([Outgoing(single, b"x")])
        for name in (group, f"{group}-other"):
            assert values(take(log.consumer(name, [single]), 1)) == [b"x"]

    def test_partitions_come_inside_poll_and_move_when_members_do(
        self, log: Log, topic: str, group: str
    ) -> None:
        first = Member(log, group, [topic])
        assert first.calls == []
        settle([first], {topic: 4})
        second = Member(log, group, [topic])
        settle([first, second], {topic: 4})
        assert [len(m.consumer.assignment()) for m in (first, second)] == [2, 2]
        gone = frozenset().union(*(p for call, p in first.calls if call == "revoke"))
        assert gone >= second.consumer.assignment()
        second.consumer.close()
        assert second.calls[-1][0] == "revoke"
        settle([first], {topic: 4})

    def test_a_newcomer_waits_for_every_owner(self, log: Log, unique: str, group: str) -> None:
        topic = f"six-{unique}"
        log.provision({topic: 6})
        first, last = Member(log, group, [topic]), Member(log, group, [topic])
        settle([first, last], {topic: 6})
        new = Member(log, group, [topic])
        settle([first, new, last], {topic: 6})  # polled between the two who give up
        assert [len(m.consumer.assignment()) for m in (first, new, last)] == [2, 2, 2]

    def test_members_share_by_topic(self, log: Log, topic: str, single: str, group: str) -> None:
        both = Member(log, group, [topic, single])
        one = Member(log, group, [topic])
        settle([both, one], {topic: 4, single: 1})
        assert TopicPartition(single, 0) in both.consumer.assignment()
        assert {p.topic for p in one.consumer.assignment()} == {topic}

    def test_what_is_committed_while_revoked_is_where_the_next_owner_starts(
        self, log: Log, topic: str, group: str, unique: str
    ) -> None:
        producer = log.producer(f"p-{unique}")
        producer.send(Outgoing(topic, b"first", partition=n) for n in range(4))
        old = Member(log, group, [topic])
        settle([old], {topic: 4})
        until(lambda: old.poll() == 4, "four records")

        def finish(partitions: frozenset[TopicPartition]) -> None:
            assert partitions <= old.consumer.assignment()
            with producer.transaction() as tx:
                tx.commit_offsets(old.consumer, dict.fromkeys(partitions, 1))

        old.on_revoke = finish
        new = Member(log, group, [topic])
        settle([old, new], {topic: 4})
        producer.send(Outgoing(topic, b"second", partition=n) for n in range(4))
        until(lambda: old.poll() + new.poll() == 4 + 4, "four more records")
        assert values(new.seen) == [b"second"] * 2

    def test_members_process_everything_once_while_others_come_and_go(
        self, log: Log, topic: str, group: str, unique: str
    ) -> None:
        total = 120
        producer = log.producer(f"p-{unique}")
        producer.send(Outgoing(topic, str(n).encode(), partition=n % 4) for n in range(total))
        done: list[bytes | None] = []

        def work(member: Member, commits: str) -> None:
            records = member.consumer.poll(0.02, max_records=5)
            if records:
                with producers[commits].transaction() as tx:
                    tx.commit_offsets(member.consumer, {r.tp: r.offset + 1 for r in records})
            done.extend(values(records))

        def until_done(count: int, *workers: tuple[Member, str]) -> None:
            def step() -> bool:
                for member, commits in workers:
                    work(member, commits)
                return len(done) >= count

            until(step, f"{count} records")

        producers = {name: log.producer(f"{name}-{unique}") for name in ("a", "b", "c")}
        a, b = Member(log, group, [topic]), Member(log, group, [topic])
        until_done(total // 4, (a, "a"), (b, "b"))
        b.consumer.close()
        c = Member(log, group, [topic])
        until_done(total, (a, "a"), (c, "c"))
        assert sorted(done, key=lambda v: int(v or b"-1")) == [
            str(n).encode() for n in range(total)
        ]

    # -- positions -----------------------------------------------------------------------------

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

    # -- readers -------------------------------------------------------------------------------

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

    # -- waiting -------------------------------------------------------------------------------

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
