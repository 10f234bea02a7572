"""What of a job moves between two events."""

from __future__ import annotations

import pytest

from gateway.projection.views import elapsed_seconds, no_worker_for_seconds, overdue
from tests.gateway.projection.folding import job
from tests.gateway.projection.histories import START_MS, Track


def running() -> Track:
    """A job whose separation showed life last at START_MS + 2 s, then 1 s into its try."""
    history = Track()
    work = history.ask(history.work("job_1"))
    history.sign(work, "separation", 1, 0, "started", 0.0)
    history.sign(work, "separation", 1, 1, "progress", 0.1)
    return history


class TestElapsed:
    def test_grows_between_events_while_the_step_runs(self) -> None:
        step = job(running().envelopes).steps[0]
        assert elapsed_seconds(step, START_MS + 2000) == 1.0
        assert elapsed_seconds(step, START_MS + 4500) == 3.5

    def test_a_reader_whose_clock_is_behind_sees_what_was_said(self) -> None:
        assert elapsed_seconds(job(running().envelopes).steps[0], 0) == 1.0

    def test_stands_still_once_done_and_is_none_before_the_start(self) -> None:
        history = running()
        history.make(history.work("job_1"), "separation", seconds=7.5)
        seen = job(history.envelopes)
        assert elapsed_seconds(seen.steps[0], START_MS + 10**9) == 7.5
        assert elapsed_seconds(seen.steps[1], START_MS + 10**9) is None

    def test_stands_still_when_the_job_was_canceled(self) -> None:
        history = running()
        history.cancel(history.work("job_1"))
        assert elapsed_seconds(job(history.envelopes).steps[0], START_MS + 10**9) == 1.0

    def test_is_overdue_past_the_soft_limit(self) -> None:
        step = job(running().envelopes).steps[0]
        assert step.sla_seconds == 60.0
        assert not overdue(step, START_MS + 2000 + 59_000)
        assert overdue(step, START_MS + 2000 + 59_001)
        assert not overdue(job(running().envelopes).steps[1], START_MS + 10**9)


class TestNoWorker:
    def test_counts_from_when_the_job_was_asked_for(self) -> None:
        history = Track()
        history.ask(history.work("job_1"))
        seen = job(history.envelopes)
        assert no_worker_for_seconds(seen, START_MS + 4999) is None
        assert no_worker_for_seconds(seen, START_MS + 5000) == 5.0

    def test_counts_from_the_end_of_the_step_before(self) -> None:
        history = Track()
        history.run_stage(history.ask(history.work("job_1")), "separation")
        seen = job(history.envelopes)
        assert seen.stage == "alignment"
        done_ms = history.envelopes[-1].time_ms
        assert no_worker_for_seconds(seen, done_ms + 90_000) == 90.0

    def test_counts_from_the_retry_of_the_job(self) -> None:
        history = Track()
        work = history.ask(history.work("job_1"))
        history.fail(work, "separation")
        assert no_worker_for_seconds(job(history.envelopes), START_MS + 10**9) is None
        history.retry(work, "separation")
        retried_ms = history.envelopes[-2].time_ms
        assert no_worker_for_seconds(job(history.envelopes), retried_ms + 8000) == 8.0

    def test_the_pause_before_a_next_try_is_nobodys_fault(self) -> None:
        history = running()
        history.fail_try(history.work("job_1"), "separation", 1, retry_after_ms=30_000)
        failed_ms = history.envelopes[-1].time_ms
        seen = job(history.envelopes)
        assert no_worker_for_seconds(seen, failed_ms + 30_000) is None
        assert no_worker_for_seconds(seen, failed_ms + 40_000) == 10.0

    @pytest.mark.parametrize(("silent_ms", "expected"), [(29_999, None), (30_000, 30.0)])
    def test_a_worker_that_fell_silent_is_none(
        self, silent_ms: int, expected: float | None
    ) -> None:
        history = running()
        seen_ms = history.envelopes[-1].time_ms
        assert no_worker_for_seconds(job(history.envelopes), seen_ms + silent_ms) == expected

    def test_an_ended_job_waits_for_nobody(self) -> None:
        history = Track()
        history.run(history.ask(history.work("job_1")))
        assert no_worker_for_seconds(job(history.envelopes), START_MS + 10**9) is None
