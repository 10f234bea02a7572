"""What only Kafka does: hops between clients, hung transactions, rebalances in mid-work."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator

import confluent_kafka as kafka
import pytest

from schemas.events import Separated, Work
from tests.topics.log.steps import DEADLINE_S, Member, quiet, settle, take, until, values
from topics import trace
from topics.codec import Codec, Envelope
from topics.log import Fenced, LogError, Outgoing, Producer, Reader, Record, TopicPartition
from topics.log.kafka.log import KafkaLog
from topics.log.kafka.settings import KafkaSettings

pytestmark = pytest.mark.stack


@pytest.fixture
def log(kafka_bootstrap: str) -> Iterator[KafkaLog]:
    log = KafkaLog(KafkaSettings(kafka_bootstrap_servers=kafka_bootstrap))
    yield log
    log.close()


@pytest.fixture
def unique() -> str:
    return uuid.uuid4().hex[:12]


def one(reader: Reader) -> Record:
    (record,) = take(reader, 1)
    return record


def test_headers_survive_every_hop(log: KafkaLog, unique: str) -> None:
    codec = Codec(prefix=f"{unique}.")
    first, second, last = (f"{unique}.{name}" for name in ("separated", "retry", "dlq"))
    log.provision({first: 2, second: 2, last: 1})
    span = trace.begin()
    envelope = Envelope.caused(
        Separated(work=Work(job_id="j", track_id="t")),
        by="cause",
        source="separation",
        time_ms=1_700_000_000_123,
        traceparent=span,
    )
    written = codec.encode(envelope)
    headers = (*written.headers, ("twice", b"1"), ("twice", b"\x00\xff"), ("empty", b""))
    producer = log.producer(f"p-{unique}")
    producer.send([Outgoing(first, written.value, written.key, headers)])
    member = log.consumer(f"g-{unique}", [first])
    record = one(member)
    with producer.transaction() as tx:
        tx.send(Outgoing(second, record.value, record.key, record.headers))
        tx.commit_offsets(member, {record.tp: record.offset + 1})
    record = one(log.reader([second]))
    with producer.transaction() as tx:
        tx.send(Outgoing(last, record.value, record.key, record.headers))
    record = one(log.reader([last]))
    assert record.headers == headers
    assert (record.key, record.value) == (written.key, written.value)
    arrived = codec.decode(record, "separated")
    assert (arrived.traceparent, arrived.id) == (span, envelope.id)


def test_a_hung_transaction_holds_readers_up_until_its_timeout_only(
    log: KafkaLog, kafka_bootstrap: str, unique: str
) -> None:
    topic = f"hung-{unique}"
    log.provision({topic: 1})
    hung = kafka.Producer(
        {
            "bootstrap.servers": kafka_bootstrap,
            "transactional.id": f"hung-{unique}",
            # Long enough for what is looked at meanwhile on a busy machine.
            "transaction.timeout.ms": 5_000,
            "socket.timeout.ms": 5_000,
        }
    )
    hung.init_transactions(10)
    hung.begin_transaction()
    hung.produce(topic, b"never")
    hung.flush(10)
    log.producer(f"p-{unique}").send([Outgoing(topic, b"behind it")])
    reader = log.reader([topic])
    assert not reader.caught_up()
    assert values(quiet(reader)) == []
    assert log.end_offsets([topic]) == {TopicPartition(topic, 0): 0}
    assert values(take(reader, 1)) == [b"behind it"]
    until(lambda: not reader.poll(0.05) and reader.caught_up(), "the reader to catch up")


def test_a_dead_members_open_transaction_does_not_send_its_successor_back_to_the_start(
    log: KafkaLog, kafka_bootstrap: str, unique: str
) -> None:
    held, more, group = f"held-{unique}", f"more-{unique}", f"g-{unique}"
    log.provision({held: 1, more: 1})
    producer = log.producer(f"p-{unique}")
    producer.send(Outgoing(held, value) for value in (b"a", b"b", b"c"))
    producer.send([Outgoing(more, b"d")])
    dead = log.consumer(group, [held])
    take(dead, 3)
    with producer.transaction() as tx:
        tx.commit_offsets(dead, {TopicPartition(held, 0): 2})
    hung = kafka.Producer(
        {
            "bootstrap.servers": kafka_bootstrap,
            "transactional.id": f"hung-{unique}",
            "transaction.timeout.ms": 5_000,
            "socket.timeout.ms": 5_000,
        }
    )
    hung.init_transactions(10)
    hung.begin_transaction()
    hung.send_offsets_to_transaction([kafka.TopicPartition(held, 0, 3)], dead.metadata(), 10)
    dead.close()
    leaver = Member(log, group, [more])
    settle([leaver], {more: 1})
    successor = Member(log, group, [held, more])
    settle([leaver, successor], {held: 1, more: 1})
    assert quiet(successor.consumer) == []  # until it is known whether "c" was done
    leaver.consumer.close()
    until(lambda: successor.poll() == 2, "what was not done")
    assert [r.value for r in quiet(successor.consumer)] == []
    assert {r.value for r in successor.seen} == {b"c", b"d"}


def test_a_paused_partition_in_work_is_committed_before_it_moves(
    log: KafkaLog, unique: str
) -> None:
    topic, out, group = f"in-{unique}", f"out-{unique}", f"g-{unique}"
    log.provision({topic: 4, out: 1})
    producer = log.producer(f"p-{unique}")
    producer.send(Outgoing(topic, b"first", partition=n) for n in range(4))
    producer.send(Outgoing(topic, b"second", partition=n) for n in range(4))
    story: list[str] = []
    old = Member(log, group, [topic])
    settle([old], {topic: 4})
    until(lambda: old.poll() == 8, "eight records")
    old.consumer.pause(old.consumer.assignment())  # all are in work

    def finish(partitions: frozenset[TopicPartition]) -> None:
        assert partitions <= old.consumer.assignment()
        with producer.transaction() as tx:
            for tp in sorted(partitions):
                tx.send(Outgoing(out, f"done {tp.partition}".encode()))
            tx.commit_offsets(old.consumer, dict.fromkeys(partitions, 1))
        story.append("committed")

    old.on_revoke = finish

    class Newcomer(Member):
        def _assigned(self, partitions: frozenset[TopicPartition]) -> None:
            story.append("assigned")
            super()._assigned(partitions)

    new = Newcomer(log, group, [topic])
    settle([old, new], {topic: 4})
    moved = new.consumer.assignment()
    until(lambda: new.poll() == len(moved), "what follows the commits")
    assert story.index("committed") < story.index("assigned")
    assert {(r.tp, r.offset) for r in new.seen} == {(tp, 1) for tp in moved}
    assert len(take(log.reader([out]), len(moved))) == len(moved)
    # What stayed is paused still, through the rebalance.
    producer.send(Outgoing(topic, b"third", partition=n) for n in range(4))
    before = old.poll()
    assert [r for r in quiet(old.consumer) if r.tp not in moved] == []
    assert old.poll() == before
    old.consumer.resume(old.consumer.assignment())
    until(lambda: old.poll() == before + 4 - len(moved), "what was kept back")


def test_a_zombie_cannot_commit_what_its_successor_did(log: KafkaLog, unique: str) -> None:
    topic, out, group = f"in-{unique}", f"out-{unique}", f"g-{unique}"
    log.provision({topic: 1, out: 1})
    zombie = log.producer(f"worker-{unique}")
    zombie.send([Outgoing(topic, b"work")])
    member = log.consumer(group, [topic])
    record = one(member)
    successor = log.producer(f"worker-{unique}")

    def finish(producer: Producer, who: bytes) -> None:
        with producer.transaction() as tx:
            tx.send(Outgoing(out, b"by the " + who))
            tx.commit_offsets(member, {record.tp: 1})

    with pytest.raises(Fenced):
        finish(zombie, b"zombie")
    assert log.group_offsets(group) == {}
    with pytest.raises(LogError, match="fenced off"):
        finish(zombie, b"zombie")
    finish(successor, b"successor")
    assert values(take(log.reader([out]), 1)) == [b"by the successor"]


def test_offsets_are_committed_on_the_polling_thread(log: KafkaLog, unique: str) -> None:
    topic = f"t-{unique}"
    log.provision({topic: 1})
    producer = log.producer(f"p-{unique}")
    member = log.consumer(f"g-{unique}", [topic])
    until(lambda: bool(member.poll(0.05) or member.assignment()), "the partition")
    refused: list[str] = []

    def elsewhere() -> None:
        try:
            with producer.transaction() as tx:
                tx.commit_offsets(member, {TopicPartition(topic, 0): 0})
        except LogError as error:
            refused.append(str(error))

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert "on the thread that polls" in refused[0]


def test_callbacks_raise_out_of_the_poll_and_lose_nothing(log: KafkaLog, unique: str) -> None:
    topic = f"t-{unique}"
    log.provision({topic: 2})
    log.producer(f"p-{unique}").send(Outgoing(topic, b"x", partition=n) for n in range(2))

    def assigned(_: object) -> None:
        raise RuntimeError("not ready")

    member = log.consumer(f"g-{unique}", [topic], on_assign=assigned)
    seen: list[Record] = []
    raised: list[str] = []

    def step() -> bool:
        try:
            seen.extend(member.poll(0.05))
        except RuntimeError as error:
            raised.append(str(error))
        return len(seen) == 2

    until(step, "both records")
    assert raised == ["not ready"] * len(raised)
    assert raised


def test_a_topic_that_is_deleted_is_named(log: KafkaLog, kafka_bootstrap: str, unique: str) -> None:
    from confluent_kafka.admin import AdminClient

    topic = f"t-{unique}"
    log.provision({topic: 1})
    producer = log.producer(f"p-{unique}")
    producer.send([Outgoing(topic, b"x")])
    admin = AdminClient({"bootstrap.servers": kafka_bootstrap})
    admin.delete_topics([topic])[topic].result()
    until(lambda: topic not in log.topics(), "the topic to go")
    with pytest.raises(LogError, match=topic):
        producer.send([Outgoing(topic, b"x")])


def test_closing_the_log_ends_polls_on_other_threads(
    log: KafkaLog, kafka_bootstrap: str, unique: str
) -> None:
    topic, group = f"t-{unique}", f"g-{unique}"
    log.provision({topic: 2})
    other = KafkaLog(KafkaSettings(kafka_bootstrap_servers=kafka_bootstrap))
    calls: list[object] = []
    member = other.consumer(group, [topic], on_revoke=calls.append)
    until(lambda: bool(member.poll(0.05) or member.assignment()), "the partitions")
    reader = other.reader([topic])
    ended: list[str] = []

    def poll() -> None:
        try:
            reader.poll(DEADLINE_S)
        except LogError as error:
            ended.append(str(error))

    polling = threading.Thread(target=poll)
    polling.start()
    other.close()
    polling.join(DEADLINE_S / 2)
    assert len(ended) == 1
    assert calls == []
    settle([Member(log, group, [topic])], {topic: 2})  # it left; nobody waits for a session
    for use in (lambda: member.poll(0), other.topics, lambda: other.reader([topic])):
        with pytest.raises(LogError, match="closed"):
            use()
