"""Mastering through the API: what is asked, what is refused, what is shown."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
import soundfile

from gateway.sound_length import stated_seconds
from schemas.documents.chain import Chain
from schemas.documents.decision import (
    Because,
    Decision,
    Move,
    Overrides,
    Prediction,
    Provenance,
    Target,
    Words,
)
from schemas.events import (
    Analyzed,
    Decided,
    JobFailed,
    JobRetried,
    Mastered,
    MasteringRequested,
    UploadCompleted,
    Work,
)
from schemas.work import extend
from tests.gateway.house import WAV, House, problem, settings


def sound(format_: str = "WAV", seconds: float = 0.5, rate: int = 8000) -> bytes:
    out = io.BytesIO()
    soundfile.write(out, np.zeros(int(seconds * rate)), rate, format=format_, subtype="PCM_16")
    return out.getvalue()


def uploaded(house: House, data: bytes = WAV, media: str = "audio/wav", **more: Any) -> str:
    return house.upload(data, contentType=media, purpose="mastering", **more)


def asked(house: House, **body: Any) -> Mapping[str, Any]:
    if not {"assetId", "assetIds", "objectKey", "objectKeys"} & set(body):
        body["assetId"] = uploaded(house)
    answer = house.http.post("/v1/mastering/jobs", json=body)
    assert answer.status_code == 202, answer.text
    accepted: Mapping[str, Any] = answer.json()
    return accepted


def requests(house: House) -> list[MasteringRequested]:
    found = [envelope.event for envelope in house.events("mastering-requested")]
    return [event for event in found if isinstance(event, MasteringRequested)]


WORDS = Words(en="Because.", ru="Потому.")
BECAUSE = Because(measurement="balance.named.bass.deviationDb", value=5.0, threshold=3.0)


def decision() -> Decision:
    moves = (
        Move(
            id="heavy-bass",
            rule="heavy-bass",
            module="dynamic_eq",
            parameters={"hz": 90.0, "rangeDb": -4.0},
            because=BECAUSE,
            confidence=0.8,
            words=WORDS,
        ),
        Move(
            id="air",
            rule="air",
            module="eq",
            parameters={"kind": "high_shelf", "hz": 10_000.0, "db": 1.5},
            because=BECAUSE,
            confidence=0.6,
            words=WORDS,
        ),
    )
    return Decision(
        preset="streaming",
        target=Target(lufs=-14.0, true_peak_dbtp=-1.0, most_limiting_db=6.0),
        moves=moves,
        predicted=(
            Prediction(
                measurement="loudness.integratedLufs",
                before=-18.0,
                after=-14.0,
                tolerance=0.1,
                unit="LUFS",
            ),
        ),
        chain=Chain(),
        made_by=Provenance(revision=1, rules_sha256="ab" * 32, files=("rules.yaml",)),
    )


def finish(house: House, job_id: str) -> Work:
    """What the stages do."""
    job = house.job(job_id)
    work, wanted = house.work(job_id), job.mastering
    assert wanted is not None
    if work.from_stage == "analysis":
        work = extend(work, house.artifact("analysis-before", b"{}", "application/json"))
        house.happens(Analyzed(work=work, mastering=wanted, lufs=-18.0), source="analysis")
    work = extend(work, house.artifact("decision", decision().to_json(), "application/json"))
    house.happens(Decided(work=work, mastering=wanted, moves=2), source="decision")
    work = extend(
        work,
        house.artifact("master", b"RIFF", "audio/wav"),
        house.artifact("report", b"{}", "application/json"),
    )
    house.happens(
        Mastered(work=work, mastering=wanted, lufs=-14.0, true_peak=-1.02, shortfalls=0),
        source="rendering",
    )
    return work


class TestUpload:
    @pytest.mark.parametrize(
        ("format_", "media"),
        [("WAV", "audio/wav"), ("WAV", "audio/x-wav"), ("AIFF", "audio/aiff"),
         ("FLAC", "audio/flac"), ("RF64", "audio/vnd.wave")],
    )  # fmt: skip
    def test_what_is_mastered_is_taken(self, house: House, format_: str, media: str) -> None:
        uploaded(house, sound(format_), media)
        (event,) = (envelope.event for envelope in house.events("upload-completed"))
        assert isinstance(event, UploadCompleted)
        assert event.purpose == "mastering"

    @pytest.mark.parametrize("media", ["audio/mpeg", "application/octet-stream", "audio/ogg"])
    def test_other_types_are_refused_at_once(self, house: House, media: str) -> None:
        body = {"filename": "a", "contentType": media, "sizeBytes": 9, "purpose": "mastering"}
        answer = house.http.post("/v1/uploads", json=body)
        found = problem(answer, 422, "upload_not_for_mastering")
        assert found["errors"][0]["pointer"] == "#/contentType"

    def test_a_file_of_another_format_under_a_good_name_is_removed(self, house: House) -> None:
        data = b"OggS" + bytes(24) + b"OpusHead" + bytes(100)
        answer = _completed(house, data)
        problem(answer, 422, "upload_not_for_mastering")
        assert not [*house.artifacts.keys("uploads/")]

    def test_a_file_over_the_size_is_refused(self, small: House) -> None:
        body = {"filename": "a.wav", "contentType": "audio/wav", "sizeBytes": 5001}
        assert small.http.post("/v1/uploads", json=body).status_code == 201
        answer = small.http.post("/v1/uploads", json=body | {"purpose": "mastering"})
        assert problem(answer, 413, "upload_too_large")["maxBytes"] == 5000

    @pytest.mark.parametrize("format_", ["WAV", "AIFF", "FLAC"])
    def test_a_song_over_the_length_is_refused(self, small: House, format_: str) -> None:
        data = sound(format_, seconds=1.2, rate=1000) if format_ != "FLAC" else sound("FLAC", 1.2)
        found = problem(_completed(small, data), 422, "upload_too_long")
        assert "removed" in found["detail"]


@pytest.fixture
def small(tmp_path: Path) -> Iterator[House]:
    """A gateway with tight limits."""
    limits = settings(
        mastering_max_bytes=5000, mastering_max_seconds=1.0, mastering_jobs_per_client=1
    )
    built = House(tmp_path, settings=limits)
    yield built
    built.close()


def _completed(house: House, data: bytes) -> Any:
    body = {"filename": "song.wav", "contentType": "audio/wav", "purpose": "mastering"}
    made = house.http.post("/v1/uploads", json=body | {"sizeBytes": len(data)}).json()
    put = house.http.put(made["parts"][0]["url"], content=data)
    parts = [{"partNumber": 1, "etag": put.headers["ETag"]}]
    return house.http.post(f"/v1/uploads/{made['uploadId']}/complete", json={"parts": parts})


class TestLength:
    @pytest.mark.parametrize("format_", ["WAV", "RF64", "AIFF", "FLAC"])
    @pytest.mark.parametrize("rate", [44_100, 96_000])
    def test_is_read_from_the_first_bytes(self, format_: str, rate: int) -> None:
        data = sound(format_, 0.75, rate)
        assert stated_seconds(data, format_.lower(), len(data)) == pytest.approx(0.75, abs=0.01)

    def test_a_data_chunk_without_its_size_is_as_long_as_the_file(self) -> None:
        data = WAV[:40] + bytes(4) + WAV[44:]
        assert stated_seconds(data, "wav", len(data)) == 0.125

    @pytest.mark.parametrize("format_", ["wav", "aiff", "flac", "mp3"])
    @pytest.mark.parametrize("data", [b"", b"RIFF", b"fLaC" + bytes(60), b"FORM" + b"\xff" * 60])
    def test_nonsense_tells_nothing(self, format_: str, data: bytes) -> None:
        assert stated_seconds(data, format_, len(data)) is None

    def test_an_infinite_rate_tells_nothing(self) -> None:
        head = b"FORM" + bytes(4) + b"AIFF" + b"COMM" + (18).to_bytes(4) + bytes(8)
        assert stated_seconds(head + b"\x40\x0e" + b"\xff" * 8, "aiff", 100) == 0.0
        assert stated_seconds(head + b"\x7f\xfe" + b"\xff" * 8, "aiff", 100) is None
        assert stated_seconds(head + b"\x7f\xff" + b"\xff" * 8, "aiff", 100) is None


class TestAsking:
    def test_a_job_is_accepted_and_shown_at_once(self, house: House) -> None:
        asset = uploaded(house)
        answer = house.http.post(
            "/v1/mastering/jobs",
            json={"assetId": asset, "preset": "loud", "target": {"lufs": -9, "truePeak": -0.5}},
        )
        assert answer.status_code == 202
        body = answer.json()
        assert answer.headers["Location"] == f"/v1/mastering/jobs/{body['jobId']}"
        assert int(answer.headers["Retry-After"]) > 0
        seen = house.http.get(answer.headers["Location"]).json()
        assert (seen["status"], seen["attempts"], seen["progress"]) == ("queued", 1, 0)
        assert (seen["preset"], seen["target"]) == ("loud", {"lufs": -9, "truePeak": -0.5})
        assert [step["step"] for step in seen["steps"]] == ["analyze", "decide", "render"]
        assert seen["artifacts"] == {}
        (event,) = requests(house)
        assert event.work.artifacts[0].name == "source"
        assert (event.mastering.client, event.mastering.songs) == ("tests", 1)
        assert (event.work.title, event.mastering.asset_ids) == ("song", (asset,))
        generic = house.http.get(f"/v1/jobs/{body['jobId']}").json()
        assert (generic["kind"], generic["stage"]) == ("mastering", "analysis")
        assert house.http.get("/v1/jobs?step=analyze").json()["jobs"][0]["jobId"] == body["jobId"]

    def test_an_album_and_a_reference(self, house: House) -> None:
        songs = [uploaded(house), uploaded(house)]
        reference = house.upload(b"ID3" + bytes(200), "hit.mp3", contentType="audio/mpeg")
        asked(
            house,
            assetIds=songs,
            referenceAssetId=reference,
            reference={"amount": 0.5, "without": ["width"]},
        )
        (event,) = requests(house)
        names = [artifact.name for artifact in event.work.artifacts]
        assert names == ["source.1", "source.2", "reference"]
        assert (event.mastering.songs, event.mastering.asset_ids) == (2, tuple(songs))
        assert event.mastering.reference_amount == 0.5
        assert event.mastering.reference_without == ("width",)

    @pytest.mark.parametrize(
        ("body", "pointer"),
        [
            ({}, "#"),
            ({"assetId": "a", "objectKey": "b"}, "#"),
            ({"assetIds": []}, "#/assetIds"),
            ({"assetIds": ["a"] * 31}, "#/assetIds"),
            ({"assetId": "a", "target": {"lufs": 3}}, "#/target/lufs"),
            ({"assetId": "a", "target": {"truePeak": 0.5}}, "#/target/truePeak"),
            ({"assetId": "a", "target": {"lufs": "loud"}}, "#/target/lufs"),
            ({"assetId": "a", "preset": "metal"}, "#/preset"),
            ({"assetId": "a", "reference": {"amount": 0.5}}, "#"),
            ({"assetId": "a", "referenceAssetId": "b", "referenceObjectKey": "c"}, "#"),
            (
                {"assetId": "a", "referenceAssetId": "b", "reference": {"amount": 2}},
                "#/reference/amount",
            ),
            ({"assetId": "a", "format": "flac", "bits": 32}, "#"),
            ({"assetId": "a", "bits": 12}, "#/bits"),
            ({"assetId": "a", "surprise": 1}, "#/surprise"),
        ],
    )
    def test_bad_requests_name_the_field(self, house: House, body: Any, pointer: str) -> None:
        found = problem(house.http.post("/v1/mastering/jobs", json=body), 422, "validation_failed")
        assert found["errors"][0]["pointer"] == pointer
        assert not requests(house)

    def test_unknown_assets_and_formats_are_refused(self, house: House) -> None:
        post = house.http.post
        problem(post("/v1/mastering/jobs", json={"assetId": "ast_no"}), 404, "asset_not_found")
        body = {"assetId": uploaded(house), "referenceAssetId": "ast_no"}
        problem(post("/v1/mastering/jobs", json=body), 404, "asset_not_found")
        mp3 = house.upload(b"ID3" + bytes(200), "song.mp3", contentType="audio/mpeg")
        answer = post("/v1/mastering/jobs", json={"assetId": mp3})
        problem(answer, 422, "upload_not_for_mastering")

    def test_a_key_makes_it_safe_to_ask_again(self, house: House) -> None:
        body, key = {"assetId": uploaded(house)}, {"Idempotency-Key": "k1"}
        first = house.http.post("/v1/mastering/jobs", json=body, headers=key)
        again = house.http.post("/v1/mastering/jobs", json=body, headers=key)
        assert again.json() == first.json()
        assert again.headers["Idempotency-Replayed"] == "true"
        assert len(requests(house)) == 1
        other = house.http.post("/v1/mastering/jobs", json=body | {"preset": "loud"}, headers=key)
        problem(other, 422, "idempotency_key_reused")

    def test_a_client_has_so_many_at_once(self, small: House) -> None:
        first = asked(small)
        body = {"assetId": uploaded(small)}
        refused = small.http.post("/v1/mastering/jobs", json=body)
        assert problem(refused, 429, "too_many_jobs")["limit"] == 1
        assert int(refused.headers["Retry-After"]) > 0
        other = small.client(headers={"X-Client-Id": "somebody-else"})
        assert other.post("/v1/mastering/jobs", json=body).status_code == 202
        small.imported(lyrics="la")  # a karaoke job does not count
        small.http.post(f"/v1/jobs/{first['jobId']}/cancel")
        assert small.http.post("/v1/mastering/jobs", json=body).status_code == 202


class TestFirstService:
    """The paths and bodies of the seed."""

    def test_presign_put_ask_poll(self, house: House) -> None:
        presign = {
            "filename": "mix.wav",
            "contentType": "audio/wav",
            "sizeBytes": len(WAV),
            "purpose": "mastering",
        }
        made = house.http.post("/uploads/presign", json=presign)
        assert made.status_code == 201
        upload = made.json()
        house.http.put(upload["parts"][0]["url"], content=WAV)
        answer = house.http.post("/jobs", json={"objectKey": upload["objectKey"]})
        assert answer.status_code == 202
        job_id = answer.json()["jobId"]
        assert house.http.get(f"/jobs/{job_id}").json()["status"] == "queued"
        house.progress(job_id, 0.5, "analysis")
        assert house.http.get(f"/jobs/{job_id}").json()["status"] == "processing"
        finish(house, job_id)
        done = house.http.get(f"/jobs/{job_id}").json()
        assert done["status"] == "done"
        assert house.http.get(done["artifacts"]["master"]["url"]).content == b"RIFF"
        # a second job of the same object finds the asset that the first one made
        assert house.http.post("/jobs", json={"objectKey": upload["objectKey"]}).status_code == 202

    def test_an_object_that_is_not_there(self, house: House) -> None:
        for key in ("uploads/default/upl_no", "uploads/other/x", "../../etc/passwd"):
            answer = house.http.post("/jobs", json={"objectKey": key})
            problem(answer, 404, "object_key_unknown")
        presign = {"filename": "a.wav", "contentType": "audio/wav", "sizeBytes": 99}
        upload = house.http.post("/uploads/presign", json=presign).json()
        answer = house.http.post("/jobs", json={"objectKey": upload["objectKey"]})
        problem(answer, 422, "upload_parts_missing")

    def test_karaoke_jobs_keep_their_alias(self, house: House) -> None:
        job_id = house.imported(lyrics="la")["jobId"]
        assert house.http.get(f"/jobs/{job_id}").json()["state"] == "queued"
        assert house.http.get("/jobs").json()["jobs"][0]["jobId"] == job_id


class TestLooking:
    def test_a_finished_job_links_what_it_made(self, house: House) -> None:
        job_id = asked(house)["jobId"]
        finish(house, job_id)
        seen = house.http.get(f"/v1/mastering/jobs/{job_id}").json()
        assert (seen["status"], seen["progress"]) == ("done", 1)
        assert seen["result"] == {"lufs": -14.0, "truePeak": -1.02, "shortfalls": 0}
        assert set(seen["artifacts"]) == {"analysis-before", "decision", "master", "report"}
        other = house.client("10.1.2.3")
        problem(other.get(seen["artifacts"]["master"]["url"]), 403, "url_other_address")

    def test_a_failure_is_told_in_words(self, house: House) -> None:
        accepted = asked(house)
        job = house.job(accepted["jobId"])
        house.happens(
            JobFailed(
                job_id=job.job_id,
                track_id=job.track_id,
                stage="analysis",
                code="truncated",
                message="The file is cut off.",
            )
        )
        seen = house.http.get(f"/v1/mastering/jobs/{job.job_id}").json()
        assert seen["status"] == "failed"
        assert seen["lastError"] == {
            "step": "analyze",
            "code": "truncated",
            "message": "The file is cut off.",
        }
        answer = house.http.post(f"/v1/jobs/{job.job_id}/retry")
        assert answer.status_code == 202, answer.text
        again = requests(house)[-1]
        assert (again.reason, again.work.attempt, again.work.from_stage) == ("retry", 2, "analysis")
        (retried,) = (envelope.event for envelope in house.events("job-retried"))
        assert isinstance(retried, JobRetried)
        seen = house.http.get(f"/v1/mastering/jobs/{job.job_id}").json()
        assert (seen["status"], seen["attempts"]) == ("processing", 2)
        assert not house.events("reprocess-requested")

    def test_a_cancel_is_a_failure_with_its_own_word(self, house: House) -> None:
        job_id = asked(house)["jobId"]
        assert house.http.post(f"/v1/jobs/{job_id}/cancel").json()["state"] == "canceled"
        seen = house.http.get(f"/v1/mastering/jobs/{job_id}").json()
        assert (seen["status"], seen["lastError"]["code"]) == ("failed", "canceled")

    def test_masters_are_no_tracks_and_tracks_no_masters(self, house: House) -> None:
        accepted, track = asked(house), house.imported(lyrics="la")
        problem(house.http.get(f"/v1/mastering/jobs/{track['jobId']}"), 404, "job_not_found")
        for path in ("", "/ready", "/versions"):
            answer = house.http.get(f"/v1/tracks/{accepted['masterId']}{path}")
            problem(answer, 404, "track_not_found")

    def test_the_list_holds_masters_alone_and_goes_on(self, house: House) -> None:
        ids = []
        for _ in range(3):
            house.clock.forward(1)
            ids.append(asked(house)["jobId"])
            house.clock.forward(1)
            house.imported(lyrics="la")
        finish(house, ids[0])
        seen, cursor = [], None
        while True:
            query = {"limit": 2} | ({"cursor": cursor} if cursor else {})
            page = house.http.get("/v1/mastering/jobs", params=query).json()
            assert len(page["jobs"]) <= 2
            seen += [job["jobId"] for job in page["jobs"]]
            cursor = page.get("cursor")
            if cursor is None:
                break
        assert seen == ids[::-1]
        done = house.http.get("/v1/mastering/jobs?status=done").json()["jobs"]
        assert [job["jobId"] for job in done] == ids[:1]
        assert house.http.get("/v1/mastering/jobs?cursor=x").status_code == 422


class TestOverrides:
    def patch(self, house: House, job_id: str, *changes: Any, **more: Any) -> Any:
        body = {"changes": list(changes)} | more
        return house.http.patch(f"/v1/mastering/jobs/{job_id}/decision", json=body)

    def test_a_changed_move_is_a_new_version(self, house: House) -> None:
        first = asked(house)
        before = finish(house, first["jobId"])
        answer = self.patch(
            house,
            first["jobId"],
            {"move": "heavy-bass", "drop": True},
            {"move": "air", "parameters": {"db": 0.5}},
        )
        assert answer.status_code == 202, answer.text
        second = answer.json()
        assert (second["masterId"], second["version"]) == (first["masterId"], 2)
        event = requests(house)[-1]
        assert (event.reason, event.work.from_stage, event.work.parent) == (
            "overrides",
            "decision",
            1,
        )
        kept = {artifact.name for artifact in event.work.artifacts}
        assert kept == {"source", "analysis-before"}
        (overrides,) = event.mastering.overrides
        document = Overrides.from_json(house.artifacts.read(overrides.uri))
        assert [(c.move, c.drop, c.parameters) for c in document.changes] == [
            ("heavy-bass", True, {}),
            ("air", False, {"db": 0.5}),
        ]
        seen = house.http.get(f"/v1/mastering/jobs/{second['jobId']}").json()
        assert [step["step"] for step in seen["steps"]] == ["decide", "render"]
        finish(house, second["jobId"])
        old = house.http.get(f"/v1/mastering/jobs/{first['jobId']}").json()
        assert set(old["artifacts"]) == {a.name for a in before.artifacts} - {"source"}

    def test_changes_add_up(self, house: House) -> None:
        first = asked(house)["jobId"]
        finish(house, first)
        second = self.patch(
            house,
            first,
            {"move": "air", "parameters": {"db": 0.5}},
            {"move": "heavy-bass", "drop": True},
        ).json()["jobId"]
        finish(house, second)
        self.patch(house, second, {"move": "air", "parameters": {"hz": 9000}})
        (overrides,) = requests(house)[-1].mastering.overrides
        document = json.loads(house.artifacts.read(overrides.uri))
        changes = {each["move"]: each for each in document["changes"]}
        assert changes["air"]["parameters"] == {"db": 0.5, "hz": 9000}
        assert changes["heavy-bass"]["drop"] is True

    @pytest.mark.parametrize(
        ("changes", "more", "pointer"),
        [
            ([], {}, "#/changes"),
            ([{"move": "nonsense", "drop": True}], {}, "#/changes/0/move"),
            ([{"move": "air"}], {}, "#/changes/0"),
            ([{"move": "air", "parameters": {"db": 40}}], {}, "#/changes/0/parameters/db"),
            ([{"move": "air", "parameters": {"what": 1}}], {}, "#/changes/0/parameters/what"),
            ([{"move": "air", "drop": True}], {"song": 2}, "#/song"),
        ],
    )
    def test_what_no_move_can_take_is_refused(
        self, house: House, changes: list[Any], more: Any, pointer: str
    ) -> None:
        job_id = asked(house)["jobId"]
        finish(house, job_id)
        found = problem(self.patch(house, job_id, *changes, **more), 422, "validation_failed")
        assert found["errors"][0]["pointer"] == pointer
        assert len(requests(house)) == 1

    def test_an_unfinished_job_has_no_decision_to_change(self, house: House) -> None:
        job_id = asked(house)["jobId"]
        answer = self.patch(house, job_id, {"move": "air", "drop": True})
        assert problem(answer, 409, "master_unfinished")["state"] == "queued"
        answer = self.patch(house, "mas_no", {"move": "air", "drop": True})
        problem(answer, 404, "job_not_found")

    def test_a_key_makes_it_safe_to_ask_again(self, house: House) -> None:
        job_id = asked(house)["jobId"]
        finish(house, job_id)
        ask = {"json": {"changes": [{"move": "air", "drop": True}]}}
        url, key = f"/v1/mastering/jobs/{job_id}/decision", {"Idempotency-Key": "p1"}
        first = house.http.patch(url, **ask, headers=key).json()
        assert house.http.patch(url, **ask, headers=key).json() == first
        assert len(requests(house)) == 2


def test_a_request_without_a_client_is_refused(house: House) -> None:
    for path in ("/v1/mastering/jobs", "/v1/mastering/jobs/mas_1"):
        problem(house.client(headers={}).get(path), 400, "client_id_missing")


@pytest.mark.parametrize(
    "name",
    ["analysis-1", "decision-1", "overrides-1", "report-1", "checks-1", "audio_manifest_v1"],
)
def test_the_documents_have_their_schemas(house: House, name: str) -> None:
    schema = house.client(headers={}).get(f"/v1/schemas/{name}.json").json()
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["$id"].endswith(f"/v1/schemas/{name}.json")
    if name == "decision-1":
        jsonschema.validate(json.loads(decision().to_json()), schema)


def test_a_document_that_there_is_not_has_no_schema(house: House) -> None:
    problem(house.http.get("/v1/schemas/nonsense-1.json"), 422, "validation_failed")
