from __future__ import annotations

import json
from typing import Any

import pytest

from schemas.events import ImportRequested, JobCanceled
from tests.gateway.house import House, problem


def request_of(house: House) -> ImportRequested:
    (envelope,) = house.events("import-requested")
    assert isinstance(envelope.event, ImportRequested)
    return envelope.event


class TestImport:
    def test_is_accepted_with_everything_that_a_stage_needs(self, house: House) -> None:
        asset = house.upload()
        answer = house.http.post(
            "/v1/tracks/import",
            json={
                "assetId": asset,
                "lyrics": "Привет, мир!\nla la",
                "language": "ru",
                "title": " The\nStar ",
                "artist": "Jane",
                "callbackUrl": "https://example.com/hook?token=abc",
            },
            headers={"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"},
        )
        assert answer.status_code == 202
        accepted = answer.json()
        assert accepted["version"] == 1
        assert answer.headers["Location"] == f"/v1/jobs/{accepted['jobId']}"
        assert int(answer.headers["Retry-After"]) > 0
        event = request_of(house)
        work = event.work
        assert (work.job_id, work.track_id) == (accepted["jobId"], accepted["trackId"])
        assert (event.asset_id, work.version, work.attempt) == (asset, 1, 1)
        assert (work.title, work.artist, work.language) == ("The Star", "Jane", "ru")
        assert [artifact.name for artifact in work.artifacts] == ["source"]
        assert work.lyrics is not None
        assert "Привет," in house.artifacts.read(work.lyrics.uri).decode()
        (envelope,) = house.events("import-requested")
        assert "4bf92f3577b34da6a3ce929d0e0e4736" in envelope.traceparent

    def test_can_be_read_at_once(self, house: House) -> None:
        answer = house.http.post("/v1/tracks/import", json={"assetId": house.upload()})
        accepted = answer.json()
        job = house.http.get(answer.headers["Location"]).json()
        assert (job["state"], job["step"], job["trackId"]) == (
            "queued",
            "separate",
            accepted["trackId"],
        )
        assert house.http.get(f"/v1/tracks/{accepted['trackId']}/ready").status_code == 425
        assert house.http.get("/v1/jobs").json()["jobs"][0]["jobId"] == accepted["jobId"]

    def test_keeps_the_callback_out_of_events_and_tables(self, house: House) -> None:
        house.imported(callbackUrl="https://example.com/hook?token=abc")
        work = request_of(house).work
        assert work.callback_id
        kept = house.artifacts.read(
            house.artifacts.uri(f"callbacks/default/{work.callback_id}.json")
        )
        assert b"https://example.com/hook?token=abc" in kept
        for file in house.folder.glob("*.db*"):
            assert b"token=abc" not in file.read_bytes(), file

    def test_blank_lyrics_are_no_lyrics(self, house: House) -> None:
        house.imported(lyrics=" \n ")
        assert request_of(house).work.lyrics is None

    def test_emoji_may_stand_between_words(self, house: House) -> None:
        house.imported(lyrics="🎤 sing 🎶 along 👩‍🎤")
        assert request_of(house).work.lyrics is not None

    @pytest.mark.parametrize("lyrics", ["!!! ... ???\n—", "🎤🎶👩‍🎤", "[Chorus]", "\u200b \u00a0"])
    def test_refuses_lyrics_without_words(self, house: House, lyrics: str) -> None:
        body = {"assetId": house.upload(), "lyrics": lyrics}
        before = house.count_events()
        problem(house.http.post("/v1/tracks/import", json=body), 422, "lyrics_without_words")
        assert house.count_events() == before

    def test_refuses_ten_thousand_words(self, house: House) -> None:
        body = {"assetId": house.upload(), "lyrics": "la la la la la\n" * 2000}
        found = problem(house.http.post("/v1/tracks/import", json=body), 422, "lyrics_too_long")
        assert "10000 words" in found["detail"]

    @pytest.mark.parametrize(
        ("change", "status", "code"),
        [
            ({"assetId": "ast_unknown"}, 404, "asset_not_found"),
            ({"assetId": "../../etc/passwd"}, 404, "asset_not_found"),
            ({"assetId": ""}, 422, "validation_failed"),
            ({"assetId": 7}, 422, "validation_failed"),
            ({"assetId": None}, 422, "validation_failed"),
            ({"lyrics": {"text": "la"}}, 422, "validation_failed"),
            ({"lyrics": "\ud83d"}, 422, "validation_failed"),
            ({"language": "english please"}, 422, "validation_failed"),
            ({"language": "../ru"}, 422, "validation_failed"),
            ({"title": "x" * 301}, 422, "validation_failed"),
            ({"titel": "typo"}, 422, "validation_failed"),
            ({"callbackUrl": "http://example.com/"}, 422, "callback_refused"),
            ({"callbackUrl": "https://127.0.0.1/"}, 422, "callback_refused"),
        ],
    )
    def test_refuses_what_is_wrong(
        self, house: House, change: dict[str, Any], status: int, code: str
    ) -> None:
        body = {"assetId": house.upload(), "lyrics": "la la"} | change
        before = house.count_events()
        answer = house.http.post(
            "/v1/tracks/import",
            content=json.dumps(body),
            headers={"Content-Type": "application/json"},
        )
        problem(answer, status, code)
        assert house.count_events() == before

    def test_the_same_key_replays_the_first_answer(self, house: House) -> None:
        body = {"assetId": house.upload(), "lyrics": "la la"}
        key = {"Idempotency-Key": "k-1"}
        first = house.http.post("/v1/tracks/import", json=body, headers=key)
        again = house.http.post("/v1/tracks/import", json=body, headers=key)
        alias = house.http.post("/tracks/import", json=body, headers=key)
        assert first.status_code == again.status_code == alias.status_code == 202
        assert first.json() == again.json() == alias.json()
        assert again.headers["Idempotency-Replayed"] == "true"
        assert "Idempotency-Replayed" not in first.headers
        assert again.headers["Location"] == first.headers["Location"]
        assert len(house.events("import-requested")) == 1

    def test_the_same_key_with_another_body_is_refused(self, house: House) -> None:
        body = {"assetId": house.upload(), "lyrics": "la la"}
        key = {"Idempotency-Key": "k-1"}
        house.http.post("/v1/tracks/import", json=body, headers=key)
        other = house.http.post("/v1/tracks/import", json=body | {"title": "B"}, headers=key)
        problem(other, 422, "idempotency_key_reused")
        elsewhere = house.http.post(
            "/v1/uploads",
            json={"filename": "a", "contentType": "audio/wav", "sizeBytes": 1},
            headers=key,
        )
        problem(elsewhere, 422, "idempotency_key_reused")

    def test_a_refusal_frees_the_key(self, house: House) -> None:
        key = {"Idempotency-Key": "k-1"}
        body = {"assetId": "ast_unknown"}
        for _ in range(2):
            problem(
                house.http.post("/v1/tracks/import", json=body, headers=key), 404, "asset_not_found"
            )

    @pytest.mark.parametrize("key", ["", "a b", "x" * 256])
    def test_refuses_keys_that_are_none(self, house: House, key: str) -> None:
        answer = house.http.post(
            "/v1/tracks/import", json={"assetId": "a"}, headers={"Idempotency-Key": key}
        )
        problem(answer, 400, "idempotency_key_invalid")


class TestReady:
    def test_is_425_with_progress_until_published(self, house: House) -> None:
        accepted = house.imported()
        house.progress(accepted["jobId"], 0.5)
        answer = house.http.get(f"/v1/tracks/{accepted['trackId']}/ready")
        found = problem(answer, 425, "track_not_ready")
        assert int(answer.headers["Retry-After"]) > 0
        assert answer.headers["Cache-Control"] == "no-store"
        assert (found["jobId"], found["state"], found["stage"]) == (
            accepted["jobId"],
            "running",
            "separation",
        )
        assert 0 < found["progress"] < 1

    def test_then_gives_the_version_with_links_that_work(self, house: House) -> None:
        accepted = house.published()
        answer = house.http.get(f"/v1/tracks/{accepted['trackId']}/ready")
        assert answer.status_code == 200
        assert answer.headers["ETag"] == '"1"'
        assert answer.headers["Cache-Control"] == "no-store"
        body = answer.json()
        assert (body["trackId"], body["version"]) == (accepted["trackId"], 1)
        assert body["lyrics"]["schema"] == "karaoke/1"
        assert body["lyrics"]["trackId"] == accepted["trackId"]
        assert body["qc"]["score"] == 0.9
        assert body["backends"] == {"separation": "light"}
        assert "pending" not in body
        assert house.http.get(body["minusUrl"]).content == b"minus" * 100
        assert house.http.get(body["vocalsUrl"]).content == b"vocals" * 100
        head = house.http.head(f"/v1/tracks/{accepted['trackId']}/ready")
        assert (head.status_code, head.headers["ETag"]) == (200, '"1"')

    def test_shows_the_job_that_makes_the_next_version(self, house: House) -> None:
        accepted = house.published()
        track = f"/v1/tracks/{accepted['trackId']}"
        again = house.http.post(f"{track}/reprocess", json={"steps": ["align"]}).json()
        assert house.http.get(f"{track}/ready").json()["pending"] == {
            "jobId": again["jobId"],
            "version": 2,
        }

    def test_a_failed_import_says_which_step_and_why(self, house: House) -> None:
        accepted = house.imported()
        house.separate(accepted["jobId"])
        house.fail(accepted["jobId"])
        answer = house.http.get(f"/v1/tracks/{accepted['trackId']}/ready")
        found = problem(answer, 409, "track_failed")
        assert found["step"] == "align"
        assert found["reason"] == {
            "code": "no_vocals",
            "message": "no singing was found in the song",
        }
        assert "align" in found["detail"]
        assert "no singing was found" in found["detail"]

    def test_a_canceled_import_says_so(self, house: House) -> None:
        accepted = house.imported()
        job = house.job(accepted["jobId"])
        house.happens(JobCanceled(job_id=job.job_id, track_id=job.track_id, reason="wrong song"))
        found = problem(
            house.http.get(f"/v1/tracks/{accepted['trackId']}/ready"), 409, "track_canceled"
        )
        assert "wrong song" in found["detail"]
        assert found["step"] == "separate"

    def test_a_failed_second_version_leaves_the_first(self, house: House) -> None:
        accepted = house.published()
        track = f"/v1/tracks/{accepted['trackId']}"
        again = house.http.post(f"{track}/reprocess", json={"steps": ["align"]}).json()
        house.fail(again["jobId"])
        assert house.http.get(f"{track}/ready").json()["version"] == 1

    @pytest.mark.parametrize("track", ["trk_unknown", "..%2F..%2Fsecret", "%00", "🎤"])
    def test_unknown_tracks(self, house: House, track: str) -> None:
        assert house.http.get(f"/v1/tracks/{track}/ready").status_code == 404

    def test_gives_up_waiting_in_time(self, house: House) -> None:
        accepted = house.imported()
        answer = house.http.get(f"/v1/tracks/{accepted['trackId']}/ready?wait=0.05")
        problem(answer, 425, "track_not_ready")
        problem(
            house.http.get(f"/v1/tracks/{accepted['trackId']}/ready?wait=31"),
            422,
            "validation_failed",
        )


class TestAssets:
    def test_come_only_after_publication(self, house: House) -> None:
        accepted = house.imported()
        path = f"/v1/tracks/{accepted['trackId']}/assets"
        found = problem(house.http.get(path), 409, "track_unfinished")
        assert found["jobId"] == accepted["jobId"]
        house.publish(accepted["jobId"])
        body = house.http.get(path).json()
        assert (body["version"], body["trackId"]) == (1, accepted["trackId"])
        for name in ("minus", "vocals", "mix"):
            assert body[name]["expiresAt"] == "2026-01-01T00:05:00.000Z"
            assert body[name]["mediaType"] == "audio/flac"
            media = house.http.get(body[name]["url"])
            assert media.content == name.encode() * 100
            assert body[name]["sizeBytes"] == len(media.content)

    def test_save_under_a_telling_name(self, house: House) -> None:
        accepted = house.published(title="Звезда", artist="../Jane")
        body = house.http.get(f"/v1/tracks/{accepted['trackId']}/assets").json()
        media = house.http.get(body["minus"]["url"])
        name = media.headers["Content-Disposition"]
        assert "%D0%97" in name
        assert "/" not in name


def test_a_track_shows_its_versions_and_job(house: House) -> None:
    accepted = house.imported(title="The Star")
    body = house.http.get(f"/v1/tracks/{accepted['trackId']}").json()
    assert (body["title"], body["versions"]) == ("The Star", [])
    assert body["job"]["state"] == "queued"
    house.publish(accepted["jobId"])
    body = house.http.get(f"/v1/tracks/{accepted['trackId']}").json()
    assert (body["version"], body["newestVersion"]) == (1, 1)
    assert body["job"]["state"] == "succeeded"


def test_the_paths_of_the_first_documents_work(house: House) -> None:
    accepted = house.published()
    track, job = accepted["trackId"], accepted["jobId"]
    assert house.http.get(f"/tracks/{track}/ready").status_code == 200
    assert house.http.get(f"/tracks/{track}/assets").status_code == 200
    assert house.http.get(f"/jobs/{job}").json()["state"] == "succeeded"
    assert house.http.get("/jobs").status_code == 200
    assert house.http.get(f"/status/{job}").json() == {
        "task_id": job,
        "status": "completed",
        "progress": 1.0,
    }
    body = {"filename": "a.wav", "contentType": "audio/wav", "sizeBytes": 10}
    for path in ("/uploads", "/uploads/presign", "/v1/uploads/presign"):
        assert house.http.post(path, json=body).status_code == 201
    bare = house.client(headers={})
    for path in (f"/tracks/{track}/ready", f"/jobs/{job}", f"/status/{job}"):
        problem(bare.get(path), 400, "client_id_missing")
