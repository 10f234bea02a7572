"""What is kept back of paused partitions, without a broker."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import confluent_kafka as kafka
import pytest
from confluent_kafka import KafkaError

from topics.log import Record, TopicPartition
from topics.log.kafka.intake import Intake

A, B = TopicPartition("topic", 0), TopicPartition("topic", 1)


class Client:
    """Remembers what it was told to pause and to resume."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, list[TopicPartition]]] = []

    def stop(self, partitions: list[kafka.TopicPartition]) -> None:
        self.calls.append(("stop", [TopicPartition(p.topic, p.partition) for p in partitions]))

    def go(self, partitions: list[kafka.TopicPartition]) -> None:
        self.calls.append(("go", [TopicPartition(p.topic, p.partition) for p in partitions]))


@pytest.fixture
def client() -> Client:
    return Client()


@pytest.fixture
def intake(client: Client) -> Intake:
    return Intake(client.stop, client.go)


def message(tp: TopicPartition, offset: int, value: bytes = b"x") -> Any:
    return kafka.Message(tp.topic, tp.partition, offset, None, value, None, None, (1, 5))


def end(tp: TopicPartition, offset: int) -> Any:
    eof = KafkaError(KafkaError._PARTITION_EOF)
    return kafka.Message(tp.topic, tp.partition, offset, None, None, None, eof, (0, -1))


def offsets(records: Sequence[Record]) -> list[tuple[int, int]]:
    return [(r.partition, r.offset) for r in records]


def test_records_go_through_and_move_the_position(intake: Intake) -> None:
    records, errors = intake.take([message(A, 4), message(B, 7), message(A, 6)], 10)
    assert offsets(records) == [(0, 4), (1, 7), (0, 6)]
    assert errors == []
    assert (intake.position(A), intake.position(B)) == (7, 8)


def test_paused_partitions_are_kept_in_order_and_come_first(intake: Intake, client: Client) -> None:
    intake.pause([A])
    assert offsets(intake.take([message(A, 0), message(B, 0), message(A, 1)], 10)[0]) == [(1, 0)]
    assert intake.ready(10) == []
    intake.resume([A])
    assert offsets(intake.take([message(A, 2)], 10)[0]) == []  # behind what is kept
    assert offsets(intake.ready(2)) == [(0, 0), (0, 1)]
    assert offsets(intake.ready(2)) == [(0, 2)]
    assert client.calls == []


def test_what_does_not_fit_is_kept(intake: Intake) -> None:
    assert offsets(intake.take([message(A, n) for n in range(5)], 3)[0]) == [(0, 0), (0, 1), (0, 2)]
    assert intake.position(A) == 3
    assert offsets(intake.ready(10)) == [(0, 3), (0, 4)]


def test_every_partition_gets_its_share_of_what_was_kept(intake: Intake) -> None:
    intake.pause([A, B])
    intake.take([message(A, n) for n in range(9)] + [message(B, n) for n in range(2)], 100)
    intake.resume([A, B])
    assert offsets(intake.ready(4)) == [(0, 0), (0, 1), (1, 0), (1, 1)]


@pytest.mark.parametrize(("count", "value"), [(200, b"x"), (1, bytes(4 * 2**20))])
def test_the_client_is_told_when_much_is_kept(
    intake: Intake, client: Client, count: int, value: bytes
) -> None:
    intake.pause([A])
    intake.take([message(A, n, value) for n in range(count)], 10)
    assert client.calls == [("stop", [A])]
    intake.stop_again()
    assert client.calls == [("stop", [A])] * 2
    intake.resume([A])
    assert client.calls[2:] == []  # what is kept must go first
    assert len(intake.ready(1000)) == count
    assert client.calls[2:] == [("go", [A])]


def test_an_end_counts_when_all_before_it_has_been_delivered(intake: Intake) -> None:
    intake.take([end(B, 9)], 10)
    assert intake.position(B) == 9
    intake.pause([A])
    intake.take([message(A, 3), end(A, 5)], 10)
    assert intake.position(A) == -1
    intake.resume([A])
    assert offsets(intake.ready(1)) == [(0, 3)]
    assert intake.position(A) == 4
    assert intake.ready(1) == []
    assert intake.position(A) == 5


def test_what_could_not_be_delivered_comes_again(intake: Intake) -> None:
    records, _ = intake.take([message(A, 0), message(A, 1), message(B, 0)], 10)
    intake.keep_back(records)
    assert (intake.position(A), intake.position(B)) == (0, 0)
    assert sorted(offsets(intake.ready(10))) == [(0, 0), (0, 1), (1, 0)]


def test_a_partition_that_went_leaves_nothing(intake: Intake, client: Client) -> None:
    intake.pause([A])
    intake.take([message(A, n) for n in range(200)], 10)
    intake.drop([A])
    assert intake.ready(10) == []
    assert intake.position(A) == -1
    assert offsets(intake.take([message(A, 0)], 10)[0]) == [(0, 0)]  # and comes back unpaused
    intake.resume([A])
    assert [call for call, _ in client.calls] == ["stop"]


def test_a_seek_drops_what_is_kept_and_keeps_the_pause(intake: Intake) -> None:
    intake.pause([A])
    intake.take([message(A, 0)], 10)
    intake.moved(A, 7)
    intake.take([message(A, 7)], 10)
    assert intake.position(A) == 7
    intake.resume([A])
    assert offsets(intake.ready(10)) == [(0, 7)]


def test_errors_do_not_hide_records(intake: Intake) -> None:
    denied = KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED)
    failed = kafka.Message("topic", 0, 0, None, None, None, denied, (0, -1))
    records, errors = intake.take([message(B, 0), failed, message(B, 1)], 10)
    assert offsets(records) == [(1, 0), (1, 1)]
    assert [e.code() for e in errors] == [KafkaError.TOPIC_AUTHORIZATION_FAILED]


def test_headers_come_as_they_were_and_null_as_empty(intake: Intake) -> None:
    pairs: Any = [("traceparent", b"00-ab"), ("again", b"1"), ("again", b"\xff"), ("none", None)]
    ((record,), _) = intake.take(
        [kafka.Message("topic", 0, 3, b"k", None, pairs, None, (1, 77))],
        1,
    )
    assert record.headers == (
        ("traceparent", b"00-ab"),
        ("again", b"1"),
        ("again", b"\xff"),
        ("none", b""),
    )
    assert (record.key, record.value, record.timestamp_ms) == (b"k", None, 77)
