"""The gateway under test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.gateway.house import House


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """A gateway over the real embedded parts."""
    built = House(tmp_path)
    yield built
    built.close()
