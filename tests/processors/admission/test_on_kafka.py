"""Admission on a real broker: what holds on the embedded log, and a standby that takes over."""

from __future__ import annotations

import uuid

import pytest

from tests.processors.admission.hall import Hall, once_each, until
from tests.processors.admission.test_service import (
    test_a_canceled_batch_ends_item_by_item,
    test_a_successor_goes_on_where_the_first_was,
    test_items_are_released_as_others_end,
    test_killed_at_any_moment_it_releases_each_item_once,
    test_the_report_says_how_full_it_is_and_the_offsets_move,
)

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300, func_only=True)]

__all__ = [
    "test_a_canceled_batch_ends_item_by_item",
    "test_a_successor_goes_on_where_the_first_was",
    "test_items_are_released_as_others_end",
    "test_killed_at_any_moment_it_releases_each_item_once",
    "test_the_report_says_how_full_it_is_and_the_offsets_move",
]


@pytest.fixture(autouse=True)
def kafka(kafka_bootstrap: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every log that opens is on the broker, under a prefix of the test's own."""
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", kafka_bootstrap)
    monkeypatch.setenv("TOPIC_PREFIX", f"a{uuid.uuid4().hex[:8]}.")


def test_a_standby_takes_over(hall: Hall) -> None:
    hall.ask(*(f"i{n}" for n in range(8)), task="t", concurrency=1)
    with hall.admission() as first:
        until(lambda: first.admits, "the first admits")
        with hall.admission() as second:
            while len(hall.ended) < 3:
                until(hall.end_open, "something is released")
            assert first.admits != second.admits, "one of them does"
            first.stop()
            until(lambda: second.admits, "the other goes on")
            while len(hall.ended) < 8:
                until(hall.end_open, "something is released")
    assert once_each(hall.names())
