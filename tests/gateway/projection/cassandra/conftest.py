"""A keyspace for each process that runs tests, on the run's own Cassandra."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator

import pytest

from gateway.projection.cassandra.settings import CassandraSettings
from tests import stack


@pytest.fixture(scope="session")
def cassandra_address(pytestconfig: pytest.Config) -> str:
    """host:port of a node: ``MELISMA_TEST_CASSANDRA``, or one that is started for the run."""
    given = os.environ.get("MELISMA_TEST_CASSANDRA")
    return given or stack.shared(pytestconfig, "cassandra").up()["CASSANDRA_CONTACT_POINTS"]


@pytest.fixture(scope="session")
def cassandra(cassandra_address: str) -> Iterator[CassandraSettings]:
    """Settings with a keyspace that goes when the tests have run."""
    from cassandra.cluster import Cluster

    settings = CassandraSettings(
        cassandra_contact_points=cassandra_address,
        cassandra_keyspace=f"test_{secrets.token_hex(6)}",
        # Others' tests run on the same cores: a slow answer is no wrong one.
        cassandra_timeout_seconds=60,
        cassandra_connect_timeout_seconds=30,
    )
    yield settings
    with Cluster(settings.addresses()) as cluster:
        session = cluster.connect()
        session.execute(f"DROP KEYSPACE IF EXISTS {settings.cassandra_keyspace}", timeout=120)
