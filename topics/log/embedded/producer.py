"""Producers of an embedded log: what they write is one SQLite transaction."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager

from topics.log.embedded import groups, schema
from topics.log.embedded.consumer import EmbeddedConsumer
from topics.log.embedded.file import Changes
from topics.log.embedded.watch import SharedFile
from topics.log.partitioner import partition_of
from topics.log.protocol import Consumer, Fenced, LogError, Outgoing, TopicPartition

_Placed = tuple[int, Outgoing]  # with its partition id


class EmbeddedTransaction:
    """A `Transaction`: gathered in memory, written at its end, so that it locks nothing before."""

    def __init__(self, producer: EmbeddedProducer) -> None:
        self._producer = producer
        self.outputs: list[_Placed] = []
        self.offsets: list[tuple[EmbeddedConsumer, Mapping[TopicPartition, int]]] = []

    def send(self, outgoing: Outgoing) -> None:
        """See `topics.log.protocol.Transaction.send`."""
        self.outputs.append(self._producer.place(outgoing))

    def commit_offsets(self, consumer: Consumer, offsets: Mapping[TopicPartition, int]) -> None:
        """See `topics.log.protocol.Transaction.commit_offsets`."""
        if not isinstance(consumer, EmbeddedConsumer):
            raise LogError("log: an embedded transaction commits for consumers of its own log only")
        consumer.require(offsets)
        self.offsets.append((consumer, dict(offsets)))


class EmbeddedWriting:
    """A `Writing` that is written at its `end`: a file has one writer at a time, for a moment."""

    def __init__(self, producer: EmbeddedProducer) -> None:
        self._producer = producer
        self._outputs: list[Outgoing] = []
        self._failure: LogError | None = None

    def send(self, outgoing: Outgoing) -> None:
        """See `topics.log.protocol.Writing.send`."""
        self._outputs.append(outgoing)

    def end(self, consumer: Consumer, offsets: Mapping[TopicPartition, int]) -> None:
        """See `topics.log.protocol.Writing.end`."""
        try:
            with self._producer.transaction() as transaction:
                for each in self._outputs:
                    transaction.send(each)
                transaction.commit_offsets(consumer, offsets)
        except LogError as failure:
            self._failure = failure

    def over(self) -> bool:
        """See `topics.log.protocol.Writing.over`."""
        return True

    def wait(self) -> None:
        """See `topics.log.protocol.Writing.wait`."""
        if self._failure is not None:
            raise self._failure


class EmbeddedProducer:
    """A `Producer` of an embedded log."""

    def __init__(self, shared: SharedFile, name: str, clock: Callable[[], float]) -> None:
        self._file = shared.file
        self._name = name
        self._clock = clock
        self._turn = itertools.count()  # records without a key take partitions in turn
        self._open = True
        self._busy = False
        self._epoch = self._file.write(self._begin)

    def _begin(self, db: sqlite3.Connection, _: Changes) -> int:
        (epoch,) = db.execute(
            "INSERT INTO producer (name, epoch) VALUES (?, 1)"
            " ON CONFLICT DO UPDATE SET epoch = epoch + 1 RETURNING epoch",
            (self._name,),
        ).fetchone()
        return int(epoch)

    def send(self, outgoing: Iterable[Outgoing]) -> None:
        """See `topics.log.protocol.Producer.send`."""
        self._require_open()
        placed = [self.place(each) for each in outgoing]
        if placed:
            self._file.write(lambda db, changes: self._write(db, changes, placed, ()))

    @contextmanager
    def transaction(self) -> Iterator[EmbeddedTransaction]:
        """See `topics.log.protocol.Producer.transaction`."""
        self._require_open()
        if self._busy:
            raise LogError(f"log: producer '{self._name}' is already in a transaction")
        self._busy = True
        try:
            transaction = EmbeddedTransaction(self)
            yield transaction
            self._require_open()
            self._file.write(
                lambda db, changes: self._write(
                    db, changes, transaction.outputs, transaction.offsets
                )
            )
        finally:
            self._busy = False

    def write(self) -> EmbeddedWriting:
        """See `topics.log.protocol.Producer.write`."""
        return EmbeddedWriting(self)

    def close(self) -> None:
        """See `topics.log.protocol.Producer.close`."""
        self._open = False

    def abandon(self) -> None:
        """Close on behalf of the log."""
        self.close()

    def place(self, outgoing: Outgoing) -> _Placed:
        """Find the partition of a record. Raises `UnknownTopic`."""
        ids = self._file.partitions(outgoing.topic)
        number = outgoing.partition
        if number is None:
            if outgoing.key is None:
                number = next(self._turn) % len(ids)
            else:
                number = partition_of(outgoing.key, len(ids))
        elif not 0 <= number < len(ids):
            raise LogError(
                f"log: topic '{outgoing.topic}' has no partition {number}, only 0 to {len(ids) - 1}"
            )
        return ids[number], outgoing

    def _require_open(self) -> None:
        if not self._open:
            raise LogError(f"log: producer '{self._name}' is closed; make another one")

    def _write(
        self,
        db: sqlite3.Connection,
        changes: Changes,
        outputs: Iterable[_Placed],
        offsets: Iterable[tuple[EmbeddedConsumer, Mapping[TopicPartition, int]]],
    ) -> None:
        (epoch,) = db.execute("SELECT epoch FROM producer WHERE name = ?", (self._name,)).fetchone()
        if epoch != self._epoch:
            raise Fenced(
                f"log: a newer producer '{self._name}' has taken over; nothing was written: "
                "stop this one"
            )
        for consumer, next_offsets in offsets:
            groups.commit(db, consumer.group, consumer.member, next_offsets, consumer.id_of)
        now_ms = int(self._clock() * 1000)
        ends: dict[int, int] = {}
        rows: list[tuple[int, int, bytes | None, bytes | None, bytes | None]] = []
        for p, out in outputs:
            end = ends.get(p)
            if end is None:
                (end,) = db.execute(
                    "SELECT next FROM topic_partition WHERE id = ?", (p,)
                ).fetchone()
            rows.append((schema.slot(p, end), now_ms, out.key, out.value, schema.pack(out.headers)))
            ends[p] = end + 1
        db.executemany(
            "INSERT INTO record (slot, timestamp_ms, key, value, headers) VALUES (?, ?, ?, ?, ?)",
            rows,
        )
        db.executemany(
            "UPDATE topic_partition SET next = ? WHERE id = ?",
            [(end, p) for p, end in ends.items()],
        )
        changes.ends |= ends
