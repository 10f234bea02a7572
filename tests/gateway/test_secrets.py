"""What must never be written down outside the store: signatures, callback addresses, lyrics."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from tests.gateway.house import House
from topics import logs


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    """Everything that the product logs, as it would be in production."""
    root = logging.getLogger()
    handlers, level, before = root.handlers[:], root.level, structlog.get_config()
    stream = io.StringIO()
    logs.configure("json", "DEBUG", stream)
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.configure(**before)


def test_no_log_line_carries_a_secret(
    house: House, written: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    accepted = house.published(
        lyrics="sesame open", callbackUrl="https://example.com/hook?token=callback-secret"
    )
    url = house.http.get(f"/v1/tracks/{accepted['trackId']}/ready").json()["minusUrl"]
    house.http.get(url)
    house.http.get(url + "x")

    def crash(*args: object) -> None:
        raise RuntimeError(f"cannot read {url}")

    monkeypatch.setattr(house.store, "track", crash)
    house.http.get(f"/v1/tracks/{accepted['trackId']}")
    text = written.getvalue()
    assert "request crashed" in text
    for secret in ("signature=", "callback-secret", "example.com/hook", "sesame"):
        assert secret not in text
    signature = url.rpartition("signature=")[2]
    assert signature not in text
    requests = [json.loads(line) for line in text.splitlines()]
    paths = [line["path"] for line in requests if line["event"] == "request"]
    assert f"/v1/tracks/{accepted['trackId']}/ready" in paths
    assert all("?" not in path for path in paths)


def test_no_event_carries_a_secret(house: House) -> None:
    house.published(callbackUrl="https://example.com/hook?token=callback-secret")
    for file in house.folder.glob("*.db*"):
        data = file.read_bytes()
        for secret in (b"signature=", b"callback-secret", b"example.com/hook"):
            assert secret not in data, file
