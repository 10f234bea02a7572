"""What cannot become karaoke gets its own clear answer; what only looks odd works."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import soundfile

from gateway.client import Client, Refused
from tests import songs
from tests.e2e.product import Json, Product, finish

pytestmark = pytest.mark.e2e

RATE = 44_100


def tone(seconds: float, rate: int = RATE, channels: int = 2) -> Any:
    """(frames, channels) float32"""
    wave = 0.3 * np.sin(2 * np.pi * 220 / rate * np.arange(round(seconds * rate)))
    return np.repeat(wave.astype(np.float32)[:, None], channels, axis=1)


def wav(samples: Any, rate: int = RATE, subtype: str = "PCM_16", format_: str = "WAV") -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=format_, subtype=subtype)
    return file.getvalue()


def flac(samples: Any, rate: int = RATE) -> bytes:
    return wav(samples, rate, "PCM_16", "FLAC")


def not_finite() -> bytes:
    samples = tone(4.0)
    samples[RATE : RATE + 10] = np.nan
    return wav(samples, subtype="FLOAT")


def sung() -> Any:
    """(frames, 2) float32 of the shortest song"""
    return songs.make("short", 1).mix.samples.T


def half(content: bytes) -> bytes:
    return content[: len(content) // 2]


def no_inside(text: str, product: Product) -> None:
    """Nothing of our insides is in what a client reads."""
    checkout = str(Path(__file__).parents[2])
    for mark in ("Traceback", 'File "', ".py", "site-packages", str(product.folder), checkout):
        assert mark not in text, text


def upload_refused(client: Client, product: Product, path: Path, content_type: str = "") -> Refused:
    with pytest.raises(Refused) as refused:
        client.upload(path, content_type=content_type)
    no_inside(str(refused.value.problem), product)
    assert refused.value.trace_id
    return refused.value


def failed(client: Client, product: Product, path: Path) -> Json:
    """The job of a file that is only found out when it is decoded."""
    accepted = client.import_track(client.upload(path), lyrics="la la", language="en")
    job = client.wait_for_job(accepted["jobId"], timeout_s=120)
    assert job["state"] == "failed"
    no_inside(str(job), product)
    with pytest.raises(Refused) as refused:
        client.ready(accepted["trackId"])
    assert (refused.value.status, refused.value.code) == (409, "track_failed")
    assert refused.value.problem["step"] == "separate"
    assert job["error"]["message"] in str(refused.value.problem["detail"])
    no_inside(str(refused.value.problem), product)
    error: Json = job["error"]
    return error


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"Dear band, the song is in the other mail.\n" * 50, "upload_not_audio"),
        (b"%PDF-1.7\n" + bytes(2000), "upload_not_audio"),
        (bytes(4096), "upload_not_audio"),
        (b"", "validation_failed"),
    ],
    ids=["text", "pdf", "zeros", "empty"],
)
def test_what_is_no_audio_is_refused_at_the_upload(
    content: bytes, code: str, client: Client, product: Product, tmp_path: Path
) -> None:
    path = tmp_path / "song.mp3"
    path.write_bytes(content)
    refused = upload_refused(client, product, path)
    assert (refused.status, refused.code) == (422, code)


@pytest.mark.parametrize(
    ("name", "content", "codes"),
    [
        ("header.wav", lambda: wav(tone(4))[:44], {"no_samples", "truncated"}),
        ("header.flac", lambda: flac(tone(4))[:42], {"no_samples", "truncated", "damaged"}),
        ("cut.wav", lambda: half(wav(sung())), {"truncated"}),
        ("cut.flac", lambda: half(flac(sung())), {"truncated", "damaged"}),
        (
            "cut.mp3",
            lambda: half(songs.make("mono_mp3", 1).path.read_bytes()),
            {"truncated", "damaged"},
        ),
        ("nan.wav", not_finite, {"not_finite"}),
        ("second.wav", lambda: wav(tone(1.0)), {"too_short"}),
        ("half-hour.flac", lambda: flac(tone(1800, 8000, 1), 8000), {"too_long"}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_broken_song_fails_by_name(
    name: str,
    content: Callable[[], bytes],
    codes: set[str],
    client: Client,
    product: Product,
    tmp_path: Path,
) -> None:
    path = tmp_path / name
    path.write_bytes(content())
    error = failed(client, product, path)
    assert error["code"] in codes
    assert error["step"] == "separate"
    print(f"{name}: {error['message']}")
    assert len(error["message"]) > 20


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("192khz.wav", lambda: wav(np.repeat(sung()[: 4 * RATE], 4, axis=0), 4 * 48_000)),
        ("eight.wav", lambda: wav(np.repeat(sung(), 4, axis=1))),
        ("really-flac.mp3", lambda: flac(sung())),
    ],
    ids=["192kHz", "8-channels", "wrong-extension"],
)
def test_an_odd_song_is_published(
    name: str, content: Callable[[], bytes], client: Client, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_bytes(content())
    lyrics = songs.make("short", 1).lyrics_text
    asset = client.upload(path, content_type="audio/mpeg" if path.suffix == ".mp3" else "")
    accepted = client.import_track(asset, lyrics=lyrics, language="en")
    finish(client, accepted["jobId"])
    ready = client.ready(accepted["trackId"])
    assert [line["text"] for line in ready["lyrics"]["lines"]] == lyrics.splitlines()


@pytest.fixture(scope="module")
def asset(product: Product, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A sound song on the shared product."""
    with product.client() as client:
        return client.upload(songs.make("short", 1).path)


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ({"lyrics": "la " * 10_000}, "lyrics_too_long"),
        ({"lyrics": "... ?!\n-- , .\n"}, "lyrics_without_words"),
        ({"lyrics": "🎤🎶\n🔥"}, "lyrics_without_words"),
        ({"lyrics": "la", "language": "not a language"}, "validation_failed"),
        ({"lyrics": "half a pair: \ud83c"}, "validation_failed"),
        ({"lyrics": "la", "tempo": 120}, "validation_failed"),
        ({"lyrics": "la", "callbackUrl": "http://127.0.0.1/hook"}, "callback_refused"),
    ],
    ids=[
        *("10000-words", "punctuation", "emoji", "not-a-tag", "surrogate"),
        *("unknown-member", "callback"),
    ],
)
def test_an_import_that_cannot_be_sung_is_refused(
    members: Json, code: str, asset: str, http: httpx.Client, product: Product
) -> None:
    body = json.dumps({"assetId": asset} | members)  # escapes what is no text
    answer = http.post(
        "/v1/tracks/import", content=body, headers={"Content-Type": "application/json"}
    )
    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["errors"]
    no_inside(answer.text, product)


@pytest.mark.parametrize(
    ("lyrics", "language"),
    [
        ("Пой со мной, пока горит звезда\nПой со мной, дорога далека", "en"),
        ("Sing with me, the night is never long", "ru"),
        ("שיר לילה\n夜の歌", "en"),
        ("Sing 🎤 with me 🎶\n1 2 3 4, 99 red balloons!", "en"),
        ("don't stop — \u202e\u200b\u0301 me now", None),
    ],
    ids=["cyrillic-as-en", "latin-as-ru", "hebrew-and-japanese-as-en", "emoji", "marks"],
)
def test_lyrics_in_another_script_end_one_way_or_the_other(
    lyrics: str, language: str | None, asset: str, client: Client, product: Product
) -> None:
    accepted = client.import_track(asset, lyrics=lyrics, language=language)
    job = client.wait_for_job(accepted["jobId"], timeout_s=120)
    no_inside(str(job), product)
    if job["state"] == "failed":
        print(job["error"]["message"])
        assert job["error"]["step"] == "align"
        assert len(job["error"]["message"]) > 20
    else:
        document = client.ready(accepted["trackId"])["lyrics"]
        reasons = {flag["wordId"] for flag in document["qc"]["flags"]}
        for line in document["lines"]:
            assert "".join(word["text"] + word["sep"] for word in line["words"]) == line["text"]
            for word in line["words"]:
                assert word["startMs"] is not None or word["id"] in reasons


def test_a_language_that_nobody_reads_fails_by_name(
    asset: str, client: Client, product: Product
) -> None:
    accepted = client.import_track(asset, lyrics="qapla", language="tlh-Piqd")
    job = client.wait_for_job(accepted["jobId"], timeout_s=120)
    assert job["state"] == "failed"
    assert job["error"]["step"] == "align"
    assert "tlh" in job["error"]["message"]
    no_inside(str(job), product)


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        ("GET", "/v1/jobs/job_unknown", "job_not_found"),
        ("POST", "/v1/jobs/job_unknown/cancel", "job_not_found"),
        ("POST", "/v1/jobs/job_unknown/retry", "job_not_found"),
        ("GET", "/v1/jobs/job_unknown/events", "job_not_found"),
        ("GET", "/v1/tracks/trk_unknown", "track_not_found"),
        ("GET", "/v1/tracks/trk_unknown/ready", "track_not_found"),
        ("GET", "/v1/tracks/trk_unknown/assets", "track_not_found"),
        ("GET", "/v1/tracks/trk_unknown/lyrics", "track_not_found"),
        ("GET", "/v1/tracks/trk_unknown/versions/1", "track_not_found"),
        ("POST", "/v1/tracks/trk_unknown/versions/1/publish", "track_not_found"),
        ("GET", "/v1/uploads/upl_unknown", "upload_not_found"),
        ("DELETE", "/v1/uploads/upl_unknown", "upload_not_found"),
        ("GET", "/v1/nothing/here", "not_found"),
    ],
)
def test_unknown_ids_are_not_found(
    method: str, path: str, code: str, http: httpx.Client, product: Product
) -> None:
    answer = http.request(method, path)
    assert (answer.status_code, answer.json()["code"]) == (404, code)
    no_inside(answer.text, product)


def test_an_unknown_asset_is_not_found(client: Client) -> None:
    with pytest.raises(Refused) as refused:
        client.import_track("ast_unknown", lyrics="la")
    assert (refused.value.status, refused.value.code) == (404, "asset_not_found")


@pytest.mark.parametrize("path", ["/v1/uploads", "/v1/tracks/import"])
@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b'{"assetId": ', 400, "malformed_json"),
        (b"\xff\xfe", 400, "malformed_json"),
        (b"[" * 100_000, 400, "malformed_json"),
        (b'"text"', 422, "validation_failed"),
        (b"{}", 422, "validation_failed"),
    ],
    ids=["cut", "not-utf8", "deep", "no-object", "no-members"],
)
def test_a_body_that_is_not_the_documented_one_is_refused(
    path: str, body: bytes, status: int, code: str, http: httpx.Client, product: Product
) -> None:
    answer = http.post(path, content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    no_inside(answer.text, product)


def test_the_client_id_is_asked_of_every_client_request(product: Product) -> None:
    with httpx.Client(base_url=product.base_url, trust_env=False) as bare:
        for path in ("/v1/jobs", "/v1/tracks/trk_1/ready", "/v1/uploads/upl_1", "/jobs"):
            answer = bare.get(path)
            assert (answer.status_code, answer.json()["code"]) == (400, "client_id_missing")
        assert bare.get("/v1/jobs", headers={"X-Client-Id": "a b"}).status_code == 400
        assert bare.get("/v1/jobs?clientId=browser").status_code == 200
        assert bare.get("/healthz").status_code == 200


def part_url(http: httpx.Client) -> str:
    wanted = {"filename": "song.wav", "contentType": "audio/wav", "sizeBytes": 100}
    return str(http.post("/v1/uploads", json=wanted).json()["parts"][0]["url"])


def test_signed_urls_cannot_be_changed_or_passed_on(
    http: httpx.Client, client: Client, asset: str, product: Product
) -> None:
    url = part_url(http)
    for changed in (
        url.replace("default", "other"),
        url[:-1] + ("0" if url[-1] != "0" else "1"),
        url + "&x=1",
        url.partition("?")[0],
    ):
        assert changed != url
        answer = http.put(changed, content=bytes(100))
        assert (answer.status_code, answer.json()["code"]) == (403, "url_invalid")
        no_inside(answer.text, product)
    neighbour = httpx.HTTPTransport(local_address="127.0.0.2")
    with httpx.Client(transport=neighbour) as other:
        answer = other.put(url, content=bytes(100))
        assert (answer.status_code, answer.json()["code"]) == (403, "url_other_address")
        # A header does not make it the right address: no proxy is trusted.
        headers = {"X-Forwarded-For": "127.0.0.1"}
        assert other.put(url, content=bytes(100), headers=headers).status_code == 403
    assert http.put(url, content=bytes(101)).status_code == 413
    assert http.put(url, content=bytes(100)).status_code == 200

    accepted = client.import_track(asset, lyrics="la la", language="en")
    finish(client, accepted["jobId"])
    link = client.ready(accepted["trackId"])["minusUrl"]
    with httpx.Client(transport=httpx.HTTPTransport(local_address="127.0.0.2")) as other:
        assert other.get(link).json()["code"] == "url_other_address"
    assert http.get(link.replace("minus", "vocals")).status_code == 403
    assert http.delete(link).status_code == 405
    assert http.get(link).status_code == 200


def test_expired_urls_are_refused_and_signed_again(own_product: Callable[..., Product]) -> None:
    product = own_product(UPLOAD_URL_TTL_SECONDS="1", DOWNLOAD_URL_TTL_SECONDS="1")
    with product.http() as http:
        url = part_url(http)
        time.sleep(2.1)  # expiry counts whole seconds
        answer = http.put(url, content=bytes(100))
        assert (answer.status_code, answer.json()["code"]) == (403, "url_expired")
        upload = http.get("/v1/jobs")  # the product goes on
        assert upload.status_code == 200
    product.stop()


def test_a_wrong_digest_fails_the_job_by_name(http: httpx.Client, client: Client) -> None:
    content = wav(tone(3.0))
    wanted = {"filename": "s.wav", "contentType": "audio/wav", "sizeBytes": len(content)}
    upload = http.post("/v1/uploads", json=wanted | {"sha256": "0" * 64}).json()
    etag = http.put(upload["parts"][0]["url"], content=content).headers["etag"]
    parts = {"parts": [{"partNumber": 1, "etag": etag}]}
    made = http.post(f"/v1/uploads/{upload['uploadId']}/complete", json=parts)
    again = http.post(f"/v1/uploads/{upload['uploadId']}/complete", json=parts)
    assert made.json() == again.json()
    accepted = client.import_track(made.json()["assetId"], lyrics="la")
    job = client.wait_for_job(accepted["jobId"], timeout_s=120)
    assert job["state"] == "failed"
    assert job["error"]["code"] == "checksum_mismatch"
    assert "SHA-256" in job["error"]["message"]


def test_an_upload_of_another_size_or_with_parts_missing_is_refused(http: httpx.Client) -> None:
    content = wav(tone(3.0))
    wanted = {"filename": "s.wav", "contentType": "audio/wav", "sizeBytes": len(content) + 7}
    upload = http.post("/v1/uploads", json=wanted).json()
    complete = f"/v1/uploads/{upload['uploadId']}/complete"
    none = http.post(complete, json={"parts": [{"partNumber": 1, "etag": "0" * 32}]})
    assert (none.status_code, none.json()["code"]) == (422, "upload_parts_missing")
    etag = http.put(upload["parts"][0]["url"], content=content).headers["etag"]
    answer = http.post(complete, json={"parts": [{"partNumber": 1, "etag": etag}]})
    assert (answer.status_code, answer.json()["code"]) == (422, "upload_size_mismatch")
