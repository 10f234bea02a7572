"""The fold, event by event and race by race."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from gateway.projection.cells import Cell, Key
from gateway.projection.fold import fold
from schemas.events import Artifact, StepProgressed, UploadCompleted
from tests.gateway.projection.folding import folded, job, track
from tests.gateway.projection.histories import TENANT, Track
from topics.codec import Envelope


class TestRaces:
    def test_a_publish_committed_before_the_cancel_wins(self) -> None:
        history = Track()
        work = history.run(history.ask(history.work("job_1")))
        history.cancel(work)
        assert job(history.envelopes).state == "succeeded"
        assert job(reversed(history.envelopes)).state == "succeeded"
        assert track(history.envelopes).pending is None

    def test_progress_behind_the_done_of_its_step_is_late(self) -> None:
        history = Track()
        work = history.ask(history.work("job_1"))
        history.run_stage(work, "separation")
        history.sign(work, "separation", 1, 1, "progress", 0.4)
        step = job(history.envelopes).steps[0]
        assert (step.state, step.progress, step.seconds) == ("succeeded", 1.0, 2.0)

    @pytest.mark.parametrize("end", ["done", "canceled"])
    def test_what_ended_a_try_outranks_its_later_signs(self, end: str) -> None:
        history = Track()
        work = history.ask(history.work("job_1"))
        history.sign(work, "separation", 1, 3, end, 1.0)
        history.sign(work, "separation", 1, 4, "heartbeat", 0.4)
        history.fail_try(work, "separation", 1)
        step = job(history.envelopes).steps[0]
        assert step.state == ("succeeded" if end == "done" else "canceled")
        assert step.sequence == 3

    def test_try_two_may_begin_before_the_failure_of_try_one_is_seen(self) -> None:
        history = Track()
        work = history.ask(history.work("job_1"))
        history.sign(work, "separation", 1, 0, "started", 0.0)
        history.sign(work, "separation", 1, 1, "progress", 0.6)
        history.sign(work, "separation", 2, 0, "started", 0.0)
        history.fail_try(work, "separation", 1)
        seen = job(history.envelopes)
        step = seen.steps[0]
        assert (step.state, step.try_number, step.progress) == ("running", 2, 0.0)
        assert step.error is None
        # 0.6 of separation, as 50 shares of 80 (no transcription): it has been further before.
        assert seen.progress == pytest.approx(0.6 * 50 / 80)

    def test_a_try_made_again_after_a_crash_counts_from_its_last_start(self) -> None:
        history = Track()
        work = history.ask(history.work("job_1"))
        for sequence, state in [(0, "started"), (1, "progress"), (30, "started")]:
            history.sign(work, "separation", 1, sequence, state, 0.0)
        for order_seen in (history.envelopes, [*reversed(history.envelopes)]):
            step = job(order_seen).steps[0]
            assert (step.sequence, step.started_ms) == (30, history.envelopes[-1].time_ms)

    def test_a_failed_try_waits_for_the_next(self) -> None:
        history = Track()
        work = history.ask(history.work("job_1"))
        history.sign(work, "separation", 1, 0, "started", 0.0)
        history.fail_try(work, "separation", 1, retry_after_ms=5000)
        history.sign(work, "separation", 1, 1, "progress", 0.5)  # late
        step = job(history.envelopes).steps[0]
        assert (step.state, step.retry_after_ms) == ("retrying", 5000)
        assert step.error is not None
        assert step.error.code == "crashed"
        assert step.ended_ms is not None
        assert step.due_ms == step.ended_ms + 5000

    def test_late_signs_of_the_failed_attempt_do_not_touch_the_retry(self) -> None:
        history = Track()
        work = history.ask(history.work("job_1"))
        work = history.run_stage(work, "separation")
        history.sign(work, "alignment", 1, 0, "started", 0.0)
        history.fail(work, "alignment")
        again = history.retry(work, "alignment")
        history.sign(work, "alignment", 1, 7, "progress", 0.9)
        seen = job(history.envelopes)
        assert (seen.state, seen.attempt, seen.stage, seen.error) == (
            "running",
            2,
            "alignment",
            None,
        )
        kept, waiting = seen.steps[0], seen.steps[1]
        assert (kept.stage, kept.state, kept.attempt) == ("separation", "succeeded", 1)
        assert (waiting.state, waiting.progress, waiting.attempt) == ("waiting", 0.0, 2)
        assert waiting.due_ms == history.envelopes[-3].time_ms  # the job-retried
        assert seen.work == again

    def test_a_retry_from_an_earlier_stage_forgets_what_came_after_it(self) -> None:
        history = Track()
        work = history.ask(history.work("job_1"))
        for stage in ("separation", "alignment"):
            work = history.run_stage(work, stage)
        history.fail(work, "quality")
        history.retry(work, "separation")
        seen = job(history.envelopes)
        assert [step.state for step in seen.steps] == ["waiting"] * 4
        assert seen.progress == 0.0

    def test_a_cancel_of_an_older_attempt_does_not_stop_the_new_one(self) -> None:
        history = Track()
        work = history.ask(history.work("job_1"))
        history.fail(work, "separation")
        history.retry(work, "separation")
        history.cancel(work)
        assert job(history.envelopes).state == "running"

    def test_a_cancel_stops_the_running_step(self) -> None:
        history = Track()
        work = history.ask(history.work("job_1"))
        history.sign(work, "separation", 1, 0, "started", 0.0)
        history.sign(work, "separation", 1, 1, "progress", 0.2)
        history.cancel(work)
        history.sign(work, "separation", 1, 2, "canceled", 0.2)
        seen = job(history.envelopes)
        assert seen.state == "canceled"
        assert seen.error is not None
        assert (seen.error.code, seen.error.message) == ("canceled", "Wrong song.")
        assert seen.steps[0].state == "canceled"
        assert seen.stage == "separation"

    def test_an_edit_seen_behind_its_publish_stays_published(self) -> None:
        history = Track()
        history.run(history.ask(history.work("job_1")))
        history.edit(2, 1)
        history.run(
            history.ask(replace(history.work("job_2", 2), from_stage="alignment"), "reprocess")
        )
        edit = next(e for e in history.envelopes if e.event.topic == "lyrics-edited")
        late = [*(e for e in history.envelopes if e is not edit), edit]
        view = track(late)
        assert [(v.number, v.state, v.parent) for v in view.versions] == [
            (1, "published", None),
            (2, "published", 1),
        ]
        assert view.current is view.newest
        assert view.lyrics_origin == "edited"

    def test_what_was_published_stays_when_a_second_attempt_publishes_it_again(self) -> None:
        history = Track()
        work = history.run(history.ask(history.work("job_1")))
        first = track(history.envelopes).version(1)
        history.make(replace(work, attempt=2, language="en"), "publishing")
        assert track(history.envelopes).version(1) == first
        assert track(reversed(history.envelopes)).version(1) == first

    def test_two_jobs_on_one_track_end_apart(self) -> None:
        history = Track()
        history.run(history.ask(history.work("job_1")))
        two = history.ask(replace(history.work("job_2", 2), from_stage="alignment"), "reprocess")
        three = history.ask(replace(history.work("job_3", 3), from_stage="quality"), "replay")
        view = track(history.envelopes)
        assert view.pending is not None
        assert (view.pending.job_id, view.highest) == ("job_3", 3)
        history.run(three)
        history.fail(two, "alignment")
        view = track(history.envelopes)
        assert view.pending is None
        assert [(j.job_id, j.state) for j in view.jobs] == [
            ("job_1", "succeeded"),
            ("job_2", "failed"),
            ("job_3", "succeeded"),
        ]
        assert view.current is not None
        assert view.current.number == 3
        assert view.version(2) is None


class TestJob:
    def test_a_request_alone(self) -> None:
        history = Track()
        work = history.ask(replace(history.work("job_1"), callback_id="cb_1"))
        seen = job(history.envelopes)
        assert (seen.state, seen.attempt, seen.stage, seen.progress) == (
            "queued",
            1,
            "separation",
            0,
        )
        assert (seen.kind, seen.version, seen.asset_id) == ("import", 1, "ast_1")
        assert (seen.track_id, seen.callback_id, seen.lyrics_given) == ("trk_1", "cb_1", True)
        assert seen.work == work
        assert [step.stage for step in seen.steps] == [
            "separation",
            "alignment",
            "quality",
            "publishing",
        ]
        assert [step.due_ms for step in seen.steps] == [seen.created_ms, None, None, None]

    def test_without_lyrics_it_transcribes(self) -> None:
        history = Track()
        work = history.run(history.ask(history.work("job_1", lyrics=False)))
        seen = job(history.envelopes)
        assert [step.stage for step in seen.steps][1] == "transcription"
        assert [step.state for step in seen.steps] == ["succeeded"] * 5
        assert (seen.state, seen.progress, seen.stage) == ("succeeded", 1.0, "publishing")
        assert seen.work == work
        assert seen.backends == dict.fromkeys(
            ["separation", "transcription", "alignment", "quality", "publishing"], "light"
        )

    def test_a_reprocess_runs_what_follows_its_stage(self) -> None:
        history = Track()
        history.ask(replace(history.work("job_1", 4), from_stage="quality"), "reprocess")
        seen = job(history.envelopes)
        assert [step.stage for step in seen.steps] == ["quality", "publishing"]
        assert (seen.kind, seen.version, list(seen.asked)) == ("reprocess", 4, ["align"])

    def test_the_next_step_is_due_when_the_one_before_it_is_done(self) -> None:
        history = Track()
        history.run_stage(history.ask(history.work("job_1")), "separation")
        first, second, third, _ = job(history.envelopes).steps
        assert second.due_ms == first.ended_ms == history.envelopes[-1].time_ms
        assert third.due_ms is None

    def test_life_signs_tell_the_step(self) -> None:
        history = Track()
        work = history.ask(history.work("job_1"))
        history.sign(work, "separation", 1, 0, "started", 0.0)
        history.sign(work, "separation", 1, 1, "progress", 0.25)
        history.sign(work, "separation", 1, 2, "heartbeat", 0.0)
        seen = job(history.envelopes)
        step = seen.steps[0]
        assert (step.state, step.sequence, step.progress) == ("running", 2, 0.25)
        assert (step.note, step.worker) == ("separation heartbeat", "host-1")
        assert (step.sla_seconds, step.hard_seconds, step.elapsed_seconds) == (60.0, 240.0, 2.0)
        assert step.started_ms == history.envelopes[1].time_ms
        assert step.seen_ms == seen.updated_ms == history.envelopes[-1].time_ms

    def test_a_failure_names_the_stage_and_the_reason(self) -> None:
        history = Track()
        work = history.ask(history.work("job_1"))
        history.sign(work, "separation", 1, 0, "started", 0.0)
        history.fail(work, "separation", 3)
        seen = job(history.envelopes)
        assert seen.error is not None
        assert (seen.error.stage, seen.error.code) == ("separation", "no_audio")
        assert (seen.steps[0].state, seen.steps[0].error) == ("failed", seen.error)
        assert seen.steps[0].try_number == 3
        view = track(history.envelopes)
        assert view.last_job is not None
        assert view.last_job.error == seen.error

    @pytest.mark.parametrize("hostile", [float("nan"), float("inf"), -1e300])
    def test_figures_that_json_cannot_hold_are_left_out(self, hostile: float) -> None:
        history = Track()
        work = history.ask(history.work("job_1"))
        history.write(
            StepProgressed(
                job_id=work.job_id,
                track_id=work.track_id,
                tenant=TENANT,
                stage="separation",
                state="progress",
                progress=hostile,
                elapsed_seconds=float("nan"),
                attempt=1,
            )
        )
        assert job(history.envelopes).progress == 0.0

    def test_a_job_known_by_a_later_event_alone_is_complete_enough_to_show(self) -> None:
        history = Track()
        work = history.ask(history.work("job_1"))
        history.sign(work, "separation", 1, 0, "started", 0.0)
        seen = job(history.envelopes[1:])
        assert (seen.state, seen.kind, seen.version) == ("running", "", 0)
        assert seen.created_ms == history.envelopes[1].time_ms


class TestTrack:
    def test_an_import_is_pending_until_it_is_published(self) -> None:
        history = Track()
        work = history.ask(history.work("job_1"))
        view = track(history.envelopes)
        assert view.pending is not None
        assert (view.pending.version, view.pending.kind) == (1, "import")
        assert (view.current, view.newest, view.highest) == (None, None, 1)
        assert (view.title, view.artist, view.lyrics_origin) == ("Полюшко", "Хор", "given")
        history.run(work)
        view = track(history.envelopes)
        assert view.pending is None
        assert view.current is not None
        assert (view.current.number, view.current.job_id, view.current.score) == (1, "job_1", 0.9)
        assert view.current.artifacts["karaoke"].uri == "local:karaoke"
        assert view.current.backends["separation"].model == "separation/1"

    def test_a_draft_is_the_newest_but_not_the_current(self) -> None:
        history = Track()
        history.run(history.ask(history.work("job_1", lyrics=False)))
        assert track(history.envelopes).lyrics_origin == "transcribed"
        history.edit(2, 1)
        view = track(history.envelopes)
        assert view.current is not None
        assert view.newest is not None
        assert (view.current.number, view.newest.number) == (1, 2)
        assert (view.newest.state, view.newest.parent) == ("draft", 1)
        assert view.newest.lyrics == Artifact(
            name="draft-2", uri="local:draft-2", sha256="ab" * 32, bytes=9, media_type="audio/flac"
        )
        assert view.lyrics_origin == "edited"

    def test_kept_lyrics_keep_their_origin(self) -> None:
        history = Track()
        work = history.run(history.ask(history.work("job_1", lyrics=False)))
        history.run(
            history.ask(
                replace(work, job_id="job_2", version=2, from_stage="alignment"), "reprocess"
            )
        )
        assert [v.lyrics_origin for v in track(history.envelopes).versions] == ["transcribed"] * 2

    def test_a_roll_back_names_its_parent(self) -> None:
        history = Track()
        history.run(history.ask(history.work("job_1")))
        work = replace(history.work("job_2", 2), from_stage="publishing", parent=1)
        history.run(history.ask(work, "rollback"))
        view = track(history.envelopes)
        assert view.current is not None
        assert (view.current.number, view.current.parent) == (2, 1)


def test_an_upload_says_nothing_of_jobs_or_tracks() -> None:
    event = UploadCompleted(asset_id="ast_1", upload_id="upl_1", source=Artifact())
    assert fold(Envelope(event, "id", "gateway", 0, "")) == ()


def test_life_signs_that_change_nothing_but_time_leave_the_state_cell_alone() -> None:
    history = Track()
    work = history.ask(history.work("job_1"))
    history.sign(work, "separation", 1, 0, "started", 0.0)
    history.sign(work, "separation", 1, 1, "heartbeat", 0.0)

    def state(envelopes: Sequence[Envelope]) -> Cell:
        return folded(envelopes)[Key("job", TENANT, "job_1")].cells["state"]

    assert state(history.envelopes[:2]) == state(history.envelopes)
