"""Tests of the runtime that the embedded log passes, on a real broker: cancel, retry, hard limits,
breaker, and hosts that are killed.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.processors.runtime import stages
from tests.processors.runtime.rig import Rig
from tests.processors.runtime.test_interruption import (
    test_a_cancel_kills_the_work,
    test_a_hundred_bad_songs_do_not_trip_the_breaker,
    test_a_retry_of_the_job_stops_the_older_attempt,
    test_hosts_killed_at_any_moment_lose_and_double_nothing,
    test_kill_9_of_the_host_in_mid_work_loses_and_doubles_nothing,
    test_the_breaker_stops_a_stage_that_crashes_on_everything,
)
from tests.processors.runtime.test_worker import (
    test_a_canceled_job_is_not_begun_but_its_next_attempt_is,
    test_a_crash_is_tried_again_later,
    test_a_hang_is_killed_at_the_hard_limit,
    test_a_reject_is_never_tried_again,
    test_what_falls_due_is_dropped_when_its_job_was_canceled_meanwhile,
)

pytestmark = [pytest.mark.faults, pytest.mark.stack, pytest.mark.timeout(600, func_only=True)]

__all__ = [
    "test_a_cancel_kills_the_work",
    "test_a_canceled_job_is_not_begun_but_its_next_attempt_is",
    "test_a_crash_is_tried_again_later",
    "test_a_hang_is_killed_at_the_hard_limit",
    "test_a_hundred_bad_songs_do_not_trip_the_breaker",
    "test_a_reject_is_never_tried_again",
    "test_a_retry_of_the_job_stops_the_older_attempt",
    "test_hosts_killed_at_any_moment_lose_and_double_nothing",
    "test_kill_9_of_the_host_in_mid_work_loses_and_doubles_nothing",
    "test_the_breaker_stops_a_stage_that_crashes_on_everything",
    "test_what_falls_due_is_dropped_when_its_job_was_canceled_meanwhile",
]


@pytest.fixture(autouse=True)
def kafka(kafka_bootstrap: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every log that opens is on the broker, under a prefix of the test's own."""
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", kafka_bootstrap)
    monkeypatch.setenv("TOPIC_PREFIX", f"r{uuid.uuid4().hex[:8]}.")


@pytest.fixture
def rig(tmp_path: Path, kafka: None) -> Iterator[Rig]:
    rig = Rig(tmp_path, stages.trial)
    yield rig
    rig.log.close()
