from __future__ import annotations

import hashlib
from typing import Any

import pytest

from gateway.uploading import part_size, sweep
from tests.gateway.house import WAV, House, problem, settings

MIB = 1024 * 1024


def begin(house: House, **changes: Any) -> dict[str, Any]:
    body = {"filename": "song.wav", "contentType": "audio/wav", "sizeBytes": len(WAV)} | changes
    answer = house.http.post("/v1/uploads", json=body)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def put(house: House, url: str, data: bytes) -> str:
    answer = house.http.put(url, content=data)
    assert answer.status_code == 200, answer.text
    return answer.headers["ETag"]


def complete(house: House, upload_id: str, *etags: str) -> Any:
    parts = [{"partNumber": n, "etag": etag} for n, etag in enumerate(etags, 1)]
    return house.http.post(f"/v1/uploads/{upload_id}/complete", json={"parts": parts})


def test_an_upload_becomes_an_asset_and_an_event(house: House) -> None:
    promised = hashlib.sha256(WAV).hexdigest()
    made = begin(house, sha256=promised.upper(), filename="../../etc/my song.wav")
    assert [part["partNumber"] for part in made["parts"]] == [1]
    assert made["parts"][0]["expiresAt"] == "2026-01-01T00:15:00.000Z"
    done = complete(house, made["uploadId"], put(house, made["parts"][0]["url"], WAV))
    assert done.status_code == 200
    (envelope,) = house.events("upload-completed")
    event = envelope.event
    assert event.to_wire()["assetId"] == done.json()["assetId"]
    assert event.to_wire()["filename"] == "my song.wav"
    assert event.to_wire()["format"] == "wav"
    assert event.to_wire()["source"]["sha256"] == promised
    assert event.to_wire()["source"]["bytes"] == len(WAV)


def test_completing_twice_gives_the_same_asset_and_one_event(house: House) -> None:
    made = begin(house)
    etag = put(house, made["parts"][0]["url"], WAV)
    first, second = (complete(house, made["uploadId"], etag) for _ in range(2))
    assert first.json() == second.json()
    assert len(house.events("upload-completed")) == 1


def test_a_completion_that_died_halfway_is_finished_by_the_next(house: House) -> None:
    made = begin(house)
    etag = put(house, made["parts"][0]["url"], WAV)
    upload = house.reservations.upload("default", made["uploadId"])
    assert upload is not None
    house.artifacts.complete_upload(upload.key, upload.store_upload, [(1, etag)])
    assert complete(house, made["uploadId"], etag).json() == {"assetId": upload.asset_id}


def test_parts_come_in_any_order_and_over_broken_connections(house: House) -> None:
    size = house.settings.part_size
    data = WAV + bytes(2 * size)
    made = begin(house, sizeBytes=len(data))
    first, second, third = (part["url"] for part in made["parts"])
    etags = {3: put(house, third, data[2 * size :]), 1: put(house, first, data[:size])}
    state = house.http.get(f"/v1/uploads/{made['uploadId']}").json()
    assert [part["partNumber"] for part in state["parts"]] == [1, 3]
    assert (state["state"], state["partCount"]) == ("open", 3)

    missing = problem(
        complete(house, made["uploadId"], etags[1], etags[3]), 422, "upload_parts_missing"
    )
    assert missing["missing"] == [3]
    house.clock.forward(901)
    problem(house.http.put(second, content=data[size : 2 * size]), 403, "url_expired")
    again = house.http.post(f"/v1/uploads/{made['uploadId']}/parts", json={"partNumbers": [2]})
    etags[2] = put(house, again.json()["parts"][0]["url"], data[size : 2 * size])
    assert complete(house, made["uploadId"], etags[1], etags[2], etags[3]).status_code == 200


def test_a_part_that_never_came_is_missing(house: House) -> None:
    made = begin(house)
    problem(complete(house, made["uploadId"], '"0" * 32'), 422, "upload_parts_missing")


def test_a_shorter_object_than_promised_is_removed(house: House) -> None:
    made = begin(house, sizeBytes=len(WAV))
    etag = put(house, made["parts"][0]["url"], WAV[:-1])
    first = problem(complete(house, made["uploadId"], etag), 422, "upload_size_mismatch")
    assert str(len(WAV)) in first["detail"]
    again = problem(complete(house, made["uploadId"], etag), 422, "upload_size_mismatch")
    assert again["detail"] == first["detail"]
    assert list(house.artifacts.keys("uploads")) == []
    assert house.events("upload-completed") == []


@pytest.mark.parametrize(
    "data",
    [b"%PDF-1.7 not a song" * 100, b"\0", b"<html>" + bytes(2000), b"MZ" + bytes(500)],
    ids=["pdf", "one byte", "html", "program"],
)
def test_what_is_not_audio_is_removed(house: House, data: bytes) -> None:
    made = begin(house, sizeBytes=len(data))
    etag = put(house, made["parts"][0]["url"], data)
    problem(complete(house, made["uploadId"], etag), 422, "upload_not_audio")
    assert list(house.artifacts.keys("uploads")) == []
    state = house.http.get(f"/v1/uploads/{made['uploadId']}").json()
    assert state["state"] == "aborted"


def test_a_part_larger_than_signed_is_refused(house: House) -> None:
    made = begin(house)
    problem(house.http.put(made["parts"][0]["url"], content=WAV + b"!"), 413, "body_too_large")


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"sizeBytes": 0}, "#/sizeBytes"),
        ({"sizeBytes": "12"}, "#/sizeBytes"),
        ({"sizeBytes": 1.5}, "#/sizeBytes"),
        ({"sizeBytes": True}, "#/sizeBytes"),
        ({"filename": ""}, "#/filename"),
        ({"filename": ["a"]}, "#/filename"),
        ({"filename": "a" * 2000}, "#/filename"),
        ({"sha256": "xyz"}, "#/sha256"),
        ({"purpose": "world domination"}, "#/purpose"),
        ({"surprise": 1}, "#/surprise"),
    ],
)
def test_wrong_fields_are_named(house: House, change: dict[str, Any], pointer: str) -> None:
    body = {"filename": "a.wav", "contentType": "audio/wav", "sizeBytes": 10} | change
    found = problem(house.http.post("/v1/uploads", json=body), 422, "validation_failed")
    assert pointer in [error["pointer"] for error in found["errors"]]


@pytest.mark.parametrize("content_type", ["video/mp4", "text/html", "audio/", "image/png"])
def test_only_audio_types_are_taken(house: House, content_type: str) -> None:
    body = {"filename": "a.wav", "contentType": content_type, "sizeBytes": 10}
    problem(house.http.post("/v1/uploads", json=body), 422, "upload_type_refused")


def test_browsers_that_know_no_type_may_say_octet_stream(house: House) -> None:
    assert begin(house, contentType="application/octet-stream")["parts"]


def test_a_song_over_the_limit_is_refused_at_once(house: House) -> None:
    body = {
        "filename": "a.wav",
        "contentType": "audio/wav",
        "sizeBytes": house.settings.max_upload_bytes + 1,
    }
    found = problem(house.http.post("/v1/uploads", json=body), 413, "upload_too_large")
    assert found["maxBytes"] == house.settings.max_upload_bytes


def test_aborting_removes_the_parts_and_ends_the_upload(house: House) -> None:
    made = begin(house)
    url = f"/v1/uploads/{made['uploadId']}"
    etag = put(house, made["parts"][0]["url"], WAV)
    assert house.http.delete(url).status_code == 204
    assert house.http.delete(url).status_code == 204
    assert house.http.get(url).json()["state"] == "aborted"
    problem(house.http.post(f"{url}/parts", json={"partNumbers": [1]}), 409, "upload_ended")
    problem(complete(house, made["uploadId"], etag), 409, "upload_ended")
    problem(house.http.put(made["parts"][0]["url"], content=WAV), 409, "upload_ended")


def test_a_completed_upload_cannot_be_aborted(house: House) -> None:
    made = begin(house)
    complete(house, made["uploadId"], put(house, made["parts"][0]["url"], WAV))
    found = problem(house.http.delete(f"/v1/uploads/{made['uploadId']}"), 409, "upload_ended")
    assert found["assetId"].startswith("ast_")


@pytest.mark.parametrize("number", [0, 2, 10_001])
def test_parts_outside_the_upload_are_not_signed(house: House, number: int) -> None:
    made = begin(house)
    problem(
        house.http.post(f"/v1/uploads/{made['uploadId']}/parts", json={"partNumbers": [number]}),
        422,
        "validation_failed",
    )


def test_unknown_uploads(house: House) -> None:
    for path in ("/v1/uploads/upl_unknown", "/v1/uploads/..%2F..%2Fetc%2Fpasswd"):
        assert house.http.get(path).status_code == 404
        assert house.http.delete(path).status_code == 404
    problem(complete(house, "upl_unknown", "x"), 404, "upload_not_found")


def test_uploads_that_nobody_finishes_are_swept(house: House) -> None:
    made = begin(house)
    put(house, made["parts"][0]["url"], WAV)
    assert sweep(house.services) == 0
    house.clock.forward(house.settings.upload_ttl_seconds + 1)
    assert sweep(house.services) == 1
    assert house.http.get(f"/v1/uploads/{made['uploadId']}").json()["state"] == "aborted"


def test_a_replayed_upload_is_the_same_with_urls_that_work(house: House) -> None:
    body = {"filename": "song.wav", "contentType": "audio/wav", "sizeBytes": len(WAV)}
    key = {"Idempotency-Key": "one"}
    first = house.http.post("/v1/uploads", json=body, headers=key)
    house.clock.forward(1200)
    again = house.http.post("/v1/uploads", json=body, headers=key)
    assert again.status_code == 201
    assert again.json()["uploadId"] == first.json()["uploadId"]
    assert again.headers["Idempotency-Replayed"] == "true"
    put(house, again.json()["parts"][0]["url"], WAV)


def test_signed_urls_are_kept_in_no_table(house: House) -> None:
    house.http.post(
        "/v1/uploads",
        json={"filename": "song.wav", "contentType": "audio/wav", "sizeBytes": 10},
        headers={"Idempotency-Key": "one"},
    )
    for file in house.folder.glob("*.db*"):
        assert b"signature=" not in file.read_bytes(), file


@pytest.mark.parametrize(
    ("size", "expected"),
    [(1, 8 * MIB), (80_000 * MIB, 8 * MIB), (80_001 * MIB, 9 * MIB), (10**12, 96 * MIB)],
)
def test_parts_grow_for_songs_of_too_many(size: int, expected: int) -> None:
    assert part_size(size, settings().part_size) == expected
