"""The keyspace is made by whoever starts first, however many start at once."""

from __future__ import annotations

import secrets
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

pytest.importorskip("cassandra", reason="cassandra-driver is not installed")

from cassandra import InvalidRequest
from cassandra.cluster import Cluster
from cassandra.protocol import ServerError

from gateway.projection.cassandra import schema
from gateway.projection.cassandra.session import CassandraSession
from gateway.projection.cassandra.settings import CassandraSettings

PARTS = 4


@pytest.mark.parametrize(
    "refusal",
    [
        InvalidRequest("Keyspace 'melisma' does not exist"),
        ServerError(0, "java.lang.IllegalArgumentException: Unknown CF 64337580-e5a3", None),
    ],
)
def test_what_a_node_does_not_find_yet_is_asked_for_again(
    refusal: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter([refusal] * 2 + [None])

    def create(*given: object) -> None:
        if (refused := next(answers)) is not None:
            raise refused

    monkeypatch.setattr(schema, "_create", create)
    schema.create(None, None, CassandraSettings(), "dc1")
    assert list(answers) == []


@pytest.mark.stack
def test_a_keyspace_whose_maker_died_gets_its_tables(
    cassandra: CassandraSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "_MAKER_S", (0.1, 0.2))
    name = f"test_{secrets.token_hex(6)}"
    with Cluster(cassandra.addresses()) as cluster:
        cluster.connect().execute(
            f"CREATE KEYSPACE {name} WITH replication ="
            " {'class': 'SimpleStrategy', 'replication_factor': 1}",
            timeout=60,
        )
        with closing(
            CassandraSession(cassandra.model_copy(update={"cassandra_keyspace": name}))
        ) as session:
            session.check()
        cluster.connect().execute(f"DROP KEYSPACE {name}", timeout=120)


@pytest.mark.stack
def test_parts_that_start_at_once_make_one_keyspace(cassandra: CassandraSettings) -> None:
    settings = cassandra.model_copy(update={"cassandra_keyspace": f"test_{secrets.token_hex(6)}"})
    connected = [CassandraSession(cassandra) for _ in range(PARTS)]
    together = threading.Barrier(PARTS)

    def start(each: CassandraSession) -> None:
        cluster = each._cluster
        session = cluster.connect()
        together.wait(60)
        schema.create(cluster, session, settings, each._nearest())

    with ThreadPoolExecutor(PARTS) as pool:
        list(pool.map(start, connected))
    for each in connected:
        each.close()
