"""Reading on from positions: what readers and group members have in common."""

from __future__ import annotations

import sqlite3
from collections import deque
from collections.abc import Callable, Collection, Mapping
from typing import Final

from topics.log.embedded import schema
from topics.log.embedded.groups import valid_position
from topics.log.protocol import LogError, Record, TopicPartition

_POLL_BYTES: Final = 32 * 2**20
"""A poll stops after this many bytes of values (and returns one record at least): Kafka's
fetch.max.bytes keeps a poll's memory bounded in the same way, at 50 MiB."""


class Positions:
    """Positions in partitions, and the records that follow them, fair between partitions."""

    def __init__(self, db: sqlite3.Connection, ends: Mapping[int, int]) -> None:
        self._db = db
        self._ends = ends  # partition id -> next offset, kept up by the log file
        self._ids: dict[TopicPartition, int] = {}
        self._next: dict[TopicPartition, int] = {}
        self._paused: set[TopicPartition] = set()
        self._turns: deque[TopicPartition] = deque()

    def __contains__(self, tp: TopicPartition) -> bool:
        return tp in self._ids

    def partitions(self) -> frozenset[TopicPartition]:
        """The partitions that are read, paused ones included."""
        return frozenset(self._ids)

    def position(self, tp: TopicPartition) -> int:
        """The offset that is delivered next."""
        return self._next[tp]

    def add(self, tp: TopicPartition, partition_id: int, position: int) -> None:
        """Read a partition, unpaused, from ``position``."""
        self._ids[tp] = partition_id
        self._next[tp] = position
        self._turns.append(tp)

    def drop(self, partitions: Collection[TopicPartition]) -> None:
        """Read these no more."""
        for tp in partitions:
            del self._ids[tp], self._next[tp]
            self._paused.discard(tp)
            self._turns.remove(tp)

    def pause(self, partitions: Collection[TopicPartition]) -> None:
        """Deliver nothing of these. Partitions that are not read are ignored."""
        self._paused.update(tp for tp in partitions if tp in self._ids)

    def resume(self, partitions: Collection[TopicPartition]) -> None:
        """Deliver these again."""
        self._paused.difference_update(partitions)

    def seek(self, tp: TopicPartition, offset: int) -> None:
        """Deliver ``offset`` next, or the earliest record if the log does not have it."""
        if tp not in self._ids:
            raise LogError(
                f"log: cannot seek in {tp.topic}/{tp.partition}, which is not read here now"
            )
        earliest, end = self._bounds(tp)
        self._next[tp] = valid_position(offset, earliest, end)

    def fetch(self, max_records: int) -> list[Record]:
        """Up to ``max_records``; every partition that has some gets its share of them."""
        ready = [
            tp
            for tp in self._turns
            if tp not in self._paused and self._next[tp] < self._ends.get(self._ids[tp], 0)
        ]
        records: list[Record] = []
        room_bytes = _POLL_BYTES
        while ready and len(records) < max_records and room_bytes > 0:
            each = max(1, (max_records - len(records)) // len(ready))
            more: list[TopicPartition] = []
            for tp in ready:
                want = min(each, max_records - len(records))
                if want <= 0 or room_bytes <= 0:
                    break
                found, size = self._read(tp, want, room_bytes)
                records += found
                room_bytes -= size
                if len(found) == want:
                    more.append(tp)
            ready = more
        if records:
            self._turns.rotate(-1)  # another partition comes first next time
        return records

    def _read(self, tp: TopicPartition, limit: int, room_bytes: int) -> tuple[list[Record], int]:
        row_id = self._ids[tp]
        position = self._next[tp]
        cursor = self._db.execute(
            "SELECT slot, timestamp_ms, key, value, headers FROM record"
            " WHERE slot >= ? AND slot < ? ORDER BY slot LIMIT ?",
            (schema.slot(row_id, position), schema.slot(row_id + 1, 0), limit),
        )
        records: list[Record] = []
        size = 0
        for row, timestamp_ms, key, value, headers in cursor:
            records.append(
                Record(
                    tp.topic,
                    tp.partition,
                    schema.offset_of(row),
                    timestamp_ms,
                    key,
                    value,
                    schema.unpack(headers),
                )
            )
            size += len(value or b"")
            if size >= room_bytes:
                break
        cursor.close()  # an open cursor would keep the WAL from being reset
        if records:
            self._next[tp] = records[-1].offset + 1
        else:  # trimmed away while we were behind
            earliest, end = self._bounds(tp)
            self._next[tp] = valid_position(position, earliest, end)
        return records, size

    def _bounds(self, tp: TopicPartition) -> tuple[int, int]:
        earliest, end = self._db.execute(
            "SELECT earliest, next FROM topic_partition WHERE id = ?", (self._ids[tp],)
        ).fetchone()
        return earliest, end


class CatchUp:
    """Whether everything that was in the log at one moment has been polled."""

    def __init__(self, ends: Mapping[TopicPartition, int]) -> None:
        self._ahead = dict(ends)

    def done(
        self, partitions: Collection[TopicPartition], position: Callable[[TopicPartition], int]
    ) -> bool:
        """True once each of these partitions has been read to its end of then."""
        for tp in partitions:
            if tp in self._ahead and position(tp) >= self._ahead[tp]:
                del self._ahead[tp]
        return self._ahead.keys().isdisjoint(partitions)
