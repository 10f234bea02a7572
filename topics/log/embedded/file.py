"""One log file as one process sees it: its writer, its commits, its state in memory.

Every `EmbeddedLog` of a process on the same path shares one `LogFile`. Writes of several threads
that wait for each other are committed together: one fsync for all of them.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

from topics.log.embedded import schema
from topics.log.embedded.presence import Presence
from topics.log.protocol import Doubtful, LogError, TopicPartition, UnknownTopic

T = TypeVar("T")

_WRITER_CACHE_KIB: Final = 8192
_READER_CACHE_KIB: Final = 512  # a process holds about twenty readers; records are read once
_CHECKPOINT_PAGES: Final = 1000  # SQLite's default, 4 MB of WAL
_WAL_LIMIT_BYTES: Final = 64 * 2**20  # a WAL swollen by big records shrinks back to this
_COMMIT_NOT_WRITTEN: Final = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE})
"""Errors of COMMIT that leave no doubt: the WAL frame that makes it a commit is the last one
written, so a write that failed came before it or was it. (A failed fsync does leave doubt; the
next commit, such as that of a new producer, overwrites its frames and settles it.)"""


@dataclass(slots=True)
class Changes:
    """What a commit changed, for those who wait in this process."""

    ends: dict[int, int] = field(default_factory=dict)  # partition id -> next offset
    groups: dict[str, int] = field(default_factory=dict)  # group -> generation


Work = Callable[[sqlite3.Connection, Changes], T]


class _Job(Generic[T]):
    """A write that waits for its turn, then its outcome."""

    __slots__ = ("done", "error", "value", "work")

    def __init__(self, work: Work[T]) -> None:
        self.work = work
        self.value: T | None = None
        self.error: BaseException | None = None
        self.done = False

    def fail(self, error: BaseException) -> None:
        self.error, self.done = error, True

    def result(self) -> T:
        if self.error is not None:
            raise self.error
        return self.value  # type: ignore[return-value]


@dataclass(slots=True, eq=False)
class Listener:
    """Someone who waits in `poll` for records of some topics, or for their group to change."""

    topics: frozenset[str]
    group: str | None
    signal: threading.Event = field(default_factory=threading.Event)


class LogFile:
    """The shared state of one path in one process. See `topics.log.embedded.watch.attach`."""

    def __init__(self, path: Path, busy_timeout_s: float) -> None:
        self.path = path
        self.ends: dict[int, int] = {}
        self.generations: dict[str, int] = {}
        self._busy_timeout_s = busy_timeout_s
        self._partitions: dict[str, tuple[int, ...]] = {}
        self._topic_of: dict[int, str] = {}
        self._newest_id: int | None = None  # of the partitions that are known
        self._listeners: set[Listener] = set()
        self._queue: deque[_Job[object]] = deque()
        self._turn = threading.Lock()
        self._open = True
        self._process_id: int | None = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self.presence = Presence(path.with_name(path.name + "-live"))
        except OSError as error:
            raise LogError(
                f"log: cannot open '{path.name}' ({error.strerror}); check that its folder exists "
                "and may be written"
            ) from error
        try:
            with self.presence.writing(busy_timeout_s):
                self._writer = self._open_writer()
            self._version = self._data_version()
            self.refresh()
        except (sqlite3.Error, TimeoutError) as error:
            self.presence.close()
            raise self.explained(error) from error
        except LogError:
            self.presence.close()
            raise

    # -- connections ---------------------------------------------------------------------------

    def _open_writer(self) -> sqlite3.Connection:
        db = self._connect(_WRITER_CACHE_KIB)
        try:
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = FULL")
            db.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
            db.execute(f"PRAGMA journal_size_limit = {_WAL_LIMIT_BYTES}")
            schema.prepare(db, self.path)
        except BaseException:
            db.close()
            raise
        return db

    def connect_reader(self) -> sqlite3.Connection:
        """A connection that only reads, for one polling thread."""
        try:
            db = self._connect(_READER_CACHE_KIB)
            db.execute("PRAGMA query_only = 1")
        except sqlite3.Error as error:
            raise self.explained(error) from error
        return db

    def _connect(self, cache_kib: int) -> sqlite3.Connection:
        db = sqlite3.connect(
            self.path,
            timeout=self._busy_timeout_s,
            isolation_level=None,  # BEGIN and COMMIT are ours
            check_same_thread=False,  # made on one thread, polled on another
        )
        db.execute(f"PRAGMA cache_size = -{cache_kib}")
        return db

    # -- writing -------------------------------------------------------------------------------

    def write(self, work: Work[T]) -> T:
        """Run ``work`` in a transaction and return its value once that is durable.

        ``work`` must leave nothing behind when it raises. Raises what it raised, `LogError` when
        nothing was written, `Doubtful` when that cannot be known.
        """
        job: _Job[T] = _Job(work)
        self._queue.append(job)  # type: ignore[arg-type]
        with self._turn:  # whoever comes first commits for those who queue behind
            if not self._open:
                raise LogError(f"log: '{self.path.name}' was closed; open it again")
            if not job.done:
                jobs = [self._queue.popleft() for _ in range(len(self._queue))]
                try:
                    with self.presence.writing(self._busy_timeout_s):
                        self._commit(jobs)
                except (sqlite3.Error, TimeoutError) as error:
                    self._fail(jobs, self.explained(error))
                except LogError as error:
                    self._fail(jobs, error)
                except BaseException:  # such as Ctrl-C, for this thread; the others may go on
                    self._fail(jobs, Doubtful(f"log: a write to '{self.path.name}' was cut short"))
                    raise
                finally:
                    if self._writer.in_transaction:
                        self._writer.execute("ROLLBACK")
        return job.result()

    @staticmethod
    def _fail(jobs: list[_Job[object]], error: LogError) -> None:
        for job in jobs:
            if not job.done:
                job.fail(error)

    def _commit(self, jobs: list[_Job[object]]) -> None:
        db = self._writer
        done: list[_Job[object]] = []
        published = Changes()
        db.execute("BEGIN IMMEDIATE")
        for job in jobs:
            changes = Changes()
            try:
                if len(jobs) > 1:
                    db.execute("SAVEPOINT job")
                job.value = job.work(db, changes)
            except Exception as error:
                if not db.in_transaction:  # SQLite gave up all of it, the other jobs too
                    raise
                if len(jobs) > 1:
                    db.execute("ROLLBACK TO job")
                    db.execute("RELEASE job")
                explained = self.explained(error) if isinstance(error, sqlite3.Error) else error
                if explained is not error:
                    explained.__cause__ = error
                job.fail(explained)
            else:
                if len(jobs) > 1:
                    db.execute("RELEASE job")
                done.append(job)
                published.ends |= changes.ends
                published.groups |= changes.groups
        if not done:
            db.execute("ROLLBACK")
            return
        try:
            db.execute("COMMIT")
        except sqlite3.Error as error:
            if error.sqlite_errorcode in _COMMIT_NOT_WRITTEN:
                raise
            raise Doubtful(
                f"log: '{self.path.name}' failed while it committed ({error}); whether it did is "
                "unknown: make another producer and read the offsets"
            ) from error
        self.publish(published)
        for job in done:
            job.done = True

    def explained(self, error: BaseException) -> LogError:
        """What an error of SQLite means, where, and what to do."""
        name = self.path.name
        code = getattr(error, "sqlite_errorcode", None)
        primary = code & 0xFF if code is not None else None  # extended codes keep it low
        if isinstance(error, TimeoutError) or primary in (
            sqlite3.SQLITE_BUSY,
            sqlite3.SQLITE_LOCKED,
        ):
            return LogError(
                f"log: another process has held '{name}' locked for {self._busy_timeout_s:g} s; "
                "nothing was written: look for a stopped or hanging process, then try again"
            )
        if primary == sqlite3.SQLITE_FULL:
            return LogError(
                f"log: no room is left for '{name}'; nothing was written: free disk space, then "
                "try again"
            )
        if primary in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            return LogError(
                f"log: '{name}' is damaged or no log ({error}); restore a backup or choose "
                "another data folder"
            )
        if primary in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM):
            return LogError(
                f"log: '{name}' cannot be opened for writing ({error}); check its owner and rights"
            )
        return LogError(f"log: '{name}' could not be read or written ({error})")

    # -- what this process knows ---------------------------------------------------------------

    def partitions(self, topic: str) -> tuple[int, ...]:
        """The partition ids of a topic, by number. Raises `UnknownTopic`."""
        ids = self._partitions.get(topic)
        if ids is None:
            with self._turn:
                self.refresh()
            ids = self._partitions.get(topic)
        if ids is None:
            raise UnknownTopic(
                f"log: topic '{topic}' is not in '{self.path.name}'; provision it before use"
            )
        return ids

    def topics(self) -> dict[str, int]:
        """Every topic and its number of partitions, as committed now."""
        with self._turn:
            self.refresh()
            return {topic: len(ids) for topic, ids in self._partitions.items()}

    def bounds(self) -> dict[int, tuple[int, int]]:
        """Partition id -> earliest and next offset, as committed now."""
        with self._turn:
            self.refresh()
            rows = self._rows("SELECT id, earliest, next FROM topic_partition")
        return {p: (earliest, end) for p, earliest, end in rows}

    def group_offsets(self, group: str) -> dict[TopicPartition, int]:
        """The next offsets that a group has committed."""
        with self._turn:
            rows = self._rows(
                "SELECT topic, number, c.next FROM committed AS c"
                " JOIN topic_partition AS p ON p.id = c.partition_id WHERE group_name = ?",
                group,
            )
        return {TopicPartition(topic, number): end for topic, number, end in rows}

    def others(self) -> list[int]:
        """The process ids of other processes that have entered the log."""
        with self._turn:
            rows = self._rows("SELECT id FROM process")
        return [p for (p,) in rows if p != self._process_id]

    def _rows(self, query: str, *parameters: str) -> list[tuple[Any, ...]]:
        try:
            return self._writer.execute(query, parameters).fetchall()
        except sqlite3.Error as error:
            raise self.explained(error) from error

    def refresh(self) -> None:
        """Read again what other processes may have changed. Callers hold the turn.

        On a busy log every look of every process comes here: most of hundreds of partitions are
        empty, and nobody takes one away, so only those with records are read.
        """
        changes = Changes()
        newest = self._rows("SELECT max(id) FROM topic_partition")[0][0]
        if newest != self._newest_id:
            changes.ends |= self._read_partitions()
            self._newest_id = newest
        for row_id, end in self._rows("SELECT id, next FROM topic_partition WHERE next > 0"):
            if self.ends.get(row_id) != end:
                changes.ends[row_id] = end
        for group, generation in self._rows("SELECT name, generation FROM consumer_group"):
            if self.generations.get(group) != generation:
                changes.groups[group] = generation
        self.publish(changes)

    def _read_partitions(self) -> dict[int, int]:
        """Which there are; the ends of those that were not known."""
        found: dict[str, list[int]] = {}
        for row_id, topic in self._rows(
            "SELECT id, topic FROM topic_partition ORDER BY topic, number"
        ):
            found.setdefault(topic, []).append(row_id)
            self._topic_of[row_id] = topic
        self._partitions = {topic: tuple(ids) for topic, ids in found.items()}
        return {row_id: 0 for row_id in self._topic_of if row_id not in self.ends}

    def publish(self, changes: Changes) -> None:
        """Tell those in this process whom a commit concerns. Callers hold the turn."""
        self.ends |= changes.ends
        self.generations |= changes.groups
        topics = {self._topic_of.get(row_id) for row_id in changes.ends}
        for listener in tuple(self._listeners):
            if listener.group in changes.groups or not topics.isdisjoint(listener.topics):
                listener.signal.set()

    def listen(self, listener: Listener) -> None:
        """Signal this listener from now on."""
        with self._turn:
            self._listeners.add(listener)

    def unlisten(self, listener: Listener) -> None:
        """Signal it no more."""
        with self._turn:
            self._listeners.discard(listener)

    def poll_others(self) -> None:
        """Notice what other processes committed since the last call; some 10 µs if nothing."""
        with self._turn:
            version = self._data_version()
            if version != self._version:
                self._version = version
                self.refresh()

    def _data_version(self) -> int:
        # Unchanged by this connection's own commits, so only other processes are noticed.
        return int(self._rows("PRAGMA data_version")[0][0])

    # -- this process among others -------------------------------------------------------------

    def process_id(self) -> int:
        """This process's number in the log, made on first use."""
        if self._process_id is None:
            self._process_id = self.write(self._enter)
        return self._process_id

    def _enter(self, db: sqlite3.Connection, _: Changes) -> int:
        while True:
            (row_id,) = db.execute(
                "INSERT INTO process (pid) VALUES (?) RETURNING id", (os.getpid(),)
            ).fetchone()
            # Held before anyone can see the row, so nobody takes a live process for dead. Taken
            # only where a failed commit left another process with a byte and no row.
            if self.presence.hold(row_id):
                return int(row_id)

    def is_dead(self, process_id: int) -> bool:
        """Whether the process behind a row has ended."""
        return not self.presence.alive(process_id)

    def close(self) -> None:
        """Leave and close. The last user calls it, through `detach`."""
        process_id = self._process_id
        if process_id is not None:
            with suppress(LogError):  # else the others find its byte free
                self.write(
                    lambda db, _: db.execute("DELETE FROM process WHERE id = ?", (process_id,))
                )
        with self._turn:
            self._open = False
            try:
                # Closing may checkpoint, so it is a write like any other.
                with self.presence.writing(self._busy_timeout_s):
                    self._writer.close()
            except TimeoutError:
                self._writer.close()
            self.presence.close()
