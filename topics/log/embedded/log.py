"""The embedded log: a broker in one SQLite file."""

from __future__ import annotations

import os
import re
import sqlite3
import time
import weakref
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from topics.log.embedded import schema
from topics.log.embedded.consumer import EmbeddedConsumer, EmbeddedReader
from topics.log.embedded.file import Changes, LogFile
from topics.log.embedded.producer import EmbeddedProducer
from topics.log.embedded.watch import attach, detach
from topics.log.protocol import LogError, OnPartitions, TopicPartition

_TOPIC_NAME: Final = re.compile(r"[a-zA-Z0-9._-]{1,249}")  # Kafka's rule
_TRIM_RECORDS: Final = 500  # deleted in one transaction, so that writers wait some ms at most


class EmbeddedLog:
    """A `topics.log.protocol.Log` in one SQLite file, for several threads and processes.

    What a call wrote is on disk when the call returns. A process that dies, in whatever way,
    leaves its groups at once; one that is stopped (SIGSTOP) keeps its partitions, as nothing
    here is told by a clock. A log does not pass a fork: open another in the child.

    Beside ``path`` lie SQLite's ``-wal`` and ``-shm``, and ``-live`` (who is alive); the file must
    be on a local disk.

    A file written by a newer version, or of another program, raises `LogError`.
    """

    def __init__(
        self,
        path: Path,
        *,
        clock: Callable[[], float] = time.time,
        busy_timeout_s: float = 10.0,
    ) -> None:
        """``clock`` gives Unix seconds; ``busy_timeout_s`` is how long a write waits for other
        processes before it raises `LogError`."""
        self._path = path.resolve()
        self._clock = clock
        self._pid = os.getpid()
        self._shared = attach(self._path, busy_timeout_s, self._pid)
        self._opened: weakref.WeakSet[EmbeddedConsumer | EmbeddedReader | EmbeddedProducer] = (
            weakref.WeakSet()
        )
        self._closed = False

    def _file(self) -> LogFile:
        if self._closed:
            raise LogError(f"log: '{self._path.name}' was closed; open it again")
        if os.getpid() != self._pid:
            raise LogError(f"log: '{self._path.name}' was opened before a fork; open it again here")
        return self._shared.file

    def provision(
        self, topics: Mapping[str, int], retention_ms: Mapping[str, int] | None = None
    ) -> None:
        """See `topics.log.protocol.Log.provision`. Raises `ValueError` for a name that Kafka
        would not take either, or fewer than one partition."""
        for topic, partitions in topics.items():
            if not _TOPIC_NAME.fullmatch(topic) or topic in {".", ".."}:
                raise ValueError(
                    f"'{topic}' is no topic name: up to 249 of letters, digits, '.', '_' and '-'"
                )
            if partitions < 1:
                raise ValueError(f"topic '{topic}' needs 1 partition at least, not {partitions}")
        file = self._file()
        known = file.topics()
        missing = {topic: n for topic, n in topics.items() if topic not in known}
        if not missing:
            return

        def create(db: sqlite3.Connection, changes: Changes) -> None:
            for topic, partitions in sorted(missing.items()):
                if db.execute("SELECT 1 FROM topic_partition WHERE topic = ?", (topic,)).fetchone():
                    continue  # another process was quicker
                for number in range(partitions):
                    row = db.execute(
                        "INSERT INTO topic_partition (topic, number) VALUES (?, ?) RETURNING id",
                        (topic, number),
                    ).fetchone()
                    changes.ends[row[0]] = 0

        file.write(create)
        file.topics()

    def topics(self) -> Mapping[str, int]:
        """See `topics.log.protocol.Log.topics`."""
        return self._file().topics()

    def consumer(
        self,
        group: str,
        topics: Collection[str],
        *,
        on_assign: OnPartitions | None = None,
        on_revoke: OnPartitions | None = None,
    ) -> EmbeddedConsumer:
        """See `topics.log.protocol.Log.consumer`."""
        self._file()
        consumer = EmbeddedConsumer(self._shared, group, topics, on_assign, on_revoke)
        self._opened.add(consumer)
        return consumer

    def reader(
        self, topics: Collection[str], *, start: Mapping[TopicPartition, int] | None = None
    ) -> EmbeddedReader:
        """See `topics.log.protocol.Log.reader`."""
        self._file()
        reader = EmbeddedReader(self._shared, topics, start or {})
        self._opened.add(reader)
        return reader

    def producer(self, name: str) -> EmbeddedProducer:
        """See `topics.log.protocol.Log.producer`."""
        self._file()
        producer = EmbeddedProducer(self._shared, name, self._clock)
        self._opened.add(producer)
        return producer

    def end_offsets(self, topics: Collection[str]) -> Mapping[TopicPartition, int]:
        """See `topics.log.protocol.Log.end_offsets`. Raises `UnknownTopic`."""
        file = self._file()
        ids = {topic: file.partitions(topic) for topic in topics}
        bounds = file.bounds()
        return {
            TopicPartition(topic, number): bounds[p][1]
            for topic, found in ids.items()
            for number, p in enumerate(found)
        }

    def group_offsets(self, group: str) -> Mapping[TopicPartition, int]:
        """See `topics.log.protocol.Log.group_offsets`."""
        return self._file().group_offsets(group)

    def trim(self, retention_ms: Mapping[str, int]) -> int:
        """Delete records older than their topic's retention; return how many.

        Offsets stay: the earliest one moves on, and readers behind it go on from there. Topics
        that are not named keep everything. The room is used again by new records; the file does
        not shrink. Raises `UnknownTopic`.
        """
        file = self._file()
        now_ms = int(self._clock() * 1000)
        deleted = 0
        for topic, keep_ms in retention_ms.items():
            for p in file.partitions(topic):
                deleted += _trim_partition(file, p, now_ms - keep_ms)
        return deleted

    def close(self) -> None:
        """Close what this log opened, without callbacks; close consumers first to have them."""
        if self._closed:
            return
        self._closed = True
        for opened in list(self._opened):
            # A disk too full to leave a group does not keep anyone from closing: what is left of
            # this process counts as dead as soon as its file is closed.
            with suppress(LogError):
                opened.abandon()
        detach(self._path, self._pid)


def _trim_partition(file: LogFile, p: int, before_ms: int) -> int:
    total = 0

    def step(db: sqlite3.Connection, _: Changes) -> int:
        rows = db.execute(
            "SELECT slot, timestamp_ms FROM record WHERE slot >= ? AND slot < ?"
            " ORDER BY slot LIMIT ?",
            (schema.slot(p, 0), schema.slot(p + 1, 0), _TRIM_RECORDS),
        ).fetchall()
        old = 0
        while old < len(rows) and rows[old][1] < before_ms:
            old += 1
        if old:
            last = rows[old - 1][0]
            db.execute(
                "DELETE FROM record WHERE slot >= ? AND slot <= ?", (schema.slot(p, 0), last)
            )
            db.execute(
                "UPDATE topic_partition SET earliest = ? WHERE id = ?",
                (schema.offset_of(last) + 1, p),
            )
        return old

    while True:
        deleted = file.write(step)
        total += deleted
        if deleted < _TRIM_RECORDS:
            return total
