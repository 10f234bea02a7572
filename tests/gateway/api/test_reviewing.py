"""Versions below the quality bar: shown with their reasons, held back, published all the same."""

from __future__ import annotations

from dataclasses import replace

from schemas.documents.changes import Changes
from schemas.documents.karaoke import Karaoke, KaraokeDocument
from schemas.events import Artifact, Checked, JobFailed, Published, ReprocessRequested, Work
from schemas.work import BELOW_BAR, extend, find
from tests.gateway.house import House, problem

REASONS = ("The score is 41 of 100, below the bar of 60.", "Someone sings without words.")


def doubtful(house: House, job_id: str) -> Work:
    """The job as it stands before publishing, with content that is below the bar."""
    house.publish(job_id)  # makes the artifacts; what it published is another track's affair
    work = house.work(job_id)
    checked = find(work, "checked")
    assert checked is not None
    content = Karaoke.from_json(house.artifacts.read(checked.uri))
    qc = content.qc.model_copy(update={"score": 0.41, "needs_review": True, "reasons": REASONS})
    judged = content.model_copy(update={"qc": qc})
    return extend(work, house.artifact("checked", judged.to_json(), "application/json"))


def stamped(house: House, work: Work) -> Artifact:
    checked = find(work, "checked")
    assert checked is not None
    document = KaraokeDocument.stamp(
        Karaoke.from_json(house.artifacts.read(checked.uri)),
        track_id=work.track_id,
        version=work.version,
        parent=work.parent or None,
    )
    return house.artifact("karaoke", document.to_json(), "application/json")


def held_back(house: House) -> Work:
    """An import whose karaoke was judged and not published."""
    model = doubtful(house, house.imported()["jobId"])
    accepted = house.imported()
    work = replace(
        house.work(accepted["jobId"]),
        artifacts=tuple(a for a in model.artifacts if a.name not in ("karaoke", "changes")),
        duration_ms=model.duration_ms,
        backends=model.backends,
    )
    house.happens(Checked(work=work, score=0.41), source="quality")
    house.happens(
        JobFailed(
            job_id=work.job_id,
            track_id=work.track_id,
            stage="publishing",
            code=BELOW_BAR,
            message=f"the karaoke was not published. {REASONS[0]}",
        ),
        source="publishing",
    )
    return work


def rolled_back(house: House) -> ReprocessRequested:
    events = [envelope.event for envelope in house.events("reprocess-requested")]
    (event,) = [event for event in events if isinstance(event, ReprocessRequested)]
    return event


def test_a_version_that_needs_review_says_so_wherever_it_is_shown(house: House) -> None:
    model = doubtful(house, house.imported()["jobId"])
    accepted = house.imported()
    track = accepted["trackId"]
    work = replace(
        model, job_id=accepted["jobId"], track_id=track, version=1, artifacts=model.artifacts
    )
    work = extend(work, stamped(house, work))
    published = Published(work=work, score=0.41, needs_review=True, reasons=REASONS)
    house.happens(published, source="publishing")

    ready = house.http.get(f"/v1/tracks/{track}/ready").json()
    assert ready["needsReview"] is True
    assert ready["qc"]["reasons"] == list(REASONS)
    seen = house.http.get(f"/v1/tracks/{track}").json()
    assert (seen["needsReview"], seen["reasons"]) == (True, list(REASONS))
    (listed,) = house.http.get(f"/v1/tracks/{track}/versions").json()["versions"]
    assert (listed["needsReview"], listed["reasons"]) == (True, list(REASONS))
    assert house.http.get(f"/v1/tracks/{track}/versions/1").json()["needsReview"] is True


def test_a_version_that_is_good_enough_needs_none(house: House) -> None:
    track = house.published()["trackId"]
    assert house.http.get(f"/v1/tracks/{track}/ready").json()["needsReview"] is False
    (listed,) = house.http.get(f"/v1/tracks/{track}/versions").json()["versions"]
    assert listed["needsReview"] is False
    assert "reasons" not in listed


def test_a_job_that_was_held_back_tells_why_and_is_published_on_a_persons_word(
    house: House,
) -> None:
    work = held_back(house)
    track = work.track_id
    waiting = problem(house.http.get(f"/v1/tracks/{track}/ready"), 409, "track_failed")
    assert REASONS[0] in waiting["detail"]
    answer = house.http.post(f"/v1/tracks/{track}/versions/1/publish")
    assert answer.status_code == 202, answer.text
    event = rolled_back(house)
    assert (event.reason, event.work.from_stage, event.work.version) == (
        *("rollback", "publishing"),
        answer.json()["version"],
    )
    assert event.work.job_id == answer.json()["jobId"] != work.job_id
    assert find(event.work, "checked") == find(work, "checked")
    house.publish(answer.json()["jobId"])
    assert house.http.get(f"/v1/tracks/{track}/ready").json()["version"] == 2
    assert (
        house.http.get(f"/v1/tracks/{track}/versions").json()["versions"][0]["lyricsOrigin"]
        == "given"
    )


def test_a_job_that_failed_otherwise_has_nothing_to_publish(house: House) -> None:
    accepted = house.imported()
    house.fail(accepted["jobId"])
    answer = house.http.post(f"/v1/tracks/{accepted['trackId']}/versions/1/publish")
    problem(answer, 404, "version_not_found")


def test_what_a_version_changed_is_shown_with_it(house: House) -> None:
    track = house.published()["trackId"]
    assert "changes" not in house.http.get(f"/v1/tracks/{track}/versions/1").json()
    job = house.http.post(f"/v1/tracks/{track}/reprocess", json={"steps": ["align"]}).json()
    work = house.work(job["jobId"])
    before = find(work, "previous")
    assert before is not None
    old = KaraokeDocument.from_json(house.artifacts.read(before.uri))
    assert old.version == 1
    new = old.model_copy(update={"version": 2, "qc": old.qc.model_copy(update={"score": 0.5})})
    report = Changes.between(old, new)
    work = extend(
        replace(work, artifacts=tuple(a for a in work.artifacts if a.name != "previous")),
        house.artifact("karaoke", new.to_json(), "application/json"),
        house.artifact("changes", report.to_json(), "application/json"),
    )
    house.happens(Published(work=work, score=0.5), source="publishing")
    changes = house.http.get(f"/v1/tracks/{track}/versions/2").json()["changes"]
    assert (changes["before"], changes["after"]) == (1, 2)
    assert changes["told"] == ["the quality is 50 of 100, before 90"]
