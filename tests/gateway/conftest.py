"""The gateway under test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from tests.gateway.house import House


@pytest.fixture(autouse=True)
def _plain_logs() -> Iterator[None]:
    """structlog's own default draws tracebacks with every local: tens of seconds for a crash."""
    before = structlog.get_config()
    structlog.configure(
        processors=[structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    )
    yield
    structlog.configure(**before)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """A gateway over the real embedded parts."""
    built = House(tmp_path)
    yield built
    built.close()
