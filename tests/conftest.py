"""What all tests share: the released servers, where they can be run on this machine."""

from __future__ import annotations

import os
import signal

import hypothesis
import pytest

from tests import planted, stack
from tests.planted import pytest_runtest_makereport  # noqa: F401  (a hook)

# How long an example takes is the machine's affair: no test is timed.
hypothesis.settings.register_profile("melisma", deadline=None)
hypothesis.settings.load_profile("melisma")

# The same with and without the extra `models`, and no hub is asked: who wants a model says so.
for stage in ("SEPARATION", "TRANSCRIPTION", "ALIGNMENT"):
    os.environ[f"{stage}_BACKEND"] = "light"

# What a shell starts in the background ignores Ctrl-C, and so would every program of the tests.
signal.signal(signal.SIGINT, signal.default_int_handler)


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


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Leave no server behind; xdist's processes leave that to the one that they report to."""
    if not stack.is_worker():
        stack.stop(session.config)
    planted.search(session)


@pytest.fixture(scope="session")
def kafka_bootstrap(pytestconfig: pytest.Config) -> str:
    """The address of a Kafka broker, one for the whole run; mark its tests ``stack``."""
    return stack.shared(pytestconfig, "kafka").up()["KAFKA_BOOTSTRAP_SERVERS"]


@pytest.fixture(scope="session")
def registry_url(pytestconfig: pytest.Config) -> str:
    """The address of a schema registry, one for the whole run; mark its tests ``stack``."""
    return stack.shared(pytestconfig, "registry").up()["SCHEMA_REGISTRY_URL"]
