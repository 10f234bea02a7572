"""A keyspace for each process that runs tests, on the run's own Cassandra."""

from __future__ import annotations

import os
import secrets

import pytest

from gateway.projection.cassandra.settings import CassandraSettings
from tests import stack


@pytest.fixture(scope="session")
def cassandra_address(pytestconfig: pytest.Config) -> str:
    """host:port of a node: ``MELISMA_TEST_CASSANDRA``, or one that is started for the run."""
    given = os.environ.get("MELISMA_TEST_CASSANDRA")
    return given or stack.shared(pytestconfig, "cassandra").up()["CASSANDRA_CONTACT_POINTS"]


@pytest.fixture(scope="session")
def cassandra(cassandra_address: str) -> CassandraSettings:
    """Settings with a keyspace of its own; it goes with the server's data."""
    return CassandraSettings(
        cassandra_contact_points=cassandra_address,
        cassandra_keyspace=f"test_{secrets.token_hex(6)}",
        # Others' tests run on the same cores: a slow answer is no wrong one.
        cassandra_timeout_seconds=60,
        cassandra_connect_timeout_seconds=30,
    )
