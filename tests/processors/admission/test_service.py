"""Admission on a log: what is released when, what is canceled, what survives kill -9."""

from __future__ import annotations

import random
import signal

import pytest

from schemas.events import StepFailed
from tests.processors.admission.hall import Hall, once_each, until
from topics.log import TopicPartition

pytestmark = pytest.mark.slow


def test_items_are_released_as_others_end(hall: Hall) -> None:
    with hall.admission(admission_in_flight=3):
        hall.ask(*(f"i{n}" for n in range(6)), task="t", concurrency=2)
        assert hall.wait_for_names(2) == ["i0", "i1"]
        hall.ask("other", client="b")
        assert hall.wait_for_names(3)[2] == "other", "the batch has its two, there is room for one"
        first = hall.admitted()[0]
        hall.end(first)
        assert hall.wait_for_names(4)[3] == "i2"
        while len(hall.ended) < 7:
            until(hall.end_open, "something is released")
    assert sorted(hall.names()) == sorted(["other", *(f"i{n}" for n in range(6))])
    assert [event.sequence for event in hall.admitted()] == [*range(1, 8)]


def test_short_go_before_long(hall: Hall) -> None:
    with hall.admission(admission_in_flight=1):
        hall.ask("first")
        hall.wait_for_names(1)
        hall.ask("long", seconds=500.0)
        hall.ask("short", seconds=1.0)
        hall.end_open()
        assert hall.wait_for_names(2)[1] == "short"


def test_a_canceled_batch_ends_item_by_item(hall: Hall) -> None:
    with hall.admission(admission_in_flight=2):
        hall.ask(*(f"i{n}" for n in range(5)), task="t")
        hall.ask("next", client="b")
        until(lambda: {"i0", "next"} <= {*hall.names()}, "a share for each")
        hall.cancel_task("t")
        items = {f"i{n}" for n in range(5)}
        until(lambda: items <= {*hall.canceled()}, "the end of each item")
        hall.ask("after")
        until(lambda: "after" in hall.names(), "the room is free for others")
    assert sorted(hall.names()) == ["after", "i0", "next"]
    assert sorted(hall.canceled()) == sorted([*items, "t"])


def test_a_cancel_that_is_read_before_the_request(hall: Hall) -> None:
    hall.cancel_task("t")
    with hall.admission() as service:
        until(lambda: service.admits, "it has read the cancel")
        hall.ask("i0", "i1", task="t")
        until(lambda: {"i0", "i1"} <= {*hall.canceled()}, "they end")
        hall.ask("free")
        assert hall.wait_for_names(1) == ["free"]


def test_a_retry_of_what_was_canceled_is_released(hall: Hall) -> None:
    with hall.admission():
        hall.ask("i")
        hall.wait_for_names(1)
        hall.cancel_task("i")
        hall.ask("i", attempt=2)
        hall.wait_for_names(2)
    assert [event.work.attempt for event in hall.admitted()] == [1, 2]


def test_items_that_wait_for_their_next_try_block_nobody(hall: Hall) -> None:
    with hall.admission(admission_in_flight=2):
        hall.ask("bad1", "bad2")
        hall.wait_for_names(2)
        hall.ask("good", client="b")
        for name in ("bad1", "bad2"):
            failed = StepFailed(
                job_id=name,
                track_id=name,
                stage="extraction",
                code="crashed",
                retry_after_ms=30_000,
            )
            hall.write(failed, f"{name} failed")
        assert hall.wait_for_names(3)[2] == "good"


def test_poison_is_set_aside(hall: Hall) -> None:
    with hall.admission():
        hall.write_bytes("extraction-requested", b"no event")
        hall.ask("i")
        hall.wait_for_names(1)
        (letter,) = hall.wait_for_records("admission.dlq")
    assert letter.value == b"no event"
    assert dict(letter.headers)["melisma.error.stage"] == b"admission"


def test_the_report_says_how_full_it_is_and_the_offsets_move(hall: Hall) -> None:
    requests = TopicPartition(hall.codec.on_log("extraction-requested"), 0)
    with hall.admission(admission_in_flight=1):
        hall.ask("i0", "i1", "i2", client="b")

        def waits(count: int) -> bool:
            report = hall.report()
            return report is not None and report.waiting == count

        until(lambda: waits(2), "two wait")
        report = hall.report()
        assert report is not None
        assert (report.in_flight, report.clients) == (1, {"client b": 2})
        assert report.waiting_seconds == 10.0
        while len(hall.ended) < 3:
            until(hall.end_open, "something is released")
        until(lambda: waits(0), "none waits")
        until(
            lambda: (
                hall.log.group_offsets(hall.codec.on_log("admission")).get(requests, 0)
                == hall.log.end_offsets([requests.topic])[requests]
            ),
            "a successor begins behind what is done",
        )


def test_a_successor_goes_on_where_the_first_was(hall: Hall) -> None:
    with hall.admission(admission_in_flight=2):
        hall.ask(*(f"i{n}" for n in range(6)), task="t", concurrency=2)
        hall.wait_for_names(2)
        hall.end(hall.admitted()[0])
        hall.wait_for_names(3)
    with hall.admission(admission_in_flight=2) as service:
        until(lambda: service.admits, "it knows")
        hall.end(hall.admitted()[1])
        assert hall.wait_for_names(4) == ["i0", "i1", "i2", "i3"]


def test_killed_at_any_moment_it_releases_each_item_once(hall: Hall) -> None:
    chance = random.Random(7)
    names = [f"i{n}" for n in range(60)]
    hall.ask(*names[:40], task="t", concurrency=3)
    for kill in range(5):
        process = hall.process()
        try:
            goal = min(len(hall.ended) + chance.randint(2, 8), len(names) - 10)
            while len(hall.ended) < goal:
                until(hall.end_open, "something is released")
            if kill == 2:
                hall.ask(*names[40:], client="b")
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
    with hall.admission():
        while len(hall.ended) < len(names):
            until(hall.end_open, "something is released")
    assert once_each(hall.names())
    assert sorted(hall.names()) == sorted(names)
    sequences = [event.sequence for event in hall.admitted()]
    assert sequences == [*range(1, len(names) + 1)]
