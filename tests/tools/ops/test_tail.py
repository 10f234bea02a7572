"""The end of a topic, decoded, and what comes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from schemas.events import JobCanceled
from tools.ops.tail import line_of, tail
from topics.codec import Codec, Envelope
from topics.log import Log, Outgoing, Record, UnknownTopic
from topics.log.embedded import EmbeddedLog

CODEC = Codec()
TOPIC = "job-canceled"


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    with closing(EmbeddedLog(tmp_path / "log.db")) as made:
        made.provision({TOPIC: 3, "alignment.dlq": 1})
        yield made


def send(log: Log, *outgoing: Outgoing) -> None:
    with closing(log.producer("test")) as producer:
        for each in outgoing:  # one by one, so that no two share a place in time by accident
            producer.send([each])


def event(number: int) -> Outgoing:
    canceled = JobCanceled(job_id=f"job_{number}", track_id=f"trk_{number}")
    return CODEC.encode(
        Envelope.caused(canceled, by=str(number), source="test", time_ms=0, traceparent="")
    )


def jobs(records: list[Record]) -> list[str]:
    return [line_of(each, CODEC, decode=True).value["jobId"] for each in records]


def test_the_last_records_are_those_taken_last_over_all_partitions(log: Log) -> None:
    send(log, *(event(number) for number in range(30)))
    ordered = list(tail(log, TOPIC, last=None, follow=False))
    assert {each.partition for each in ordered} == {0, 1, 2}
    assert sorted(jobs(ordered)) == sorted(f"job_{number}" for number in range(30))
    assert list(tail(log, TOPIC, last=7, follow=False)) == ordered[-7:]
    assert list(tail(log, TOPIC, last=100, follow=False)) == ordered
    assert list(tail(log, TOPIC, last=0, follow=False)) == []


def test_following_gets_what_comes(log: Log) -> None:
    send(log, event(1))
    over = threading.Event()
    coming = tail(log, TOPIC, last=10, follow=True, going_on=lambda: not over.is_set())
    assert jobs([next(coming)]) == ["job_1"]
    send(log, event(2))
    assert jobs([next(coming)]) == ["job_2"]
    over.set()
    assert list(coming) == []


def test_following_from_the_beginning_gets_everything_once(log: Log) -> None:
    send(log, *(event(number) for number in range(5)))
    over = threading.Event()
    coming = tail(log, TOPIC, last=None, follow=True, going_on=lambda: not over.is_set())
    found = [next(coming) for _ in range(5)]
    over.set()
    found += coming
    assert sorted(jobs(found)) == [f"job_{number}" for number in range(5)]


def test_an_unknown_topic_is_named(log: Log) -> None:
    with pytest.raises(UnknownTopic, match="unheard-of"):
        next(tail(log, "unheard-of", last=1, follow=False))


def test_records_of_other_topics_and_poison_are_told_apart(log: Log) -> None:
    lost = event(1)
    send(log, Outgoing("alignment.dlq", lost.value, lost.key, lost.headers))
    send(log, Outgoing("alignment.dlq", b"\x01\xff"))
    fine, poison = tail(log, "alignment.dlq", last=None, follow=False)
    assert line_of(fine, CODEC, decode=True).to_json()["event"]["jobId"] == "job_1"
    shown = line_of(poison, CODEC, decode=True).to_json()
    assert shown["bytes"] == 2
    assert shown["poison"]
    assert "event" not in shown
    assert "event" not in line_of(fine, CODEC, decode=False).to_json()
