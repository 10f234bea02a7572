"""One SQLite file shared by threads and processes: one writer at a time, readers beside it."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gateway.projection.store import StoreError

_BUSY_MS = 10_000
"""How long a writer waits for another process. Batches hold the file for tens of milliseconds, so
a longer wait means that something is stuck."""

_IDLE_READERS = 8  # connections kept for the next reader; more are opened and closed as needed


class SqliteFile:
    """Connections to one file in WAL mode, fully synchronous: what was committed stays."""

    def __init__(self, path: Path, schema: str) -> None:
        self._path = path
        self._writing = threading.Lock()
        self._idle: list[sqlite3.Connection] = []
        self._idling = threading.Lock()
        self._closed = False
        path.parent.mkdir(parents=True, exist_ok=True)
        with _told(path, "opened"):
            self._writer = self._connect()
            _use_wal(self._writer)
            self._writer.executescript(f"BEGIN IMMEDIATE;\n{schema}\nCOMMIT;")

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """The only writer of the file, in a transaction: committed on a clean exit, else undone."""
        with self._writing, _told(self._path, "written"):
            if self._closed:
                raise StoreError(f"{self._path.name} is closed")
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield self._writer
                self._writer.execute("COMMIT")
            finally:
                if self._writer.in_transaction:
                    self._writer.execute("ROLLBACK")

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """A connection for one read. It sees what was committed before it began."""
        with _told(self._path, "read"):
            reader = self._taken()
            try:
                yield reader
            finally:
                self._give_back(reader)

    def number(self, statement: str) -> int:
        """What a statement without parameters reads. As `read`, for what every request asks."""
        try:
            reader = self._taken()
            try:
                return int(reader.execute(statement).fetchone()[0])
            finally:
                self._give_back(reader)
        except sqlite3.Error as error:
            raise _refused(self._path, "read", error) from error

    def _taken(self) -> sqlite3.Connection:
        with self._idling:
            if self._closed:
                raise StoreError(f"{self._path.name} is closed")
            if self._idle:
                return self._idle.pop()
        return self._connect()

    def _give_back(self, reader: sqlite3.Connection) -> None:
        with self._idling:
            if not self._closed and len(self._idle) < _IDLE_READERS:
                self._idle.append(reader)
                return
        reader.close()

    def check(self) -> None:
        """Raise `StoreError` unless the file can be read and written now."""
        with self.read() as db:
            db.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        with self.write() as db:
            # Rewriting a header field goes the whole way of a write and changes nothing.
            (version,) = db.execute("PRAGMA user_version").fetchone()
            db.execute(f"PRAGMA user_version = {int(version)}")

    def close(self) -> None:
        """Close every connection."""
        with self._writing, self._idling:
            self._closed = True
            for connection in (self._writer, *self._idle):
                connection.close()
            self._idle.clear()

    def _connect(self) -> sqlite3.Connection:
        # Connections move between threads, but only one thread has one at a time.
        connection = sqlite3.connect(
            self._path, timeout=_BUSY_MS / 1000, isolation_level=None, check_same_thread=False
        )
        # FULL: the projector commits its offsets after its write here, and an offset must never
        # survive a power cut that the write did not.
        connection.execute("PRAGMA synchronous = FULL")
        return connection


def _use_wal(connection: sqlite3.Connection) -> None:
    """Put the file in WAL mode, which it then keeps.

    Unlike every other statement this one does not wait for its turn: of processes that open a new
    file together all but one are refused at once.
    """
    deadline = time.monotonic() + _BUSY_MS / 1000
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)


@contextmanager
def _told(path: Path, done: str) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise _refused(path, done, error) from error


def _refused(path: Path, done: str, error: sqlite3.Error) -> StoreError:
    return StoreError(
        f"{path.name} could not be {done} ({error}); check the disk and the file's owner"
    )
