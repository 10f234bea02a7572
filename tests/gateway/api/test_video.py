"""Videos through the API: ask, wait, fetch; what is refused; cancel and retry."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.events import Backend, Event, JobRetried, Video, VideoRendered, VideoRequested
from schemas.work import extend
from tests.gateway.house import House, problem

PNG = b"\x89PNG\r\n\x1a\n" + bytes(200)


def ask(house: House, track: str, **body: Any) -> Any:
    return house.http.post(f"/v1/tracks/{track}/video", json=body)


def accepted(house: House, track: str, **body: Any) -> dict[str, Any]:
    answer = ask(house, track, **body)
    assert answer.status_code == 202, answer.text
    made: dict[str, Any] = answer.json()
    return made


def events(house: House, kind: type[Event]) -> list[Any]:
    return [envelope.event for envelope in house.events(kind.topic)]


def render(house: House, job_id: str, content: bytes = b"mp4" * 50) -> None:
    """The stage makes the film."""
    job = house.job(job_id)
    assert job.video is not None
    film = house.artifact("video", content, "video/mp4")
    work = extend(house.work(job_id), film, backends={"video": Backend(name="melisma")})
    house.happens(VideoRendered(work=work, video=job.video, seconds=3.0), source="video")


def cover_of(house: House, data: bytes = PNG) -> str:
    return house.upload(data, "cover.png", contentType="image/png", purpose="cover")


class TestAsking:
    def test_carries_the_published_version_and_the_wishes(self, house: House) -> None:
        track = house.published(title="The Star", artist="Jane")["trackId"]
        answer = ask(
            house,
            track,
            resolution="1080p",
            fps=25,
            backgroundColor="#ABCDEF",
            gradientTo="#000000",
            titleCard=False,
            countdown=False,
            vocals="guide",
        )
        assert answer.status_code == 202
        body = answer.json()
        assert body["jobId"] == body["videoId"]
        assert body["version"] == 1
        assert answer.headers["Location"] == f"/v1/jobs/{body['jobId']}"
        assert answer.headers["Retry-After"]
        [event] = events(house, VideoRequested)
        assert event.video == Video(
            width=1920,
            height=1080,
            fps=25,
            color="#abcdef",
            gradient_to="#000000",
            title_card=False,
            countdown=False,
            vocals="guide",
        )
        work = event.work
        assert (work.track_id, work.version, work.from_stage) == (track, 1, "video")
        assert (work.title, work.artist, work.duration_ms) == ("The Star", "Jane", 60_000)
        assert [a.name for a in work.artifacts] == ["karaoke", "minus", "vocals"]

    @pytest.mark.parametrize("height", [360, 480, 720, 1080])
    def test_every_resolution_is_even_and_wide(self, house: House, height: int) -> None:
        track = house.published()["trackId"]
        accepted(house, track, resolution=f"{height}p")
        [event] = events(house, VideoRequested)
        assert event.video.height == height
        assert event.video.width % 2 == 0
        assert event.video.width / height == pytest.approx(16 / 9, abs=0.01)

    def test_needs_no_body(self, house: House) -> None:
        track = house.published()["trackId"]
        assert house.http.post(f"/v1/tracks/{track}/video").status_code == 202
        [event] = events(house, VideoRequested)
        assert event.video == Video()
        assert [a.name for a in event.work.artifacts] == ["karaoke", "minus"]

    def test_the_same_key_asks_once(self, house: House) -> None:
        track = house.published()["trackId"]
        key = {"Idempotency-Key": "film-1"}
        url = f"/v1/tracks/{track}/video"
        first = house.http.post(url, json={"fps": 25}, headers=key)
        again = house.http.post(url, json={"fps": 25}, headers=key)
        assert first.json() == again.json()
        assert len(events(house, VideoRequested)) == 1
        other = house.http.post(url, json={"fps": 30}, headers=key)
        problem(other, 422, "idempotency_key_reused")

    def test_an_older_version_can_be_shown(self, house: House) -> None:
        track = house.published()["trackId"]
        again = house.http.post(f"/v1/tracks/{track}/versions/1/publish").json()
        house.publish(again["jobId"])
        assert accepted(house, track)["version"] == 2
        assert accepted(house, track, version=1)["version"] == 1

    def test_a_picture_can_be_uploaded_as_its_cover(self, house: House) -> None:
        track = house.published()["trackId"]
        cover = cover_of(house)
        accepted(house, track, coverAssetId=cover)
        [event] = events(house, VideoRequested)
        [found] = [a for a in event.work.artifacts if a.name == "cover"]
        assert (found.media_type, found.bytes) == ("image/png", len(PNG))

    @pytest.mark.parametrize(
        "body",
        [
            {"resolution": "4k"},
            {"fps": 0},
            {"backgroundColor": "red:x=1"},
            {"gradientTo": "#12345"},
            {"vocals": "loud"},
            {"version": 0},
            {"more": 1},
        ],
    )
    def test_wishes_of_no_kind_are_refused(self, house: House, body: dict[str, Any]) -> None:
        track = house.published()["trackId"]
        problem(ask(house, track, **body), 422, "validation_failed")

    def test_what_is_not_there_cannot_be_shown(self, house: House) -> None:
        problem(ask(house, "trk_none"), 404, "track_not_found")
        track = house.imported()["trackId"]
        problem(ask(house, track), 409, "track_unfinished")
        track = house.published()["trackId"]
        problem(ask(house, track, version=7), 404, "version_not_found")
        problem(ask(house, track, coverAssetId="ast_none"), 404, "asset_not_found")
        problem(ask(house, track, coverAssetId=house.upload()), 404, "asset_not_found")
        house.http.patch(
            f"/v1/tracks/{track}/lyrics", json={"lyrics": "la"}, headers={"If-Match": '"1"'}
        )
        problem(ask(house, track, version=2), 409, "version_not_published")
        assert events(house, VideoRequested) == []


class TestCovers:
    def test_are_pictures(self, house: House) -> None:
        body = {"filename": "a.gif", "contentType": "image/gif", "sizeBytes": 9, "purpose": "cover"}
        problem(house.http.post("/v1/uploads", json=body), 422, "upload_cover_refused")
        big = body | {"contentType": "image/png", "sizeBytes": 30 * 1024 * 1024}
        problem(house.http.post("/v1/uploads", json=big), 413, "upload_too_large")

    def test_are_judged_by_their_bytes(self, house: House) -> None:
        data = b"<svg onload=alert(1)>"
        made = house.http.post(
            "/v1/uploads",
            json={
                "filename": "a.png",
                "contentType": "image/png",
                "sizeBytes": len(data),
                "purpose": "cover",
            },
        ).json()
        put = house.http.put(made["parts"][0]["url"], content=data)
        parts = [{"partNumber": 1, "etag": put.headers["ETag"]}]
        done = house.http.post(f"/v1/uploads/{made['uploadId']}/complete", json={"parts": parts})
        problem(done, 422, "upload_cover_refused")

    def test_are_no_songs(self, house: House) -> None:
        answer = house.http.post("/v1/tracks/import", json={"assetId": cover_of(house)})
        problem(answer, 422, "upload_not_audio")


class TestFetching:
    def test_waits_then_has_the_url(self, house: House) -> None:
        track = house.published(title="The Star")["trackId"]
        problem(house.http.get(f"/v1/tracks/{track}/video"), 404, "video_not_found")
        video = accepted(house, track)["videoId"]
        for url in (f"/v1/tracks/{track}/video", f"/v1/tracks/{track}/video/{video}"):
            waits = house.http.get(url)
            found = problem(waits, 425, "video_not_ready")
            assert waits.headers["Retry-After"]
            assert waits.headers["Cache-Control"] == "no-store"
            assert (found["jobId"], found["state"], found["stage"]) == (video, "queued", "video")
        house.progress(video, 0.5, stage="video")
        waits = house.http.get(f"/v1/tracks/{track}/video")
        assert problem(waits, 425, "video_not_ready")["progress"] == 0.5

        render(house, video, b"film" * 25)
        ready = house.http.get(f"/v1/tracks/{track}/video").json()
        assert (ready["videoId"], ready["version"], ready["sizeBytes"]) == (video, 1, 100)
        assert (ready["width"], ready["height"], ready["vocals"]) == (1280, 720, "none")
        fetched = house.http.get(ready["url"])
        assert fetched.content == b"film" * 25
        assert fetched.headers["Content-Type"] == "video/mp4"
        assert "The%20Star%20%28video%29.mp4" in fetched.headers["Content-Disposition"]

    def test_each_has_its_own_address_and_the_last_one_leads(self, house: House) -> None:
        track = house.published()["trackId"]
        first = accepted(house, track)["videoId"]
        house.clock.forward(1)
        second = accepted(house, track, fps=25)["videoId"]
        render(house, first)
        problem(house.http.get(f"/v1/tracks/{track}/video"), 425, "video_not_ready")
        assert house.http.get(f"/v1/tracks/{track}/video/{first}").status_code == 200
        render(house, second)
        assert house.http.get(f"/v1/tracks/{track}/video").json()["fps"] == 25
        other = house.published()["trackId"]
        problem(house.http.get(f"/v1/tracks/{other}/video/{first}"), 404, "video_not_found")

    def test_a_failure_is_told_and_can_be_tried_again(self, house: House) -> None:
        track = house.published()["trackId"]
        video = accepted(house, track)["videoId"]
        house.fail(video, stage="video")
        found = problem(house.http.get(f"/v1/tracks/{track}/video"), 409, "video_failed")
        assert "no singing was found" in found["detail"]
        assert house.http.get(f"/v1/tracks/{track}/ready").status_code == 200

        again = house.http.post(f"/v1/jobs/{video}/retry")
        assert again.status_code == 202, again.text
        assert again.json()["attempt"] == 2
        [retried] = events(house, JobRetried)
        assert retried.from_stage == "video"
        request = events(house, VideoRequested)[-1]
        assert (request.reason, request.work.attempt) == ("retry", 2)
        problem(house.http.get(f"/v1/tracks/{track}/video"), 425, "video_not_ready")
        render(house, video)
        assert house.http.get(f"/v1/tracks/{track}/video").status_code == 200

    def test_a_cancel_ends_it(self, house: House) -> None:
        track = house.published()["trackId"]
        video = accepted(house, track)["videoId"]
        assert house.http.post(f"/v1/jobs/{video}/cancel").json()["state"] == "canceled"
        found = problem(house.http.get(f"/v1/tracks/{track}/video"), 409, "video_failed")
        assert found["reason"]["code"] == "canceled"
        late = accepted(house, track)["videoId"]
        render(house, late)
        refused = problem(house.http.post(f"/v1/jobs/{late}/cancel"), 409, "job_ended")
        assert "the video was made" in refused["detail"]


def test_a_video_is_a_job_like_any_other_and_no_version(house: House) -> None:
    track = house.published()["trackId"]
    video = accepted(house, track)["videoId"]
    job = house.http.get(f"/v1/jobs/{video}").json()
    assert (job["kind"], job["step"], job["state"]) == ("video", "video", "queued")
    assert [step["step"] for step in job["steps"]] == ["video"]
    listed = house.http.get("/v1/jobs?step=video").json()["jobs"]
    assert [each["jobId"] for each in listed] == [video]
    assert "pending" not in house.http.get(f"/v1/tracks/{track}/ready").json()
    assert house.http.get(f"/v1/tracks/{track}").json()["job"]["jobId"] != video
    # and it stands in nobody's way
    answer = house.http.post(f"/v1/tracks/{track}/reprocess", json={"steps": ["align"]})
    assert answer.json()["version"] == 2
