"""What the driver raises, as one line that names the setting to look at."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager

from cassandra import (
    AuthenticationFailed,
    DriverException,
    InvalidRequest,
    OperationTimedOut,
    Unauthorized,
    UnresolvableContactPoints,
)
from cassandra.cluster import NoHostAvailable
from cassandra.connection import ConnectionException

from gateway.projection.cassandra.settings import CassandraSettings
from gateway.projection.store import StoreError

_OURS = (DriverException, NoHostAvailable, ConnectionException, OSError)


@contextmanager
def connecting(settings: CassandraSettings) -> Iterator[None]:
    """Turn what goes wrong at the first contact into one `StoreError`."""
    try:
        yield
    except UnresolvableContactPoints as error:
        raise StoreError(
            f"no host of CASSANDRA_CONTACT_POINTS={settings.cassandra_contact_points} has an "
            "address; check the names"
        ) from error
    except _OURS as error:
        raise StoreError(_unreached(settings, error)) from error


@contextmanager
def working(what: str) -> Iterator[None]:
    """Turn what goes wrong with a statement into a `StoreError`; ``what`` was to be done."""
    try:
        yield
    except _OURS as error:
        raise StoreError(f"Cassandra could not {what}: {_reason(error)}") from error


def _unreached(settings: CassandraSettings, error: Exception) -> str:
    at = f"CASSANDRA_CONTACT_POINTS={settings.cassandra_contact_points}"
    causes = list(_causes(error))
    if any(isinstance(cause, AuthenticationFailed) for cause in causes):
        if not settings.cassandra_username:
            return f"the nodes of {at} ask for a user; set CASSANDRA_USERNAME and _PASSWORD"
        return (
            f"the nodes of {at} refused the user '{settings.cassandra_username}'; check "
            "CASSANDRA_USERNAME and CASSANDRA_PASSWORD"
        )
    if any(_is_tls(cause) for cause in causes):
        return (
            f"no encrypted connection to the nodes of {at} ({_reason(error)}); check "
            "CASSANDRA_TLS, CASSANDRA_CA_FILE and the certificate files"
        )
    return (
        f"no Cassandra answers at {at} ({_reason(error)}); check the address, that the cluster "
        "runs, and CASSANDRA_TLS"
    )


def _is_tls(error: BaseException) -> bool:
    # The driver makes an OSError of its own of what each address said, and keeps but the text.
    return isinstance(error, ssl.SSLError) or (isinstance(error, OSError) and "[SSL" in str(error))


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and, of one for several nodes, what each of them said."""
    yield error
    if isinstance(error, NoHostAvailable) and isinstance(error.errors, dict):
        for each in error.errors.values():
            if isinstance(each, BaseException):
                yield from _causes(each)
    if error.__cause__ is not None:
        yield from _causes(error.__cause__)


def _reason(error: BaseException) -> str:
    """One line for people: what the deepest cause said, without addresses of memory or code."""
    if isinstance(error, NoHostAvailable):
        causes = [each for each in _causes(error) if each is not error]
        return _reason(causes[0]) if causes else "no node is reachable"
    if isinstance(error, OperationTimedOut):
        return "no answer in time"
    if isinstance(error, Unauthorized):
        return f"the user of CASSANDRA_USERNAME may not: {error}"
    if isinstance(error, InvalidRequest):
        return f"{error}; if the keyspace of CASSANDRA_KEYSPACE was dropped, start again"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return " ".join(str(error).split()) or type(error).__name__
