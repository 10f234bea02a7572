"""What a worker holds of each partition: the records it was given, and the one in work."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from processors.runtime.endings import Input
from processors.runtime.progress import Course
from processors.runtime.slots import Slot
from topics.log import Consumer, Record, TopicPartition

Doom = Literal["canceled", "stale", "overdue", "handed_over"]
"""Why a worker killed a try."""


@dataclass(slots=True, eq=False)
class Hand:
    """A try in work."""

    tp: TopicPartition
    work: Input
    slot: Slot
    course: Course
    span: str  # traceparent of the try
    folder: Path
    doom: Doom | None = None
    orphan: bool = False
    """Its partition went to another worker. It ends its work, so that the other adopts it."""


@dataclass(slots=True, eq=False)
class Lane:
    """A partition in work: records in order, the first of them perhaps in hand."""

    tp: TopicPartition
    records: deque[Record] = field(default_factory=deque)
    head: Input | None = None  # the first record, once it is read
    hand: Hand | None = None

    def next(self) -> None:
        """The first record is done with."""
        self.records.popleft()
        self.head = self.hand = None


class Lanes:
    """The lanes of a worker, and which partitions are paused for them."""

    def __init__(self) -> None:
        self._lanes: dict[TopicPartition, Lane] = {}
        self._paused: frozenset[TopicPartition] = frozenset()
        self._lost: dict[TopicPartition, int] = {}

    def take(self, records: Iterable[Record], consumer: Consumer) -> None:
        """Put records into their lanes; behind a fenced commit those before them come first."""
        lost = frozenset(self._lost)
        self._rewind(consumer)
        wanted = consumer.assignment() - lost
        for record in records:
            if record.tp in wanted:
                self._lanes.setdefault(record.tp, Lane(record.tp)).records.append(record)

    def holding(self, hand: Hand) -> Lane | None:
        """The lane of a try; None when its partition was lost since it began."""
        lane = self._lanes.get(hand.tp)
        return lane if lane is not None and lane.hand is hand and not hand.orphan else None

    def oldest_first(self) -> list[Lane]:
        """The lanes with records, that with the oldest first one first."""
        lanes = [lane for lane in self._lanes.values() if lane.records]
        return sorted(lanes, key=lambda lane: lane.records[0].timestamp_ms)

    def due_in_s(self, wall_ms: int) -> float:
        """Seconds until the next waiting record falls due; infinity when none waits."""
        due = [
            lane.head.turn.due_ms
            for lane in self._lanes.values()
            if lane.hand is None and lane.head is not None and lane.head.turn.due_ms > wall_ms
        ]
        return (min(due) - wall_ms) / 1000 if due else float("inf")

    def revoked(self, partitions: Collection[TopicPartition]) -> None:
        """These belong to somebody else now; what is in hand ends its work as an orphan."""
        for tp in partitions:
            self._drop(tp)
        self._paused -= frozenset(partitions)

    def fenced(self, tp: TopicPartition, offset: int) -> None:
        """A commit up to ``offset`` was refused: what is in the lane is not ours now."""
        self._drop(tp)
        self._lost[tp] = min(offset - 1, self._lost.get(tp, offset))

    def _drop(self, tp: TopicPartition) -> None:
        lane = self._lanes.pop(tp, None)
        if lane is not None and lane.hand is not None:
            lane.hand.orphan = True

    def _rewind(self, consumer: Consumer) -> None:
        """Read fenced-off records again where the partition stayed with us after all. That is known
        only behind a poll, whose records of that partition are too new."""
        for tp, offset in self._lost.items():
            if tp in consumer.assignment():
                self._drop(tp)
                consumer.seek(tp, consumer.committed(tp) or offset)
        self._lost = {}

    def pause(self, consumer: Consumer) -> None:
        """Deliver nothing of partitions that have something to do already, and the others again."""
        for tp in [tp for tp, lane in self._lanes.items() if not lane.records]:
            del self._lanes[tp]
        wanted = frozenset(self._lanes)
        if wanted - self._paused:
            consumer.pause(wanted - self._paused)
        if self._paused - wanted:
            consumer.resume(self._paused - wanted)
        self._paused = wanted

    def pause_again(self, consumer: Consumer) -> None:
        """Say again what is paused: Kafka forgets it when it assigns."""
        consumer.pause(self._paused)
