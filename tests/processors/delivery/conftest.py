"""The post office under test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.processors.delivery.post import Post
from tests.processors.delivery.receiver import Receiver


@pytest.fixture
def post(tmp_path: Path) -> Iterator[Post]:
    built = Post(tmp_path)
    yield built
    built.close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as listening:
        yield listening
