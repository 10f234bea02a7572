"""The embedded log: the contract, then what only a file can do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.topics.log.contract import LogContract
from topics.log import EmbeddedLog, Log


class TestEmbedded(LogContract):
    @pytest.fixture
    def open_log(self, tmp_path: Path) -> Callable[[], Log]:
        return lambda: EmbeddedLog(tmp_path / "log.sqlite")
