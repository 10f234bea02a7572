"""What every log keeps, whichever broker is behind it: one suite, run over each implementation.

A subclass gives the fixture ``open_log``: each call opens the same broker anew. Nothing here knows
the implementation: names are unique to a test, and whatever a broker may do a little later is
waited for, up to a deadline.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator

import pytest

from tests.topics.log.contract_groups import GroupContract
from tests.topics.log.contract_reading import ReadingContract
from tests.topics.log.contract_writing import WritingContract
from topics.log import Log

OpenLog = Callable[[], Log]


class LogContract(WritingContract, GroupContract, ReadingContract):
    """The suite. Subclass it and give ``open_log``."""

    @pytest.fixture
    def open_log(self) -> OpenLog:
        raise NotImplementedError

    @pytest.fixture
    def log(self, open_log: OpenLog) -> Iterator[Log]:
        log = open_log()
        yield log
        log.close()

    @pytest.fixture
    def unique(self) -> str:
        return uuid.uuid4().hex[:12]

    @pytest.fixture
    def topic(self, log: Log, unique: str) -> str:
        """A topic of four partitions."""
        log.provision({f"t-{unique}": 4})
        return f"t-{unique}"

    @pytest.fixture
    def single(self, log: Log, unique: str) -> str:
        """A topic of one partition."""
        log.provision({f"s-{unique}": 1})
        return f"s-{unique}"

    @pytest.fixture
    def group(self, unique: str) -> str:
        return f"g-{unique}"
