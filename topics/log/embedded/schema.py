"""The tables of an embedded log, and how a record is laid out in them."""

from __future__ import annotations

import sqlite3
import struct
from pathlib import Path
from typing import Final

from topics.log.protocol import Headers, LogError

APPLICATION_ID: Final = 0x4D4C5347  # "MLSG": told apart from any other SQLite file
VERSION: Final = 1  # PRAGMA user_version; raise it together with a migration

OFFSET_BITS: Final = 40
"""A record's row id is (partition id << 40) + offset: one b-tree, no second index, and a
partition is one range of it. 2**40 records a partition and 2**23 partitions fit."""

TABLES: Final = """
CREATE TABLE topic_partition (
    id       INTEGER PRIMARY KEY,
    topic    TEXT    NOT NULL,
    number   INTEGER NOT NULL,
    earliest INTEGER NOT NULL DEFAULT 0,  -- first offset kept
    next     INTEGER NOT NULL DEFAULT 0,  -- offset of the next record
    UNIQUE (topic, number)
);
CREATE TABLE record (
    slot         INTEGER PRIMARY KEY,     -- partition id << 40 | offset
    timestamp_ms INTEGER NOT NULL,
    key          BLOB,
    value        BLOB,
    headers      BLOB
);
CREATE TABLE committed (
    group_name   TEXT    NOT NULL,
    partition_id INTEGER NOT NULL,
    next         INTEGER NOT NULL,
    PRIMARY KEY (group_name, partition_id)
) WITHOUT ROWID;
CREATE TABLE process (
    id  INTEGER PRIMARY KEY AUTOINCREMENT, -- the byte of the presence file that it holds
    pid INTEGER NOT NULL                   -- for people; liveness is the byte
);
CREATE TABLE consumer_group (
    name       TEXT PRIMARY KEY,
    generation INTEGER NOT NULL            -- rises whenever a member may have to move
) WITHOUT ROWID;
CREATE TABLE member (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    group_name TEXT    NOT NULL,
    process_id INTEGER NOT NULL,
    topics     TEXT    NOT NULL            -- JSON array
);
CREATE TABLE assignment (
    group_name   TEXT    NOT NULL,
    partition_id INTEGER NOT NULL,
    owner        INTEGER,                  -- who may commit it now
    target       INTEGER,                  -- who should own it
    PRIMARY KEY (group_name, partition_id)
) WITHOUT ROWID;
CREATE TABLE producer (
    name  TEXT PRIMARY KEY,
    epoch INTEGER NOT NULL
) WITHOUT ROWID;
"""


def prepare(db: sqlite3.Connection, path: Path) -> None:
    """Make a new file a log, and refuse one that is not, or that a newer Melisma wrote.

    Raises `LogError`. Callers hold the log's write lock.
    """
    (version,) = db.execute("PRAGMA user_version").fetchone()
    (application,) = db.execute("PRAGMA application_id").fetchone()
    (tables,) = db.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if tables and application != APPLICATION_ID:
        raise LogError(
            f"log: '{path.name}' is an SQLite file of another program; choose another data folder"
        )
    if version > VERSION:
        raise LogError(
            f"log: '{path.name}' has format {version}, written by a newer Melisma; this one reads "
            f"up to format {VERSION}: upgrade Melisma or choose another data folder"
        )
    if not tables:
        db.executescript(
            f"BEGIN IMMEDIATE; {TABLES}"
            f"PRAGMA application_id = {APPLICATION_ID};"
            f"PRAGMA user_version = {VERSION}; COMMIT;"
        )


def slot(partition_id: int, offset: int) -> int:
    """The row id of a record."""
    return (partition_id << OFFSET_BITS) + offset


def offset_of(row: int) -> int:
    """The offset of a row id."""
    return row & ((1 << OFFSET_BITS) - 1)


_LENGTHS = struct.Struct(">II")


def pack(headers: Headers) -> bytes | None:
    """Headers as length-prefixed name and value pairs; None for no headers."""
    if not headers:
        return None
    out = bytearray()
    for name, value in headers:
        encoded = name.encode()
        out += _LENGTHS.pack(len(encoded), len(value))
        out += encoded
        out += value
    return bytes(out)


def unpack(packed: bytes | None) -> Headers:
    """The headers that `pack` laid out."""
    if packed is None:
        return ()
    pairs: list[tuple[str, bytes]] = []
    at, end = 0, len(packed)
    while at < end:
        names, values = _LENGTHS.unpack_from(packed, at)
        value = at + 8 + names
        pairs.append((packed[at + 8 : value].decode(), packed[value : (at := value + values)]))
    return tuple(pairs)
