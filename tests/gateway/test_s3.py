"""The gateway over a bucket: it signs and checks, the bytes go past it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.gateway.house import WAV, House, settings
from tests.topics.artifacts import servers
from topics.artifacts.s3 import S3Store

pytestmark = pytest.mark.stack

MIB = 1024 * 1024
SONG = WAV + bytes(5 * MIB)


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, str]]:
    with servers.s3proxy(tmp_path_factory.mktemp("s3")) as address:
        yield address


@pytest.fixture
def store(address: Mapping[str, str]) -> S3Store:
    return servers.store(address, ip_binding="report")


@pytest.fixture
def house(tmp_path: Path, store: S3Store) -> Iterator[House]:
    built = House(tmp_path, settings=settings(part_size=5 * MIB), elsewhere=store)
    yield built
    built.close()


def begin(house: House, size: int) -> dict[str, Any]:
    body = {"filename": "song.wav", "contentType": "audio/wav", "sizeBytes": size}
    answer = house.http.post("/v1/uploads", json=body)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def send(made: dict[str, Any], data: bytes) -> list[dict[str, Any]]:
    """PUT every part to where its URL points; what the completion names."""
    etags = []
    for part in made["parts"]:
        start = (part["partNumber"] - 1) * made["partSizeBytes"]
        sent = httpx.put(part["url"], content=data[start : start + made["partSizeBytes"]])
        assert sent.status_code == 200, sent.text
        etags.append({"partNumber": part["partNumber"], "etag": sent.headers["ETag"]})
    return etags


def complete(house: House, made: dict[str, Any], parts: list[dict[str, Any]]) -> httpx.Response:
    return house.http.post(f"/v1/uploads/{made['uploadId']}/complete", json={"parts": parts})


def test_a_song_goes_to_the_bucket_and_its_stems_come_from_there(
    house: House, store: S3Store, address: Mapping[str, str]
) -> None:
    made = begin(house, len(SONG))
    assert [part["partNumber"] for part in made["parts"]] == [1, 2]
    assert all(part["url"].startswith(address["S3_ENDPOINT"]) for part in made["parts"])
    parts = send(made, SONG)
    state = house.http.get(f"/v1/uploads/{made['uploadId']}").json()
    assert [part["sizeBytes"] for part in state["parts"]] == [5 * MIB, len(WAV)]
    done = complete(house, made, parts)
    assert done.status_code == 200, done.text
    assert complete(house, made, parts).json() == done.json()
    (envelope,) = house.events("upload-completed")
    source = envelope.event.to_wire()["source"]
    assert (source["bytes"], store.read(source["uri"])) == (len(SONG), SONG)

    body = {"assetId": done.json()["assetId"], "lyrics": "Twinkle twinkle\nlittle star"}
    accepted = house.http.post("/v1/tracks/import", json=body)
    assert accepted.status_code == 202, accepted.text
    house.publish(accepted.json()["jobId"])
    ready = house.http.get(f"/v1/tracks/{accepted.json()['trackId']}/ready").json()
    assert ready["minusUrl"].startswith(address["S3_ENDPOINT"])
    assert "x-melisma-address=127.0.0.1" in ready["minusUrl"]
    sent = httpx.get(ready["minusUrl"], headers={"Range": "bytes=5-9"})
    assert (sent.status_code, sent.content) == (206, b"minus")
    assert "attachment" in sent.headers["Content-Disposition"]


def test_the_gateway_has_no_store_of_its_own(house: House) -> None:
    assert house.http.get("/v1/store/uploads/default/x?expires=1").status_code == 404
    ready = house.http.get("/readyz")
    assert ready.status_code == 200, ready.text


def test_what_is_not_audio_is_removed(house: House, store: S3Store) -> None:
    made = begin(house, 1000)
    refused = complete(house, made, send(made, b"#" * 1000))
    assert (refused.status_code, refused.json()["code"]) == (422, "upload_not_audio")
    assert not [key for key in store.keys("uploads/") if key.endswith(made["uploadId"])]


def test_parts_can_be_signed_again_and_an_upload_dropped(house: House, store: S3Store) -> None:
    made = begin(house, len(SONG))
    again = house.http.post(f"/v1/uploads/{made['uploadId']}/parts", json={"partNumbers": [2]})
    (part,) = again.json()["parts"]
    assert httpx.put(part["url"], content=WAV).status_code == 200
    assert house.http.delete(f"/v1/uploads/{made['uploadId']}").status_code == 204
    assert house.http.get(f"/v1/uploads/{made['uploadId']}").json()["parts"] == []
    assert [key for key, _ in store.stale_uploads(-1) if key.endswith(made["uploadId"])] == []


def test_a_bucket_that_is_gone_is_503_and_not_ready(
    tmp_path: Path, address: Mapping[str, str]
) -> None:
    gone = servers.store(address, s3_endpoint="http://127.0.0.1:1", s3_attempts=1)
    house = House(tmp_path, elsewhere=gone)
    try:
        body = {"filename": "song.wav", "contentType": "audio/wav", "sizeBytes": 10}
        answer = house.http.post("/v1/uploads", json=body)
        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
        assert "127.0.0.1:1" not in answer.text
        assert house.http.get("/readyz").status_code == 503
    finally:
        house.close()
