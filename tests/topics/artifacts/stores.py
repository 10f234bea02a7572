"""A local store with a clock of its own, and a client of its URLs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from topics.artifacts import (
    LocalStore,
)
from topics.artifacts.serving import Download, open_for_get, receive_part
from topics.artifacts.signing import STORE_PATH, IpBinding

SECRET = b"0123456789abcdef0123456789abcdef"
BASE = "http://gateway.test"
NOW_S = 1_800_000_000.0
HERE = "127.0.0.1"


class Clock:
    def __init__(self) -> None:
        self.now_s = NOW_S

    def __call__(self) -> float:
        return self.now_s


def request(url: str) -> tuple[str, list[tuple[str, str]]]:
    """Key and query of a URL, decoded as a web framework does."""
    parts = urlsplit(url)
    path = unquote(parts.path)
    assert path.startswith(STORE_PATH)
    return path[len(STORE_PATH) :], parse_qsl(parts.query)


def send(store: LocalStore, url: str, *chunks: bytes, ip: str | None = HERE) -> str:
    async def body() -> AsyncIterator[bytes]:
        for chunk in chunks:
            yield chunk

    key, pairs = request(url)
    part = asyncio.run(receive_part(store, key, pairs, ip, body()))
    return f'"{part.etag}"'


def get(store: LocalStore, url: str, ip: str | None = HERE) -> Download:
    key, pairs = request(url)
    return open_for_get(store, key, pairs, ip)


def make(root: Path, clock: Clock, ip_binding: IpBinding = "enforce") -> LocalStore:
    return LocalStore(root, secret=SECRET, base_url=BASE, clock=clock, ip_binding=ip_binding)
