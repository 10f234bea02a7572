"""S3 servers for tests, and stores and clients of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from pydantic_settings import BaseSettings

from tools.stack.stack import Stack
from topics.artifacts import SignedUrl
from topics.artifacts.s3 import S3Store
from topics.artifacts.s3_settings import S3Settings
from topics.artifacts.signing import IpBinding


@contextmanager
def s3proxy(folder: Path) -> Iterator[Mapping[str, str]]:
    """A server with an empty bucket; the settings that name it."""
    with Stack(folder, services=["s3"]) as stack:
        yield {name: value for name, value in stack.addresses.items() if name.startswith("S3_")}


class Isolated(S3Settings):
    """Settings of a server and nothing else: neither the environment nor .env."""

    @classmethod
    def settings_customise_sources(
        cls, settings_cls: type[BaseSettings], init_settings: Any, *others: Any, **named: Any
    ) -> tuple[Any, ...]:
        """Only what the test says."""
        return (init_settings,)


def settings(address: Mapping[str, str], **more: Any) -> S3Settings:
    """The settings that name a server, with more."""
    return Isolated(**({name.lower(): value for name, value in address.items()} | more))


def store(address: Mapping[str, str], *, ip_binding: IpBinding = "off", **more: Any) -> S3Store:
    """A store on a server."""
    return S3Store(settings(address, **more), ip_binding=ip_binding)


def put(url: SignedUrl, data: bytes) -> str:
    """Send a part as a client does; the ETag of the answer."""
    answer = httpx.put(url.url, content=data)
    assert answer.status_code == 200, answer.text
    return answer.headers["ETag"]


def minutes_ago(minutes: float) -> datetime:
    """That moment, UTC and naive, as botocore's signer takes it."""
    return datetime.now(UTC).replace(tzinfo=None) - timedelta(minutes=minutes)
