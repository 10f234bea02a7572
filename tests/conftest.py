"""What all tests share: whether the released servers can be run on this machine."""

from __future__ import annotations

import os

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out the tests of the marker ``stack`` where Java or Maven are missing, and say what
    to install; where ``MELISMA_REQUIRE_STACK`` is set, as in CI, they run and fail instead.
    """
    wanting = [item for item in items if item.get_closest_marker("stack")]
    if not wanting or os.environ.get("MELISMA_REQUIRE_STACK"):
        return
    from tools.stack.services import lacking

    if reason := lacking():
        for item in wanting:
            item.add_marker(pytest.mark.skip(reason=f"the real servers are left out: {reason}"))
