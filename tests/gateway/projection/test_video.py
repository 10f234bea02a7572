"""Videos under the fold: the laws that hold for tracks hold for them."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.projection.cells import Key
from gateway.projection.job import job_of
from gateway.projection.track import track_of
from schemas.events import Backend, Video, VideoRendered, VideoRequested, Work
from schemas.work import extend
from tests.gateway.projection.folding import (
    SHORT_LIVED,
    assert_order_changes_nothing,
    folded,
    property_test,
)
from tests.gateway.projection.histories import TENANT, Track, artifact, go_on

pytestmark = pytest.mark.slow

ASKED = Video(width=640, height=360, vocals="guide")


class Films(Track):
    """Writes the events of one track and of its videos."""

    def film(self, video_id: str, version: int = 1) -> Work:
        work = replace(
            self.work(video_id, version, lyrics=False),
            from_stage="video",
            artifacts=(artifact("minus"), artifact("karaoke")),
        )
        self.states[video_id], self.attempts[video_id] = "queued", 1
        self.write(VideoRequested(work=work, video=ASKED))
        return work

    def make(self, work: Work, stage: str, seconds: float = 2.0) -> Work:
        if stage != "video":
            return super().make(work, stage, seconds)
        backends = {**work.backends, "video": Backend(name="melisma")}
        work = extend(work, artifact("video"), backends=backends)
        self.write(VideoRendered(work=work, video=ASKED, seconds=seconds), "video")
        if work.attempt == self.attempts[work.job_id]:
            self.states[work.job_id] = "succeeded"
        return work

    def retry(self, work: Work, stage: str) -> Work:
        if stage != "video":
            return super().retry(work, stage)
        work = self.try_again(work, stage)
        self.write(VideoRequested(work=work, video=ASKED, reason="retry"))
        return work


@st.composite
def histories(draw: st.DrawFn) -> Films:
    """A published track, up to three videos of it, and perhaps another version between."""
    track = Films(skew_ms=lambda: draw(st.integers(-5000, 5000)))
    track.run(track.ask(track.work("job_0")))
    for number in range(draw(st.integers(1, 3))):
        go_on(draw, track, track.film(f"vid_{number}"))
        if draw(st.booleans()):
            go_on(draw, track, track.ask(track.work(f"job_{number + 1}", number + 2), "reprocess"))
    return track


@property_test
@given(histories(), st.randoms(use_true_random=False))
def test_order_duplicates_and_replays_change_nothing(history: Films, chance: random.Random) -> None:
    assert_order_changes_nothing(history.envelopes, chance)


@property_test
@given(histories())
def test_states_are_those_of_the_history_and_versions_are_none_of_the_videos(
    history: Films,
) -> None:
    documents = folded(history.envelopes)
    view = track_of(documents[Key("track", TENANT, "trk_1")])
    videos = {job_id for job_id in history.states if job_id.startswith("vid_")}
    assert {video.video_id for video in view.videos} == videos
    assert {job.job_id for job in view.jobs} == set(history.states) - videos
    assert view.pending is None or view.pending.job_id not in videos
    assert [v.number for v in view.versions] == sorted(history.published)
    for video in view.videos:
        job = job_of(documents[Key("job", TENANT, video.video_id)])
        assert (job.kind, job.video, video.wanted) == ("video", ASKED, ASKED)
        assert job.state == history.states[video.video_id]
        ended = job.state in ("failed", "canceled", "succeeded")
        assert video.state == (job.state if ended else "open")
        assert (video.artifact is not None) >= (job.state == "succeeded")


@property_test
@given(histories())
def test_a_rebuild_without_life_signs_tells_the_same_of_the_track(history: Films) -> None:
    key = Key("track", TENANT, "trk_1")
    kept = folded(e for e in history.envelopes if e.event.topic not in SHORT_LIVED)
    assert track_of(kept[key]) == track_of(folded(history.envelopes)[key])
