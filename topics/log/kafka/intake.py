"""What has come from the client, in order of each partition, and what is kept back of it.

Pausing is done here first and at the client late. The client's own pause throws its prefetched
records away, and a partition that it resumes waits until the fetch that is under way at the broker
comes back, which is 100 ms when nothing else is written. So records of a paused partition are kept
back, and the client is told only when they grow many.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable
from typing import TYPE_CHECKING, Final, NamedTuple, cast

import confluent_kafka as kafka
from confluent_kafka import KafkaError

from topics.log.protocol import Record, TopicPartition

_KEPT_RECORDS: Final = 200  # of one paused partition; two polls of a worker
_KEPT_BYTES: Final = 4 * 2**20  # the same; one record of the largest size


class End(NamedTuple):
    """Nothing committed lies between the last record and this offset."""

    offset: int


if TYPE_CHECKING:
    Message = kafka.Message[bytes, bytes]  # generic to the type checker only
Partitions = Callable[[list[kafka.TopicPartition]], None]


class Intake:
    """Takes messages, gives records. ``stop`` and ``go`` pause and resume at the client."""

    def __init__(self, stop: Partitions, go: Partitions) -> None:
        self._stop = stop
        self._go = go
        self._kept: dict[TopicPartition, deque[Record | End]] = {}
        self._kept_bytes: dict[TopicPartition, int] = {}
        self._paused: set[TopicPartition] = set()
        self._stopped: set[TopicPartition] = set()  # at the client
        self._next: dict[TopicPartition, int] = {}

    def position(self, tp: TopicPartition) -> int:
        """The offset up to which everything was delivered; -1 while nothing is known."""
        return self._next.get(tp, -1)

    def start(self, tp: TopicPartition, offset: int) -> None:
        """Nothing before ``offset`` is going to come."""
        self._next[tp] = offset

    def drop(self, partitions: Iterable[TopicPartition]) -> None:
        """These are read no more, or from elsewhere; whether they are paused is forgotten too."""
        for tp in partitions:
            self._forget_kept(tp)
            self._paused.discard(tp)
            self._stopped.discard(tp)
            self._next.pop(tp, None)

    def moved(self, tp: TopicPartition, offset: int) -> None:
        """The partition is read on from ``offset``, paused or not as before."""
        self._forget_kept(tp)
        self._next[tp] = offset

    def _forget_kept(self, tp: TopicPartition) -> None:
        self._kept.pop(tp, None)
        self._kept_bytes.pop(tp, None)

    @property
    def paused(self) -> bool:
        """Whether anything is kept back on purpose: somebody is at work on it."""
        return bool(self._paused)

    def pause(self, partitions: Iterable[TopicPartition]) -> None:
        """Keep back what comes of these."""
        self._paused.update(partitions)

    def resume(self, partitions: Iterable[TopicPartition]) -> None:
        """Give what was kept back, and what follows."""
        self._paused.difference_update(partitions)
        self._let_go()

    def stop_again(self) -> None:
        """The client forgets what is paused when partitions come."""
        if self._stopped:
            self._stop([kafka.TopicPartition(*tp) for tp in self._stopped])

    def take(self, messages: Iterable[Message], room: int) -> tuple[list[Record], list[KafkaError]]:
        """Sort messages: at most ``room`` records for now, the rest is kept; and errors."""
        records: list[Record] = []
        errors: list[KafkaError] = []
        for message in messages:
            item = _item(message)
            if isinstance(item, KafkaError):
                errors.append(item)
                continue
            tp, content = item
            if tp in self._paused or tp in self._kept or len(records) >= room:
                self._keep(tp, content)
            elif isinstance(content, End):
                self._next[tp] = content.offset
            else:
                self._next[tp] = content.offset + 1
                records.append(content)
        return records, errors

    def _keep(self, tp: TopicPartition, content: Record | End) -> None:
        self._kept.setdefault(tp, deque()).append(content)
        if isinstance(content, Record):
            size = self._kept_bytes.get(tp, 0) + len(content.value or b"")
            self._kept_bytes[tp] = size
            full = len(self._kept[tp]) >= _KEPT_RECORDS or size >= _KEPT_BYTES
            if full and tp in self._paused and tp not in self._stopped:
                self._stopped.add(tp)
                self._stop([kafka.TopicPartition(*tp)])

    def keep_back(self, records: Collection[Record]) -> None:
        """These were taken and could not be delivered; they come first next time."""
        for record in reversed(list(records)):
            self._kept.setdefault(record.tp, deque()).appendleft(record)
            self._next[record.tp] = record.offset

    def ready(self, room: int) -> list[Record]:
        """Records kept back that may go now, each partition its share."""
        records: list[Record] = []
        waiting = [tp for tp in self._kept if tp not in self._paused]
        for left, tp in zip(range(len(waiting), 0, -1), waiting, strict=True):
            share = max((room - len(records)) // left, 1)
            kept = self._kept[tp]
            while kept and share > 0 and len(records) < room:
                content = kept.popleft()
                if isinstance(content, End):
                    self._next[tp] = content.offset
                else:
                    self._next[tp] = content.offset + 1
                    self._kept_bytes[tp] = self._kept_bytes.get(tp, 0) - len(content.value or b"")
                    records.append(content)
                    share -= 1
            if not kept:
                self._forget_kept(tp)
        if waiting:
            self._let_go()
        return records

    def _let_go(self) -> None:
        free = [tp for tp in self._stopped if tp not in self._paused and tp not in self._kept]
        if free:
            self._stopped.difference_update(free)
            self._go([kafka.TopicPartition(*tp) for tp in free])


def _item(message: Message) -> tuple[TopicPartition, Record | End] | KafkaError:
    error = message.error()
    topic, partition, offset = message.topic(), message.partition(), message.offset()
    if error is not None and error.code() != KafkaError._PARTITION_EOF:
        return error
    assert topic is not None
    assert partition is not None
    assert offset is not None
    if error is not None:
        return TopicPartition(topic, partition), End(offset)
    headers = cast("list[tuple[str, bytes | None]] | None", message.headers())
    return TopicPartition(topic, partition), Record(
        topic,
        partition,
        offset,
        message.timestamp()[1],
        message.key(),
        message.value(),
        tuple([(name, value or b"") for name, value in headers]) if headers else (),
    )
