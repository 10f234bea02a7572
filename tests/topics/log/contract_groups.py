"""The log's contract: groups and who owns what."""

from __future__ import annotations

from tests.topics.log.steps import Member, settle, take, until, values
from topics.log import (
    Log,
    Outgoing,
    TopicPartition,
)


class GroupContract:
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
