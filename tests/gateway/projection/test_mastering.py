"""Masters under the fold: the laws that hold for tracks hold for them."""

from __future__ import annotations

import random
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from gateway.projection.cells import Key, to_json
from gateway.projection.job import job_of
from gateway.projection.track import track_of
from schemas.events import (
    Analyzed,
    Backend,
    Decided,
    Mastered,
    Mastering,
    MasteringRequested,
    StepProgressed,
    Work,
)
from schemas.work import MASTERING_STAGES, extend
from tests.gateway.projection.folding import (
    SHORT_LIVED,
    assert_order_changes_nothing,
    assert_progress_never_falls,
    folded,
    property_test,
)
from tests.gateway.projection.histories import TENANT, Track, artifact, go_on

ASKED = Mastering(
    asset_ids=("ast_1",), reference_asset_id="ast_2", preset="loud", lufs=-9.0, client="web-1"
)
MADE = {"analysis": "analysis-before", "decision": "decision", "rendering": "master"}


class Master(Track):
    """Writes the events of one master."""

    def wanted(self, job_id: str, version: int = 1, stage: str = "analysis") -> Work:
        return replace(self.work(job_id, version, lyrics=False), language="en", from_stage=stage)

    def ask(self, work: Work, kind: str = "request") -> Work:
        self.states[work.job_id], self.attempts[work.job_id] = "queued", 1
        self.write(
            MasteringRequested(
                work=work,
                mastering=ASKED,
                reason=kind,
            )
        )
        return work

    def make(self, work: Work, stage: str, seconds: float = 2.0) -> Work:
        backends = {**work.backends, stage: Backend(name="melisma", model=f"{stage}/1")}
        work = extend(work, artifact(MADE[stage]), backends=backends)
        if stage == "rendering":
            self.write(Mastered(work=work, mastering=ASKED, seconds=seconds), stage)
            if work.attempt == self.attempts[work.job_id]:
                self.states[work.job_id] = "succeeded"
            self.published.setdefault(work.version, work.job_id)
            return work
        self._ran(work)
        made = Analyzed if stage == "analysis" else Decided
        self.write(made(work=work, mastering=ASKED, seconds=seconds), stage)
        return work

    def retry(self, work: Work, stage: str) -> Work:
        work = self.try_again(work, stage)
        self.write(MasteringRequested(work=work, mastering=ASKED, reason="retry"))
        return work


@st.composite
def masters(draw: st.DrawFn) -> Master:
    """A master's history: a request and up to two further versions of other moves."""
    master = Master("mst_1", skew_ms=lambda: draw(st.integers(-5000, 5000)))
    for number in range(draw(st.integers(1, 3))):
        stage = "analysis" if number == 0 else draw(st.sampled_from(MASTERING_STAGES[:2]))
        kind = "request" if number == 0 else draw(st.sampled_from(["overrides", "replay"]))
        work = master.ask(master.wanted(f"mas_{number}", number + 1, stage), kind)
        go_on(draw, master, work)
    return master


@property_test
@given(masters(), st.randoms(use_true_random=False))
def test_order_duplicates_and_replays_change_nothing(
    history: Master, chance: random.Random
) -> None:
    assert_order_changes_nothing(history.envelopes, chance)


@property_test
@given(masters())
def test_the_states_are_those_that_the_history_amounts_to(history: Master) -> None:
    documents = folded(history.envelopes)
    for job_id, state in history.states.items():
        seen = job_of(documents[Key("job", TENANT, job_id)])
        assert (seen.state, seen.attempt) == (state, history.attempts[job_id])
        assert seen.mastering == ASKED
        assert {step.stage for step in seen.steps} <= set(MASTERING_STAGES)
    view = track_of(documents[Key("track", TENANT, "mst_1")])
    assert [v.number for v in view.versions] == sorted(history.published)
    open_jobs = {j.job_id for j in view.jobs if j.state == "open"}
    expected = {j for j, state in history.states.items() if state in ("queued", "running")}
    assert open_jobs == expected


@property_test
@given(masters())
def test_states_survive_the_loss_of_what_is_not_kept_for_ever(history: Master) -> None:
    whole = folded(history.envelopes)
    kept = folded(e for e in history.envelopes if e.event.topic not in SHORT_LIVED)
    for key, document in whole.items():
        if key.kind == "track":
            assert to_json(document) == to_json(kept[key])
            continue
        before, after = job_of(document), job_of(kept[key])
        if before.ended or before.attempt > 1:
            assert after.state == before.state
        assert (after.attempt, after.work, after.error, after.mastering) == (
            before.attempt,
            before.work,
            before.error,
            before.mastering,
        )


@property_test
@given(masters())
def test_progress_never_falls_within_an_attempt(history: Master) -> None:
    assert_progress_never_falls(history.envelopes)


def test_a_request_tells_what_was_asked() -> None:
    history = Master("mst_1")
    history.ask(history.wanted("mas_1"))
    job = job_of(folded(history.envelopes)[Key("job", TENANT, "mas_1")])
    assert (job.kind, job.state, job.stage, job.version) == ("mastering", "queued", "analysis", 1)
    assert (job.asset_id, job.mastering) == ("ast_1", ASKED)
    assert [step.stage for step in job.steps] == list(MASTERING_STAGES)


def test_a_new_version_of_the_moves_begins_at_the_decision() -> None:
    history = Master("mst_1")
    history.run(history.ask(history.wanted("mas_1")))
    history.run(history.ask(history.wanted("mas_2", 2, "decision"), "overrides"))
    documents = folded(history.envelopes)
    job = job_of(documents[Key("job", TENANT, "mas_2")])
    assert [step.stage for step in job.steps] == ["decision", "rendering"]
    assert (job.state, job.progress) == ("succeeded", 1.0)
    master = track_of(documents[Key("track", TENANT, "mst_1")])
    assert [(v.number, v.job_id, set(v.artifacts)) for v in master.versions] == [
        (1, "mas_1", {"source", "analysis-before", "decision", "master"}),
        (2, "mas_2", {"source", "decision", "master"}),
    ]


def test_a_life_sign_alone_tells_that_it_is_a_master() -> None:
    history = Master("mst_1")
    history.write(
        StepProgressed(
            job_id="mas_1", track_id="mst_1", tenant=TENANT, stage="rendering", state="started"
        ),
        "rendering",
    )
    job = job_of(folded(history.envelopes)[Key("job", TENANT, "mas_1")])
    assert [step.stage for step in job.steps] == list(MASTERING_STAGES)
    assert job.state == "running"
