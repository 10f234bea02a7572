"""The tables, one for each question that is asked, and their making.

================  =============================  =================================================
table             partition                      what a row is
================  =============================  =================================================
jobs, tracks,     tenant, id                     a document: a map of its cells, each written
items                                            ``USING TIMESTAMP`` its order, so the greater one
                                                 stays, whoever comes first (ties: `cell_texts`)
jobs_by_day,      tenant, day of creation        where to find a document; newest first. The state
tracks_by_day                                    has an SAI index. Truth is the document alone
items_by_task     tenant, task                   the items of a batch in their order, and states
days              kind, tenant                   a day on which something was created
clock             one                            how many changes there were; a counter
uploads           tenant, id                     an upload; TTL; SAI indexes find the expired ones
assets            tenant, id                     an asset
versions          tenant, track                  a holder's number; the last one is static
idempotency       tenant, key                    a request and its answer; TTL
clients           digest of the API key          who holds it
channels          tenant                         settings of a channel of generated songs
charges           tenant                         bytes that an upload holds; their total is static
meta              name                           the schema's number, its lock, the health check
================  =============================  =================================================

Published versions are cells of the track (``version/<n>/published``): one read gives the track with
all of them, so there is no table of their own.
"""

from __future__ import annotations

import secrets
import time
from typing import Any

from cassandra import AlreadyExists, InvalidRequest
from cassandra.protocol import ServerError

from gateway.projection.cassandra.failures import working
from gateway.projection.cassandra.settings import CassandraSettings
from gateway.projection.store import StoreError

VERSION = 5
"""Raised with every change of the tables."""

TIMEOUT_S = 60.0  # changes of the schema and truncations wait for every node

PROJECTION = ("jobs", "tracks", "items", "jobs_by_day", "tracks_by_day", "items_by_task", "days")
"""What the events determine: emptied before a rebuild. The clock goes on."""

_NEWEST = "charges"
"""The last of `_TABLES`: where it is there, all are, and have been for a while."""

_META = "CREATE TABLE IF NOT EXISTS meta (name text PRIMARY KEY, value text)"

_CELLS = """
CREATE TABLE IF NOT EXISTS {name} (
    tenant text, id text, cells map<text, text>, PRIMARY KEY ((tenant, id))
)
"""

_TABLES = (
    _CELLS.format(name="jobs"),
    _CELLS.format(name="tracks"),
    _CELLS.format(name="items"),
    """
CREATE TABLE IF NOT EXISTS jobs_by_day (
    tenant text, day bigint, created_ms bigint, id text, state text,
    PRIMARY KEY ((tenant, day), created_ms, id)
) WITH CLUSTERING ORDER BY (created_ms DESC, id DESC)
""",
    "CREATE INDEX IF NOT EXISTS jobs_by_state ON jobs_by_day (state) USING 'sai'",
    """
CREATE TABLE IF NOT EXISTS tracks_by_day (
    tenant text, day bigint, created_ms bigint, id text,
    PRIMARY KEY ((tenant, day), created_ms, id)
) WITH CLUSTERING ORDER BY (created_ms DESC, id DESC)
""",
    """
CREATE TABLE IF NOT EXISTS items_by_task (
    tenant text, task_id text, place int, id text, state text,
    PRIMARY KEY ((tenant, task_id), place, id)
)
""",
    """
CREATE TABLE IF NOT EXISTS days (
    kind text, tenant text, day bigint, PRIMARY KEY ((kind, tenant), day)
) WITH CLUSTERING ORDER BY (day DESC)
""",
    "CREATE TABLE IF NOT EXISTS clock (id int PRIMARY KEY, sequence counter)",
    "DROP TABLE IF EXISTS changes",  # of version 1 (see `clock` for why there is none)
    """
CREATE TABLE IF NOT EXISTS uploads (
    tenant text, id text, state text, expires_ms bigint, body text, PRIMARY KEY ((tenant, id))
)
""",
    "CREATE INDEX IF NOT EXISTS uploads_by_state ON uploads (state) USING 'sai'",
    "CREATE INDEX IF NOT EXISTS uploads_by_expiry ON uploads (expires_ms) USING 'sai'",
    """
CREATE TABLE IF NOT EXISTS assets (
    tenant text, id text, body text, PRIMARY KEY ((tenant, id))
)
""",
    """
CREATE TABLE IF NOT EXISTS versions (
    tenant text, track_id text, last bigint STATIC, holder text, number bigint,
    PRIMARY KEY ((tenant, track_id), holder)
)
""",
    """
CREATE TABLE IF NOT EXISTS idempotency (
    tenant text, key text, digest text, ids text, begun_ms bigint, answer text,
    PRIMARY KEY ((tenant, key))
)
""",
    "CREATE INDEX IF NOT EXISTS idempotency_by_age ON idempotency (begun_ms) USING 'sai'",
    "CREATE TABLE IF NOT EXISTS clients (key_sha256 text PRIMARY KEY, body text)",
    """
CREATE TABLE IF NOT EXISTS channels (tenant text, id text, body text, PRIMARY KEY (tenant, id))
""",
    """
CREATE TABLE IF NOT EXISTS charges (
    tenant text, total bigint STATIC, what text, amount bigint, PRIMARY KEY (tenant, what)
)
""",
)

CHECK_WRITE = "INSERT INTO meta (name, value) VALUES ('check', 'written') USING TTL 60"
CHECK_READ = "SELECT value FROM meta WHERE name = 'schema'"

_HAS_META = (
    "SELECT table_name FROM system_schema.tables WHERE keyspace_name = %s AND table_name = 'meta'"
)

_MAKER_S = (3.0, 12.0)  # a table takes a second on a busy machine
_LOCK_S = 120  # a maker that died holds nobody up for longer
_LOOK_S = 0.2
_APPEARS_S = 60.0  # schema changes of a node that just came back on a busy machine: over 10


def create(cluster: Any, session: Any, settings: CassandraSettings, nearest: str) -> None:
    """Use the keyspace, made with its tables when they are missing. Raises `StoreError`.

    Where all is there already nothing is executed that needs the right to change a schema.
    """
    deadline_s = time.monotonic() + _APPEARS_S
    with working(f"make the keyspace '{settings.cassandra_keyspace}'"):
        while True:
            try:
                _create(cluster, session, settings, nearest)
                return
            except (InvalidRequest, ServerError):
                # For a moment after another process made a keyspace or a table the node finds it
                # there already (IF NOT EXISTS) and still says that it does not exist.
                if time.monotonic() >= deadline_s:
                    raise
            time.sleep(_LOOK_S)


def _create(cluster: Any, session: Any, settings: CassandraSettings, nearest: str) -> None:
    name = settings.cassandra_keyspace
    known = cluster.metadata.keyspaces.get(name)
    maker = known is None and _make_keyspace(session, settings, nearest)
    session.set_keyspace(name)
    if known is None or _NEWEST not in known.tables:
        if not maker:
            _await_maker(session, name)
        # Where it is there already this waits until it is made: a node that is asked for a row
        # while it makes a keyspace's first table may never find that table again ("Unknown CF").
        session.execute(_META, timeout=TIMEOUT_S)
    while not _is_current(session, name):
        holder = secrets.token_hex(8)
        if not _take_lock(session, holder):
            time.sleep(_LOOK_S)
            continue
        try:
            for statement in _TABLES:
                session.execute(statement, timeout=TIMEOUT_S)
            session.execute("INSERT INTO meta (name, value) VALUES ('schema', %s)", (str(VERSION),))
        finally:
            session.execute("DELETE FROM meta WHERE name = 'lock' IF value = %s", (holder,))


def _make_keyspace(session: Any, settings: CassandraSettings, nearest: str) -> bool:
    """Make the keyspace; False where another process did so first.

    Of those that start together only the one that made it makes the table of the lock as well: two
    nodes that are told so at once make two tables of one name.
    """
    copies = {"class": "NetworkTopologyStrategy", **settings.copies(nearest)}
    # The name is checked by the settings and the copies are quoted; CQL binds no values here.
    quoted = ", ".join(f"{_quoted(k)}: {_quoted(v)}" for k, v in copies.items())
    try:
        session.execute(
            f"CREATE KEYSPACE {settings.cassandra_keyspace} WITH replication = {{{quoted}}}",
            timeout=TIMEOUT_S,
        )
    except AlreadyExists:
        return False
    return True


def _await_maker(session: Any, keyspace: str) -> None:
    """Wait until the table of the lock is seen, or whoever made the keyspace must have died."""
    # By chance, so that of several that wait for a maker who died one comes first.
    deadline_s = time.monotonic() + secrets.SystemRandom().uniform(*_MAKER_S)
    while time.monotonic() < deadline_s and not session.execute(_HAS_META, (keyspace,)).one():
        time.sleep(_LOOK_S)


def _is_current(session: Any, keyspace: str) -> bool:
    row = session.execute(CHECK_READ).one()
    if row is not None and int(row[0]) > VERSION:
        raise StoreError(
            f"the keyspace '{keyspace}' was made by a newer release (schema {row[0]}, this one "
            f"knows {VERSION}); upgrade, or name another one in CASSANDRA_KEYSPACE"
        )
    return row is not None and int(row[0]) == VERSION


def _take_lock(session: Any, holder: str) -> bool:
    """Of processes that start together one changes the schema: nodes that are told to make one
    table at once disagree about it.
    """
    row = session.execute(
        "INSERT INTO meta (name, value) VALUES ('lock', %s) IF NOT EXISTS USING TTL %s",
        (holder, _LOCK_S),
    ).one()
    return bool(row[0])


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
