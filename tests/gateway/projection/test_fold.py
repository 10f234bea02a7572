"""The fold, event by event and race by race, and the property that holds it together."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.projection.cells import Cell, Document, Key, from_json, merge, order, to_json
from gateway.projection.fold import fold, join
from gateway.projection.job import Job, job_of
from gateway.projection.track import Track as TrackView
from gateway.projection.track import track_of
from schemas.events import Artifact, StepProgressed, UploadCompleted
from tests.gateway.projection.histories import TENANT, Track, tracks
from topics.codec import Envelope

SHORT_LIVED = ("step-progressed", "step-failed")
property_test = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def folded(envelopes: Iterable[Envelope]) -> dict[Key, Document]:
    return join(change for envelope in envelopes for change in fold(envelope))


def job(envelopes: Iterable[Envelope], job_id: str = "job_1") -> Job:
    return job_of(folded(envelopes)[Key("job", TENANT, job_id)])


def track(envelopes: Iterable[Envelope]) -> TrackView:
    return track_of(folded(envelopes)[Key("track", TENANT, "trk_1")])


def standing(document: Document) -> object:
    """What a job or a track has come to, without the times shown beside it."""
    if document.key.kind == "track":
        view = track_of(document)
        current = None if view.current is None else view.current.number
        jobs = {(job.job_id, job.state, job.attempt) for job in view.jobs}
        return current, [(each.number, each.state) for each in view.versions], jobs
    view_of_job = job_of(document)
    steps = [(step.stage, step.state, step.attempt, step.progress) for step in view_of_job.steps]
    return view_of_job.state, view_of_job.attempt, view_of_job.stage, view_of_job.error, steps


def text(documents: dict[Key, Document]) -> dict[Key, str]:
    return {key: to_json(document) for key, document in documents.items()}


class TestAnyOrder:
    @property_test
    @given(tracks(), st.randoms(use_true_random=False))
    def test_order_duplicates_and_replays_change_nothing(
        self, history: Track, chance: random.Random
    ) -> None:
        straight = text(folded(history.envelopes))
        shuffled = [*history.envelopes, *chance.sample(history.envelopes, len(history.envelopes))]
        chance.shuffle(shuffled)
        assert text(folded(shuffled)) == straight

        # One by one, through the stored text, with some lost on the way and then replayed whole.
        documents: dict[Key, Document] = {}
        lossy = [each for each in shuffled if chance.random() < 0.7]
        for envelope in [*lossy, *history.envelopes]:
            for change in fold(envelope):
                before = documents.get(change.key)
                after = change if before is None else merge(before, change)
                documents[change.key] = from_json(change.key, to_json(after))
        assert text(documents) == straight

    @property_test
    @given(tracks(), st.randoms(use_true_random=False))
    def test_no_clock_decides(self, history: Track, chance: random.Random) -> None:
        """Machines whose clocks are hours off tell the same story: only the times shown differ."""
        odd = [
            replace(each, time_ms=each.time_ms + chance.randint(-7_200_000, 7_200_000))
            for each in history.envelopes
        ]
        straight, shifted = folded(history.envelopes), folded(odd)
        assert straight.keys() == shifted.keys()
        for key, document in straight.items():
            assert standing(document) == standing(shifted[key])

    @property_test
    @given(tracks())
    def test_the_states_are_those_that_the_history_amounts_to(self, history: Track) -> None:
        documents = folded(history.envelopes)
        for job_id, state in history.states.items():
            seen = job_of(documents[Key("job", TENANT, job_id)])
            assert (seen.state, seen.attempt) == (state, history.attempts[job_id])
        view = track_of(documents[Key("track", TENANT, history.track_id)])
        published = [v.number for v in view.versions if v.state == "published"]
        assert published == sorted(history.published)
        assert {v.number for v in view.versions} == set(history.published) | history.drafts
        assert (view.current.number if view.current else None) == max(published, default=None)
        open_jobs = {j.job_id for j in view.jobs if j.state == "open"}
        expected = {j for j, state in history.states.items() if state in ("queued", "running")}
        assert open_jobs == expected

    @property_test
    @given(tracks())
    def test_states_survive_the_loss_of_what_is_not_kept_for_ever(self, history: Track) -> None:
        whole = folded(history.envelopes)
        kept = folded(e for e in history.envelopes if e.event.topic not in SHORT_LIVED)
        for key, document in whole.items():
            if key.kind == "track":
                assert to_json(document) == to_json(kept[key])
                continue
            before, after = job_of(document), job_of(kept[key])
            begun = any(step.state == "succeeded" for step in before.steps) and any(
                name.endswith("/made") for name in document.cells
            )
            if before.ended or before.attempt > 1 or begun:
                assert after.state == before.state
            else:
                assert after.state == "queued"
            assert (after.attempt, after.version, after.work) == (
                before.attempt,
                before.version,
                before.work,
            )
            assert after.error == before.error

    @property_test
    @given(tracks())
    def test_progress_never_falls_within_an_attempt(self, history: Track) -> None:
        documents: dict[Key, Document] = {}
        best: dict[tuple[str, int], float] = {}
        for envelope in history.envelopes:
            for change in fold(envelope):
                before = documents.get(change.key)
                documents[change.key] = change if before is None else merge(before, change)
                if change.key.kind != "job":
                    continue
                seen = job_of(documents[change.key])
                at = (seen.job_id, seen.attempt)
                assert seen.progress >= best.get(at, 0.0)
                best[at] = seen.progress


_CELLS = st.builds(
    Cell,
    st.integers(-3, 3),
    st.sampled_from(["", "a", "b"]),
    st.one_of(st.none(), st.integers(0, 3), st.lists(st.integers(0, 2), max_size=2)),
)
_DOCUMENTS = st.builds(
    lambda cells: Document(Key("job", TENANT, "job_1"), cells),
    st.dictionaries(st.sampled_from("xyz"), _CELLS),
)


class TestMerge:
    @given(_DOCUMENTS, _DOCUMENTS)
    def test_commutes(self, a: Document, b: Document) -> None:
        assert to_json(merge(a, b)) == to_json(merge(b, a))

    @given(_DOCUMENTS, _DOCUMENTS, _DOCUMENTS)
    def test_associates(self, a: Document, b: Document, c: Document) -> None:
        assert to_json(merge(merge(a, b), c)) == to_json(merge(a, merge(b, c)))

    @given(_DOCUMENTS, _DOCUMENTS)
    def test_is_idempotent_and_says_so(self, a: Document, b: Document) -> None:
        assert merge(a, a) is a
        ab = merge(a, b)
        assert merge(ab, b) is ab

    @given(st.lists(_DOCUMENTS, max_size=6), st.randoms(use_true_random=False))
    def test_a_batch_joins_to_what_merging_gives(
        self, changes: list[Document], chance: random.Random
    ) -> None:
        key = Key("job", TENANT, "job_1")
        merged = Document(key, {})
        for change in changes:
            merged = merge(merged, change)
        chance.shuffle(changes)
        joined = join(changes).get(key, Document(key, {}))
        assert to_json(joined) == to_json(merged)

    def test_refuses_another_document(self) -> None:
        with pytest.raises(ValueError, match="cannot be merged"):
            merge(Document(Key("job", TENANT, "a"), {}), Document(Key("job", TENANT, "b"), {}))

    @given(*[st.tuples(*[st.integers(-1, 1 << 35)] * 4)] * 2)
    def test_orders_fit_a_cassandra_timestamp_and_follow_the_tuple(
        self, a: tuple[int, int, int, int], b: tuple[int, int, int, int]
    ) -> None:
        assert 0 <= order(*a) < 1 << 63
        limits = ((1 << 16) - 1, (1 << 12) - 1, 7, (1 << 31) - 1)
        x, y = (
            tuple(min(max(n, 0), top) for n, top in zip(t, limits, strict=True)) for t in (a, b)
        )
        assert (order(*a) < order(*b)) == (x < y)


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
