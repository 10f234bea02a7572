"""Which recorded event begins a job again, and which tracks are left alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway import mastering
from gateway.projection.cells import join
from gateway.projection.fold import fold
from gateway.projection.track import Track, track_of
from gateway.reprocessing import MADE_BY, NEEDS
from schemas.events import Artifact, ImportRequested, MasteringRequested, Separated, Work
from schemas.work import MASTERING_STAGES, STAGES, extend
from tests.gateway.projection.histories import Track as History
from tests.gateway.projection.histories import artifact, tracks
from tests.gateway.projection.test_mastering import ASKED, Master
from tools.ops.replay import WORK_TOPICS, Candidate, Order, Request, Skipped, plan
from topics.codec import Envelope

ALIGN = Order(replay_id="rpl_1", stage="alignment")


def recorded(history: History) -> list[Candidate]:
    """The events of a history as a log would have them."""
    found = []
    for offset, envelope in enumerate(history.envelopes):
        work = getattr(envelope.event, "work", None)
        if isinstance(work, Work):
            work = extend(work, *stems(work))
            wanted = getattr(envelope.event, "mastering", None)
            place = (envelope.event.topic, 0, offset)
            found.append(Candidate(*place, envelope.id, work, mastering=wanted))
    return found


def stems(work: Work) -> tuple[Artifact, ...]:
    """What the histories' separation leaves out."""
    names = {each.name for each in work.artifacts}
    more = [artifact(name) for name in ("minus", "mix") if "vocals" in names]
    more += [artifact("alignment")] if "aligned" in names else []
    more += [artifact("checked")] if "report" in names else []
    return tuple(more)


def projected(envelopes: Sequence[Envelope]) -> Track:
    documents = join(change for each in envelopes for change in fold(each))
    [found] = [track_of(document) for key, document in documents.items() if key.kind == "track"]
    return found


def published(*, lyrics: bool = True) -> History:
    """A track with version 1 published."""
    history = History()
    history.run(history.ask(history.work("job_0", lyrics=lyrics)))
    return history


def planned(history: History, order: Order = ALIGN) -> Request | Skipped | None:
    return plan(recorded(history), projected(history.envelopes), order)


def requested(history: History, order: Order = ALIGN) -> Request:
    found = planned(history, order)
    assert isinstance(found, Request), found
    return found


def skipped(history: History, order: Order = ALIGN) -> Skipped:
    found = planned(history, order)
    assert isinstance(found, Skipped), found
    return found


def test_a_published_track_gets_a_job_of_its_own_from_the_stage_on() -> None:
    request = requested(published())
    work = request.work
    assert request.event(2).reason == "replay"
    assert request.event(2).work.version == 2
    assert request.floor == 1
    assert work.job_id not in ("", "job_0")
    assert (work.parent, work.attempt, work.from_stage) == (1, 1, "alignment")
    assert (work.replay_id, work.callback_id, work.force) == ("rpl_1", "", False)
    assert {each.name for each in work.artifacts} >= set(NEEDS["alignment"])
    assert not {each.name for each in work.artifacts} & {"alignment", "checked", "karaoke"}
    assert set(work.backends) == {"separation"}


def test_ids_follow_from_the_replay_and_the_event() -> None:
    history = published()
    assert requested(history).work.job_id == requested(history).work.job_id
    other = replace(ALIGN, replay_id="rpl_2")
    assert requested(history).work.job_id != requested(history, other).work.job_id


def test_webhooks_and_force_only_if_asked() -> None:
    history = History()
    work = replace(history.work("job_0"), callback_id="cbk_1")
    history.run(history.ask(work))
    assert requested(history).work.callback_id == ""
    asked = requested(history, replace(ALIGN, webhooks=True, force=True)).work
    assert (asked.callback_id, asked.force) == ("cbk_1", True)


def test_edited_words_are_not_taken_back() -> None:
    history = published()
    history.edit(2, 1)
    edited = replace(
        history.work("job_1", 2),
        lyrics=artifact("draft-2"),
        from_stage="alignment",
        artifacts=(artifact("source"), artifact("vocals")),
    )
    history.run(history.ask(edited, "reprocess"))
    only_first = [each for each in recorded(history) if each.work.job_id == "job_0"]
    found = plan(only_first, projected(history.envelopes), ALIGN)
    assert isinstance(found, Request)
    assert found.work.lyrics == artifact("draft-2")
    assert found.work.parent == 2
    # behind the alignment the words are in the artifacts, so the old event will not do
    late = plan(only_first, projected(history.envelopes), replace(ALIGN, stage="quality"))
    assert isinstance(late, Skipped)
    assert late.reason == "edited_since"


def test_a_draft_is_not_published_over() -> None:
    history = published()
    history.edit(2, 1)
    assert skipped(history).reason == "draft"


def test_a_track_in_work_is_left() -> None:
    history = published()
    history.ask(history.work("job_1", 2), "reprocess")
    assert skipped(history).reason == "in_work"


def test_what_was_canceled_stays_so_and_what_failed_begins_again() -> None:
    canceled, failed = History(), History()
    canceled.cancel(canceled.make(canceled.ask(canceled.work("job_0")), "separation"))
    failed.fail(failed.make(failed.ask(failed.work("job_0")), "separation"), "alignment")
    assert skipped(canceled).reason == "canceled"
    request = requested(failed)
    assert (request.work.parent, request.floor) == (0, 1)
    assert request.work.lyrics == artifact("lyrics")


def test_the_material_must_be_there() -> None:
    history = published()
    early = [each for each in recorded(history) if each.topic == "import-requested"]
    found = plan(early, projected(history.envelopes), ALIGN)
    assert isinstance(found, Skipped)
    assert found.reason == "no_material"
    assert "vocals, minus, mix" in found.why
    assert isinstance(
        plan(early, projected(history.envelopes), replace(ALIGN, stage="separation")), Request
    )


def test_given_lyrics_are_transcribed_only_if_asked() -> None:
    order = replace(ALIGN, stage="transcription")
    assert skipped(published(), order).reason == "lyrics_given"
    assert requested(published(), replace(order, replace_lyrics=True)).work.lyrics is None
    assert requested(published(lyrics=False), order).work.lyrics is None


def test_transcribed_lyrics_are_made_again_by_what_comes_before_them() -> None:
    history = published(lyrics=False)
    again = requested(history, replace(ALIGN, stage="separation")).work
    assert again.lyrics is None
    assert "transcription" not in again.backends
    kept = requested(history).work
    assert kept.lyrics == artifact("transcript")
    assert "transcription" in kept.backends


def test_replays_of_replays_end() -> None:
    history = published()
    tired = [replace(each, replays=3) for each in recorded(history)]
    found = plan(tired, projected(history.envelopes), ALIGN)
    assert isinstance(found, Skipped)
    assert found.reason == "loop"
    more = plan(tired, projected(history.envelopes), replace(ALIGN, max_replays=4))
    assert isinstance(more, Request)
    assert more.replays == 4


def test_a_replay_does_not_feed_on_itself() -> None:
    history = published()
    own = [replace(each, work=replace(each.work, replay_id="rpl_1")) for each in recorded(history)]
    assert plan(own, projected(history.envelopes), ALIGN) is None


def test_a_track_that_the_projection_does_not_know_is_replayed_from_its_events() -> None:
    found = plan(recorded(published()), None, ALIGN)
    assert isinstance(found, Request)
    assert found.floor == 1
    assert found.work.lyrics == artifact("lyrics")


def test_events_that_carry_work_are_those_of_stages_and_requests() -> None:
    requests = {f"{what}-requested" for what in ("import", "reprocess", "mastering", "video")}
    assert requests | MADE_TOPICS == set(WORK_TOPICS)
    assert ImportRequested.topic in WORK_TOPICS


MADE_TOPICS = {"separated", "transcribed", "aligned", "checked", "published"} | {
    "analyzed",
    "decided",
    "mastered",
    "video-rendered",
}


@settings(deadline=None)
@given(history=tracks(), stage=st.sampled_from(STAGES), data=st.data())
def test_the_order_of_the_events_does_not_matter(
    history: History, stage: str, data: st.DataObject
) -> None:
    candidates = recorded(history)
    shuffled = data.draw(st.permutations(candidates))
    track, order = projected(history.envelopes), replace(ALIGN, stage=stage)
    assert plan(shuffled, track, order) == plan(candidates, track, order)
    assert plan([*shuffled, *candidates], track, order) == plan(candidates, track, order)


@settings(deadline=None)
@given(history=tracks(), stage=st.sampled_from(STAGES), replace_lyrics=st.booleans())
def test_a_request_can_be_worked_on_and_rewrites_nothing(
    history: History, stage: str, replace_lyrics: bool
) -> None:
    track = projected(history.envelopes)
    order = replace(ALIGN, stage=stage, replace_lyrics=replace_lyrics)
    found = plan(recorded(history), track, order)
    if not isinstance(found, Request):
        return
    work = found.work
    names = {each.name for each in work.artifacts}
    assert names >= set(NEEDS[stage])
    ahead = STAGES[STAGES.index(stage) :]
    assert not {MADE_BY.get(name) for name in names} & set(ahead)
    assert work.lyrics is not None or stage in ("separation", "transcription")
    assert all(version.number <= found.floor for version in track.versions)
    assert all(job.version <= found.floor for job in track.jobs)
    assert track.pending is None
    assert work.job_id not in {job.job_id for job in track.jobs}
    if track.current is not None:
        assert work.parent == track.current.number


def test_the_newest_event_that_will_do_is_taken() -> None:
    history = published()
    track = projected(history.envelopes)
    older = Candidate("separated", 0, 0, "old", replace(published_work(history), version=1))
    newer = Candidate("separated", 0, 1, "new", replace(published_work(history), version=2))
    for candidates in ([older, newer], [newer, older]):
        found = plan(candidates, track, ALIGN)
        assert isinstance(found, Request)
        assert found.source.event_id == "new"


def published_work(history: History) -> Work:
    [work] = [each.work for each in recorded(history) if each.topic == Separated.topic]
    return work


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_can_be_replayed(stage: str) -> None:
    order = replace(ALIGN, stage=stage, replace_lyrics=True)
    assert requested(published(), order).work.from_stage == stage


def mastered() -> Master:
    history = Master("mst_1")
    history.run(history.ask(history.wanted("mas_0")))
    return history


@pytest.mark.parametrize("stage", MASTERING_STAGES)
def test_every_mastering_stage_can_be_replayed(stage: str) -> None:
    history = mastered()
    found = requested(history, replace(ALIGN, stage=stage))
    event = found.event(2)
    assert isinstance(event, MasteringRequested)
    assert (event.reason, event.mastering) == ("replay", ASKED)
    assert (event.work.from_stage, event.work.version, event.work.parent) == (stage, 2, 1)
    assert event.work.job_id.startswith("mas_")
    names = {each.name for each in event.work.artifacts}
    assert names >= set(mastering.NEEDS[stage])
    ahead = MASTERING_STAGES[MASTERING_STAGES.index(stage) :]
    assert not {mastering.MADE_BY.get(name) for name in names} & set(ahead)


def test_a_stage_of_another_system_finds_nothing_to_work_on() -> None:
    assert skipped(mastered()).reason == "no_material"
    assert skipped(published(), replace(ALIGN, stage="rendering")).reason == "no_material"
