from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.gateway.house import WAV, House, problem, settings


@pytest.fixture
def media(house: House) -> str:
    track = house.published()["trackId"]
    url: str = house.http.get(f"/v1/tracks/{track}/assets").json()["minus"]["url"]
    return url


def test_media_needs_no_client_id(house: House, media: str) -> None:
    answer = house.client(headers={}).get(media)
    assert answer.content == b"minus" * 100
    assert answer.headers["content-type"] == "audio/flac"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["ETag"] == f'"{hashlib.sha256(b"minus" * 100).hexdigest()}"'
    head = house.http.head(media)
    assert (head.status_code, head.headers["Content-Length"]) == (200, "500")


@pytest.mark.parametrize(
    ("asked", "content", "range_"),
    [
        ("bytes=0-4", b"minus", "bytes 0-4/500"),
        ("bytes=495-", b"minus", "bytes 495-499/500"),
        ("bytes=-5", b"minus", "bytes 495-499/500"),
        ("bytes=498-9999", b"us", "bytes 498-499/500"),
        ("bytes=-9999", b"minus" * 100, "bytes 0-499/500"),
    ],
)
def test_a_range_is_sent_alone(
    house: House, media: str, asked: str, content: bytes, range_: str
) -> None:
    answer = house.http.get(media, headers={"Range": asked})
    assert answer.status_code == 206
    assert answer.content == content
    assert answer.headers["Content-Range"] == range_


@pytest.mark.parametrize("asked", ["bytes=500-", "bytes=9999999-99999999", "bytes=-0"])
def test_a_range_outside_is_a_problem(house: House, media: str, asked: str) -> None:
    answer = house.http.get(media, headers={"Range": asked})
    problem(answer, 416, "range_invalid")
    assert answer.headers["Content-Range"] == "bytes */500"


@pytest.mark.parametrize("asked", ["bytes=x-y", "lines=1-2", "bytes=", "bytes=9-3"])
def test_a_range_that_is_none_is_ignored(house: House, media: str, asked: str) -> None:
    answer = house.http.get(media, headers={"Range": asked})
    assert (answer.status_code, len(answer.content)) == (200, 500)


def test_a_link_expires(house: House, media: str) -> None:
    house.clock.forward(299)
    assert house.http.get(media).status_code == 200
    house.clock.forward(1)
    problem(house.http.get(media), 403, "url_expired")


def test_a_link_is_bound_to_the_address_that_asked(house: House, media: str) -> None:
    found = problem(house.client("203.0.113.9").get(media), 403, "url_other_address")
    assert "203.0.113.9" not in str(found)


@pytest.mark.parametrize(
    "change",
    [
        lambda url: url.replace("expires=", "expires=9"),
        lambda url: url[:-2],
        lambda url: url.partition("?")[0],
        lambda url: url + "&part=1",
        lambda url: url.replace("/minus?", "/vocals?"),
        lambda url: url.replace("/minus?", "/../../../../etc/passwd?"),
        lambda url: url.replace("/minus?", "/%2e%2e%2f%2e%2e%2fsigning.key?"),
    ],
)
def test_a_changed_link_is_refused(house: House, media: str, change: Any) -> None:
    answer = house.http.get(change(media))
    assert answer.status_code in (403, 404), answer.text
    problem(answer, answer.status_code, answer.json()["code"])
    assert b"minus" not in answer.content[:5]


def test_a_download_link_does_not_upload(house: House, media: str) -> None:
    problem(house.http.put(media, content=b"x"), 403, "url_invalid")


def test_the_store_takes_no_other_method(house: House, media: str) -> None:
    answer = house.http.delete(media)
    problem(answer, 405, "method_not_allowed")
    assert "GET" in answer.headers["Allow"]


class TestBehindAProxy:
    @pytest.fixture
    def house(self, tmp_path: Path) -> Iterator[House]:
        built = House(tmp_path, settings=settings(trusted_proxies="10.0.0.0/8"))
        yield built
        built.close()

    def test_the_address_is_what_the_proxy_saw(self, house: House) -> None:
        proxy = house.client("10.0.0.1")
        here = {"X-Forwarded-For": "198.51.100.7"}
        body = {"filename": "a.wav", "contentType": "audio/wav", "sizeBytes": len(WAV)}
        url = proxy.post("/v1/uploads", json=body, headers=here).json()["parts"][0]["url"]
        assert proxy.put(url, content=WAV, headers=here).status_code == 200
        other = {"X-Forwarded-For": "198.51.100.8"}
        problem(proxy.put(url, content=WAV, headers=other), 403, "url_other_address")
        forged = {"X-Forwarded-For": "198.51.100.7, 198.51.100.8"}
        problem(proxy.put(url, content=WAV, headers=forged), 403, "url_other_address")
        direct = house.client("203.0.113.9")
        problem(direct.put(url, content=WAV, headers=here), 403, "url_other_address")


@pytest.mark.parametrize(("binding", "status"), [("report", 200), ("off", 200), ("enforce", 403)])
def test_binding_is_a_setting(tmp_path: Path, binding: str, status: int) -> None:
    house = House(tmp_path, settings=settings(ip_binding=binding))
    try:
        track = house.published()["trackId"]
        url = house.http.get(f"/v1/tracks/{track}/assets").json()["minus"]["url"]
        assert house.client("203.0.113.9").get(url).status_code == status
    finally:
        house.close()


def test_published_media_can_come_through_a_cdn(tmp_path: Path) -> None:
    house = House(tmp_path, settings=settings(cdn_base_url="https://cdn.example.com/"))
    try:
        track = house.published()["trackId"]
        body = house.http.get(f"/v1/tracks/{track}/ready").json()
        assert body["minusUrl"].startswith("https://cdn.example.com/results/test/")
        assert body["minusUrl"].endswith("/minus")
        assert "expiresAt" not in body
    finally:
        house.close()
