"""The hall under test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.processors.admission.hall import Hall


@pytest.fixture
def hall(tmp_path: Path) -> Iterator[Hall]:
    built = Hall(tmp_path)
    yield built
    built.log.close()
