"""The paths that an unmodified Uppy asks for; Uppy itself is in `tests.uppy`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gateway.uploading import sweep
from tests.gateway.access.conftest import Guarded, guarded_house
from tests.gateway.house import WAV, House, settings

S3 = "/s3/multipart"


def begin(house: House, **more: Any) -> dict[str, Any]:
    body = {"filename": "song.wav", "type": "audio/wav", "metadata": {"name": "song.wav"}} | more
    answer = house.client(headers={}).post(S3, json=body)
    assert answer.status_code == 200, answer.text
    made: dict[str, Any] = answer.json()
    assert made["key"] == f"uploads/default/{made['uploadId']}"
    return made


def send(house: House, made: dict[str, Any], number: int, data: bytes) -> dict[str, Any]:
    path = f"{S3}/{made['uploadId']}/{number}"
    signed = house.client(headers={}).get(path, params={"key": made["key"]})
    assert signed.status_code == 200, signed.text
    put = house.client(headers={}).put(signed.json()["url"], content=data)
    assert put.status_code == 200, put.text
    return {"PartNumber": number, "ETag": put.headers["ETag"]}


def complete(house: House, made: dict[str, Any], parts: list[dict[str, Any]]) -> Any:
    path = f"{S3}/{made['uploadId']}/complete"
    return house.client(headers={}).post(path, params={"key": made["key"]}, json={"parts": parts})


def refused(answer: Any, status: int, code: str) -> None:
    assert answer.status_code == status, answer.text
    assert answer.json()["code"] == code
    assert answer.json()["message"]


def test_a_song_of_a_size_that_nobody_said(house: House) -> None:
    made = begin(house)
    cut = 1000
    parts = [send(house, made, 2, WAV[cut:]), send(house, made, 1, WAV[:cut])]
    listed = house.client(headers={}).get(f"{S3}/{made['uploadId']}").json()
    assert [(each["PartNumber"], each["Size"]) for each in listed] == [
        (1, cut),
        (2, len(WAV) - cut),
    ]
    done = complete(house, made, sorted(parts, key=lambda each: int(each["PartNumber"])))
    assert done.status_code == 200, done.text
    (envelope,) = house.events("upload-completed")
    event: Any = envelope.event
    assert event.asset_id == done.json()["assetId"]
    assert event.source.bytes == len(WAV)
    assert done.json()["location"].endswith(f"/v1/uploads/{made['uploadId']}")
    imported = house.http.post("/v1/tracks/import", json={"assetId": event.asset_id})
    assert imported.status_code == 202


def test_parts_are_signed_together_too(house: House) -> None:
    made = begin(house)
    path = f"{S3}/{made['uploadId']}/batch"
    urls = house.client(headers={}).get(path, params={"partNumbers": "1,2"}).json()
    assert set(urls["presignedUrls"]) == {"1", "2"}
    for wrong in ("", "0", "1,x", "10001"):
        refused(
            house.client(headers={}).get(path, params={"partNumbers": wrong}),
            422,
            "validation_failed",
        )


def test_what_was_aborted_is_gone(house: House) -> None:
    made = begin(house)
    send(house, made, 1, WAV)
    client = house.client(headers={})
    assert client.delete(f"{S3}/{made['uploadId']}").status_code == 200
    refused(client.get(f"{S3}/{made['uploadId']}"), 409, "upload_ended")
    refused(client.get(f"{S3}/{made['uploadId']}/1"), 409, "upload_ended")
    refused(client.get(f"{S3}/upl_unknown"), 404, "upload_not_found")


def test_what_nobody_finished_is_swept(house: House) -> None:
    made = begin(house)
    send(house, made, 1, WAV)
    house.clock.forward(house.settings.upload_ttl_seconds + 1)
    assert sweep(house.services) == 1
    refused(house.client(headers={}).get(f"{S3}/{made['uploadId']}"), 409, "upload_ended")


def test_limits_hold_once_the_song_is_there(tmp_path: Path) -> None:
    for changes, code, status in (
        ({"max_upload_bytes": len(WAV) - 1}, "upload_too_large", 413),
        ({"quota_stored_bytes": len(WAV) - 1}, "quota_stored_bytes", 409),
    ):
        house = House(tmp_path / code, settings=settings(**changes))
        try:
            made = begin(house)
            half = len(WAV) // 2
            parts = [send(house, made, 1, WAV[:half]), send(house, made, 2, WAV[half:])]
            for _ in range(2):  # asked again, it says the same
                refused(complete(house, made, parts), status, code)
            assert house.events("upload-completed") == []
            assert list(house.artifacts.keys("uploads/")) == []
            assert house.reservations.charged("default") == 0
        finally:
            house.close()


def test_what_is_no_song_is_refused_with_a_message(house: House) -> None:
    made = begin(house)
    refused(complete(house, made, [send(house, made, 1, b"x" * 900)]), 422, "upload_not_audio")
    client = house.client(headers={})
    video = {"filename": "a.mp4", "type": "video/mp4"}
    refused(client.post(S3, json=video), 422, "upload_type_refused")
    refused(client.post(S3, json={}), 422, "validation_failed")
    wrong = {"filename": "a.wav", "type": "audio/wav", "metadata": {"sha256": "x"}}
    refused(client.post(S3, json=wrong), 422, "validation_failed")
    whole = client.get("/s3/params", params={"filename": "a.wav", "type": "audio/wav"})
    refused(whole, 422, "validation_failed")
    assert "shouldUseMultipart" in whole.json()["message"]


def test_nobody_else_comes_near_an_upload(tmp_path: Path) -> None:
    guarded = guarded_house(tmp_path)
    try:
        judge(guarded)
    finally:
        guarded.house.close()


def judge(guarded: Guarded) -> None:
    mine = guarded.client("default", scopes=("uploads:write",))
    made = mine.post(S3, json={"filename": "a.wav", "type": "audio/wav"}).json()
    paths = [
        ("GET", f"{S3}/{made['uploadId']}"),
        ("GET", f"{S3}/{made['uploadId']}/1"),
        ("GET", f"{S3}/{made['uploadId']}/batch?partNumbers=1"),
        ("POST", f"{S3}/{made['uploadId']}/complete"),
        ("DELETE", f"{S3}/{made['uploadId']}"),
    ]
    body = {"parts": [{"PartNumber": 1, "ETag": "x"}]}
    cases = (
        (guarded.house.client(headers={}), 401),
        (guarded.client("default", scopes=("uploads:read",)), 403),  # to look is not to sign
        (guarded.client("other"), 404),
    )
    for client, status in cases:
        for method, path in paths:
            answer = client.request(method, path, json=body if method == "POST" else None)
            assert answer.status_code == status, (method, path, answer.text)
    assert mine.get(f"{S3}/{made['uploadId']}/1").status_code == 200
