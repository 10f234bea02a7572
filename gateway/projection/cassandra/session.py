"""One session with the cluster: opened with clear errors, statements prepared once, closed once."""

from __future__ import annotations

import logging
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any

from cassandra import ConsistencyLevel
from cassandra.auth import PlainTextAuthProvider
from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile, NoHostAvailable
from cassandra.policies import (
    DCAwareRoundRobinPolicy,
    ExponentialReconnectionPolicy,
    TokenAwarePolicy,
)
from cassandra.query import BatchStatement, BatchType, tuple_factory

from gateway.projection.cassandra import schema
from gateway.projection.cassandra.failures import connecting, working
from gateway.projection.cassandra.settings import CassandraSettings
from gateway.projection.store import StoreError

Statement = Any
"""A bound statement or a batch of the driver, which has no types."""

Row = tuple[Any, ...]

_CHECK_S = 1.2
"""Longest check: a dependency has 1.5 s to say that it is well (mission.md), and threads want time
to be scheduled."""

_AGAIN_S = (0.5, 5.0)
"""First and longest pause between tries to reach a lost node. The driver's default goes up to ten
minutes, which a cluster that was down for one would then cost."""

_NO_DELAY = (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
"""The driver writes a request in pieces of 4 KiB, and the system keeps back the second one until
the first is acknowledged: 40 ms for each batch of that size (a batch of 100 rows took 44 ms)."""


class CassandraSession:
    """Statements against the product's keyspace. Safe to share between threads."""

    def __init__(self, settings: CassandraSettings) -> None:
        """Connect, and make the keyspace and the tables that are missing. Raises `StoreError`."""
        # What it has to say is in our errors already; its own are pages of traceback.
        logging.getLogger("cassandra").setLevel(logging.CRITICAL)
        self._settings = settings
        self._prepared: dict[str, Any] = {}
        self._closing = threading.Lock()
        self._closed = False
        with connecting(settings):
            self._cluster = _cluster(settings)
        try:
            with connecting(settings):
                try:
                    self._session = self._cluster.connect()
                except NoHostAvailable:
                    self._check_datacenter()  # no node is near: none is asked
                    raise
            self._check_datacenter()
            schema.create(self._cluster, self._session, settings, self._nearest())
            for cql in (schema.CHECK_WRITE, schema.CHECK_READ):
                self.bind(cql)  # prepared now: the first check may be of a cluster that hangs
        except BaseException:
            self._cluster.shutdown()
            raise

    def bind(self, cql: str, *values: object) -> Statement:
        """A prepared statement with its values. Statements that may be repeated safely are."""
        prepared = self._prepared.get(cql)
        if prepared is None:
            with self._working("prepare a statement"):
                prepared = self._session.prepare(cql)
            # What has a condition or counts must not be sent twice behind our back.
            prepared.is_idempotent = " IF " not in cql and "sequence + ?" not in cql
            self._prepared[cql] = prepared
        return prepared.bind(values)

    def batch(self, statements: Iterable[Statement]) -> Statement:
        """Statements on one partition of one table, as one write: all or nothing, seen at once."""
        batch = BatchStatement(BatchType.UNLOGGED)
        batch.is_idempotent = True
        for statement in statements:
            batch.add(statement)
            batch.is_idempotent = batch.is_idempotent and statement.is_idempotent
        return batch

    def rows(self, what: str, cql: str, *values: object, page: int = 1000) -> Iterator[Row]:
        """The rows of a query, fetched ``page`` at a time while they are read."""
        statement = self.bind(cql, *values)
        statement.fetch_size = page
        with self._working(what):
            result = self._session.execute(statement)
            yield from result

    def row(self, what: str, cql: str, *values: object) -> Row | None:
        """The only row of a query."""
        return next(self.rows(what, cql, *values), None)

    def execute(self, what: str, cql: str, *values: object) -> None:
        """Write once, and wait until it counts."""
        statement = self.bind(cql, *values)
        with self._working(what):
            self._session.execute(statement)

    def decide(self, what: str, statement: Statement) -> bool:
        """Execute a conditional write; whether its conditions held."""
        with self._working(what):
            row = self._session.execute(statement).one()
        return bool(row[0])

    def execute_all(self, what: str, statements: Iterable[Statement]) -> list[list[Row]]:
        """Execute side by side, as many at once as the settings allow; the rows of each.

        Give a generator where statements are costly to make: the first are on their way while the
        next ones are made. (The driver's own ``execute_concurrent`` takes from a generator under
        its lock and in its event loop, where a statement that has to be prepared waits for ever.)
        """
        rows: list[list[Row]] = []
        waiting: deque[Any] = deque()
        with self._working(what):
            for statement in statements:
                if len(waiting) == self._settings.cassandra_concurrency:
                    rows.append(list(waiting.popleft().result()))
                waiting.append(self._session.execute_async(statement))
            rows.extend(list(future.result()) for future in waiting)
        return rows

    def check(self) -> None:
        """Raise `StoreError` unless a row can be written and read now, within 1.5 s."""
        with self._working("answer a check in time"):
            deadline = time.monotonic() + _CHECK_S
            for future in [
                self._session.execute_async(self.bind(cql), timeout=_CHECK_S)
                for cql in (schema.CHECK_WRITE, schema.CHECK_READ)
            ]:
                future.timeout = max(0.01, deadline - time.monotonic())
                future.result()

    def truncate(self, tables: Iterable[str]) -> None:
        """Empty tables of the keyspace, side by side."""
        with self._working("empty its tables"):
            # Names of this package's schema only. Every replica has to answer, which takes longer
            # than a write.
            futures = [
                self._session.execute_async(f"TRUNCATE {table}", timeout=schema.TIMEOUT_S)
                for table in tables
            ]
            for future in futures:
                future.result()

    @property
    def closed(self) -> bool:
        """True once `close` was called."""
        return self._closed

    def close(self) -> None:
        """Let go of every connection."""
        with self._closing:
            if self._closed:
                return
            self._closed = True
        self._cluster.shutdown()

    def _working(self, what: str) -> Any:
        if self._closed:
            raise StoreError("the session with Cassandra is closed")
        return working(what)

    def _check_datacenter(self) -> None:
        wanted = self._settings.cassandra_datacenter
        known = {host.datacenter for host in self._cluster.metadata.all_hosts() if host.datacenter}
        if wanted and known and wanted not in known:
            raise StoreError(
                f"CASSANDRA_DATACENTER={wanted} is none of the cluster's: "
                f"{', '.join(sorted(known))}"
            )

    def _nearest(self) -> str:
        if self._settings.cassandra_datacenter:
            return self._settings.cassandra_datacenter
        control = self._cluster.get_control_connection_host()
        return str(control.datacenter)


def _cluster(settings: CassandraSettings) -> Cluster:
    local = settings.cassandra_consistency == "LOCAL_QUORUM"
    profile = ExecutionProfile(
        load_balancing_policy=TokenAwarePolicy(
            DCAwareRoundRobinPolicy(settings.cassandra_datacenter)
        ),
        consistency_level=ConsistencyLevel.name_to_value[settings.cassandra_consistency],
        serial_consistency_level=(
            ConsistencyLevel.LOCAL_SERIAL if local else ConsistencyLevel.SERIAL
        ),
        request_timeout=settings.cassandra_timeout_seconds,
        row_factory=tuple_factory,
    )
    user = settings.cassandra_username
    password = settings.cassandra_password.get_secret_value()
    return Cluster(
        settings.addresses(),
        port=settings.cassandra_port,
        execution_profiles={EXEC_PROFILE_DEFAULT: profile},
        auth_provider=PlainTextAuthProvider(user, password) if user else None,
        ssl_context=_tls(settings) if settings.cassandra_tls else None,
        connect_timeout=settings.cassandra_connect_timeout_seconds,
        control_connection_timeout=settings.cassandra_connect_timeout_seconds,
        sockopts=[_NO_DELAY],
        reconnection_policy=ExponentialReconnectionPolicy(*_AGAIN_S),
        monitor_reporting_enabled=False,  # tells DataStax's own servers about the client
        application_name="melisma",
    )


def _tls(settings: CassandraSettings) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=settings.cassandra_ca_file or None)
    except (OSError, ssl.SSLError) as error:
        raise StoreError(f"CASSANDRA_CA_FILE cannot be used: {error.strerror or error}") from error
    if settings.cassandra_certificate_file:
        try:
            context.load_cert_chain(
                settings.cassandra_certificate_file, settings.cassandra_key_file or None
            )
        except (OSError, ssl.SSLError) as error:
            raise StoreError(
                "CASSANDRA_CERTIFICATE_FILE and CASSANDRA_KEY_FILE cannot be used: "
                f"{error.strerror or error}"
            ) from error
    return context
