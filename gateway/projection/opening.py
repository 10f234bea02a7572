"""Which databases the settings name: a Cassandra cluster, or files in the data folder."""

from __future__ import annotations

from gateway.projection.cassandra.settings import CassandraSettings
from gateway.projection.reservations import Reservations
from gateway.projection.sqlite import SqliteStore
from gateway.projection.sqlite_reservations import SqliteReservations
from gateway.projection.store import ProjectionStore, StoreError
from topics.settings import BusSettings


def open_store(
    settings: BusSettings, cassandra: CassandraSettings | None = None
) -> ProjectionStore:
    """The projection: in Cassandra where ``CASSANDRA_CONTACT_POINTS`` is set, else in SQLite.

    ``cassandra`` is read from the environment when it is not given. Raises `StoreError`.
    """
    cassandra = cassandra or CassandraSettings()
    if not cassandra.cassandra_contact_points:
        return SqliteStore(settings.data_dir / "projection.db")
    require_driver()
    from gateway.projection.cassandra.store import CassandraStore

    return CassandraStore(cassandra)


def open_reservations(
    settings: BusSettings, cassandra: CassandraSettings | None = None
) -> Reservations:
    """The gateway's own rows, in the same database as the projection. Raises `StoreError`."""
    cassandra = cassandra or CassandraSettings()
    if not cassandra.cassandra_contact_points:
        return SqliteReservations(settings.data_dir / "gateway.db")
    require_driver()
    from gateway.projection.cassandra.reservations import CassandraReservations

    return CassandraReservations(cassandra)


def require_driver() -> None:
    """Raise `StoreError` unless the driver is installed."""
    try:
        import cassandra  # noqa: F401
    except ImportError:
        raise StoreError(
            "CASSANDRA_CONTACT_POINTS is set, but cassandra-driver is not installed; "
            "`pip install 'melisma[cassandra]'`"
        ) from None
