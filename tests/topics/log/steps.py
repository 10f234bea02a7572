"""Steps of the log's contract: waiting, reading, and a member that remembers what it saw."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from topics.log import (
    Consumer,
    Log,
    Outgoing,
    Producer,
    Reader,
    Record,
    TopicPartition,
)

DEADLINE_S = 30.0  # far above what any broker takes; only a failing test waits this long
QUIET_S = 0.3  # how long nothing must come for "nothing comes"; a broker late by more passes too


def until(condition: Callable[[], bool], what: str) -> None:
    """Call ``condition`` until it holds."""
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, f"waited {DEADLINE_S:g} s for {what}"


def take(reader: Reader, count: int) -> list[Record]:
    """Poll until at least ``count`` records have come."""
    records: list[Record] = []

    def enough() -> bool:
        records.extend(reader.poll(0.05))
        return len(records) >= count

    until(enough, f"{count} records")
    return records


def quiet(reader: Reader) -> list[Record]:
    """What comes within a short while, for asserting that it is nothing."""
    deadline = time.monotonic() + QUIET_S
    records: list[Record] = []
    while time.monotonic() < deadline:
        records.extend(reader.poll(0.05))
    return records


def values(records: Sequence[Record]) -> list[bytes | None]:
    return [r.value for r in records]


def abort(
    producer: Producer,
    *outputs: Outgoing,
    consumer: Consumer | None = None,
    after: Record | None = None,
) -> None:
    """Fill a transaction, then leave it with an exception."""
    try:
        with producer.transaction() as tx:
            for output in outputs:
                tx.send(output)
            if consumer is not None and after is not None:
                tx.commit_offsets(consumer, {after.tp: after.offset + 1})
            raise RuntimeError("changed my mind")
    except RuntimeError as error:
        assert str(error) == "changed my mind"  # noqa: PT017


class Member:
    """A consumer with what its callbacks saw, and what it read."""

    def __init__(self, log: Log, group: str, topics: list[str]) -> None:
        self.calls: list[tuple[str, frozenset[TopicPartition]]] = []
        self.seen: list[Record] = []
        self.on_revoke: Callable[[frozenset[TopicPartition]], None] = lambda _: None
        self.consumer: Consumer = log.consumer(
            group, topics, on_assign=self._assigned, on_revoke=self._revoked
        )

    def _assigned(self, partitions: frozenset[TopicPartition]) -> None:
        self.calls.append(("assign", partitions))

    def _revoked(self, partitions: frozenset[TopicPartition]) -> None:
        self.on_revoke(partitions)
        self.calls.append(("revoke", partitions))

    def poll(self) -> int:
        """How many records have come by now."""
        self.seen.extend(self.consumer.poll(0.02))
        return len(self.seen)


def settle(members: Sequence[Member], topics: dict[str, int]) -> None:
    """Poll in turn until the members own every partition between them, each some of it."""
    wanted = {TopicPartition(t, n) for t, count in topics.items() for n in range(count)}

    def settled() -> bool:
        for member in members:
            member.poll()
        owned = [member.consumer.assignment() for member in members]
        assert sum(map(len, owned)) == len(frozenset().union(*owned)), "a partition has two owners"
        return frozenset().union(*owned) == wanted and all(owned)

    until(settled, f"{len(members)} members to share {len(wanted)} partitions")
