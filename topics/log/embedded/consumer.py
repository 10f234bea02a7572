"""Readers and group members of an embedded log."""

from __future__ import annotations

import sqlite3
import threading
import time
import weakref
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TypeVar

from topics.log.embedded import groups
from topics.log.embedded.fetch import CatchUp, Positions
from topics.log.embedded.file import Changes, Listener
from topics.log.embedded.watch import SharedFile
from topics.log.protocol import Fenced, LogError, OnPartitions, Record, TopicPartition

T = TypeVar("T")


class _Poll:
    """Waiting for records; what there is to read is the caller's affair."""

    def __init__(self, shared: SharedFile, topics: Collection[str], group: str | None) -> None:
        self.shared = shared
        self.db = shared.file.connect_reader()
        self.listener = Listener(frozenset(topics), group)
        self.woken = threading.Event()
        self.open = True
        shared.file.listen(self.listener)

    def records(self, timeout_s: float, look: Callable[[], list[Record]]) -> list[Record]:
        deadline = time.monotonic() + timeout_s
        while True:
            # Cleared before looking: what is written after the look sets it again.
            self.listener.signal.clear()
            records = self.read(look)
            if records or self.woken.is_set():
                self.woken.clear()
                return records
            left_s = deadline - time.monotonic()
            if left_s <= 0 or not self.listener.signal.wait(left_s):
                return []

    def read(self, look: Callable[[], T]) -> T:
        if not self.open:
            raise LogError("log: this reader is closed; open another one")
        try:
            return look()
        except sqlite3.Error as error:
            raise self.shared.file.explained(error) from error

    def wake(self) -> None:
        self.woken.set()
        self.listener.signal.set()

    def close(self) -> None:
        self.open = False
        self.listener.signal.set()  # a poll on another thread must not sleep on
        self.shared.file.unlisten(self.listener)
        self.db.close()


def _ends(
    shared: SharedFile, topics: Collection[str]
) -> dict[TopicPartition, tuple[int, int, int]]:
    """Partition id, earliest and next offset of each partition, as committed now."""
    with_ids = {
        p: TopicPartition(topic, number)
        for topic in topics
        for number, p in enumerate(shared.file.partitions(topic))
    }
    bounds = shared.file.bounds()
    return {tp: (p, *bounds[p]) for p, tp in with_ids.items()}


class EmbeddedReader:
    """A `Reader` of an embedded log."""

    def __init__(
        self,
        shared: SharedFile,
        topics: Collection[str],
        start: Mapping[TopicPartition, int],
    ) -> None:
        found = _ends(shared, topics)
        for tp in start:
            if tp not in found:
                raise LogError(f"log: cannot start at {tp.topic}/{tp.partition}: it is not read")
        self._poll = _Poll(shared, topics, None)
        self._positions = Positions(self._poll.db, shared.file.ends)
        for tp, (p, earliest, end) in found.items():
            self._positions.add(tp, p, groups.valid_position(start.get(tp), earliest, end))
        self._catch_up = CatchUp({tp: end for tp, (_, _, end) in found.items()})
        self._forgotten = weakref.finalize(self, shared.forget, None, self._poll.listener)
        self._forgotten.atexit = False

    def poll(self, timeout_s: float, max_records: int = 100) -> Sequence[Record]:
        """See `topics.log.protocol.Reader.poll`."""
        return self._poll.records(timeout_s, lambda: self._positions.fetch(max_records))

    def caught_up(self) -> bool:
        """See `topics.log.protocol.Reader.caught_up`."""
        return self._catch_up.done(self._positions.partitions(), self._positions.position)

    def seek(self, tp: TopicPartition, offset: int) -> None:
        """See `topics.log.protocol.Reader.seek`."""
        self._poll.read(lambda: self._positions.seek(tp, offset))

    def wake(self) -> None:
        """See `topics.log.protocol.Reader.wake`; a wake outside a poll ends the next one."""
        self._poll.wake()

    def close(self) -> None:
        """Let go of the file."""
        if self._poll.open:
            self._forgotten.detach()
            self._poll.close()

    def abandon(self) -> None:
        """Close on behalf of the log."""
        self.close()


class EmbeddedConsumer:
    """A `Consumer` of an embedded log."""

    def __init__(
        self,
        shared: SharedFile,
        group: str,
        topics: Collection[str],
        on_assign: OnPartitions | None,
        on_revoke: OnPartitions | None,
    ) -> None:
        file = shared.file
        found = _ends(shared, topics)
        self.group = group
        self._shared = shared
        self._on_assign = on_assign
        self._on_revoke = on_revoke
        self._ids = {tp: p for tp, (p, _, _) in found.items()}
        self._catch_up = CatchUp({tp: end for tp, (_, _, end) in found.items()})
        self._settled = -1  # the group's generation that this member has acted on
        self._poll = _Poll(shared, topics, group)
        self._positions = Positions(self._poll.db, file.ends)
        process_id = file.process_id()
        self.member = file.write(
            lambda db, changes: groups.join(db, changes, group, topics, process_id, file.is_dead)
        )
        # A consumer that is forgotten instead of closed must not keep its partitions.
        self._forgotten = weakref.finalize(self, shared.forget, self.member, self._poll.listener)
        self._forgotten.atexit = False

    def poll(self, timeout_s: float, max_records: int = 100) -> Sequence[Record]:
        """See `topics.log.protocol.Reader.poll`. Raises what the callbacks raise."""
        return self._poll.records(timeout_s, lambda: self._look(max_records))

    def _look(self, max_records: int) -> list[Record]:
        self._settle()
        return self._positions.fetch(max_records)

    def _settle(self) -> None:
        """Give up what is no longer meant for this member, take what is and is free."""
        generation = self._shared.file.generations.get(self.group, 0)
        if generation == self._settled:
            return
        now = groups.standing(self._poll.db, self.group, self.member)
        known = {self._ids[tp] for tp in self._positions.partitions()}
        lost = frozenset(tp for tp in self._positions.partitions() if self._ids[tp] in now.surplus)
        if lost and self._on_revoke is not None:
            self._on_revoke(lost)  # still owned: what it commits is accepted
        gained: list[groups.Gained] = []
        if now.surplus or not now.due <= known:

            def move(db: sqlite3.Connection, changes: Changes) -> list[groups.Gained]:
                if now.surplus:
                    groups.release(db, changes, self.group, self.member, now.surplus)
                return groups.claim(db, self.group, self.member, known)

            gained = self._shared.file.write(move)
        self._positions.drop(lost)
        for g in gained:
            self._positions.add(g.tp, g.partition_id, g.position)
        self._settled = generation
        if gained and self._on_assign is not None:
            self._on_assign(frozenset(g.tp for g in gained))

    def assignment(self) -> frozenset[TopicPartition]:
        """See `topics.log.protocol.Consumer.assignment`."""
        return self._positions.partitions()

    def pause(self, partitions: Collection[TopicPartition]) -> None:
        """See `topics.log.protocol.Consumer.pause`. A partition that comes back is not paused."""
        self._positions.pause(partitions)

    def resume(self, partitions: Collection[TopicPartition]) -> None:
        """See `topics.log.protocol.Consumer.resume`."""
        self._positions.resume(partitions)

    def seek(self, tp: TopicPartition, offset: int) -> None:
        """See `topics.log.protocol.Reader.seek`. Raises `LogError` for an unowned partition."""
        self._poll.read(lambda: self._positions.seek(tp, offset))

    def caught_up(self) -> bool:
        """As a reader's, for the partitions owned; False until the first are assigned."""
        owned = self._positions.partitions()
        return bool(owned) and self._catch_up.done(owned, self._positions.position)

    def committed(self, tp: TopicPartition) -> int | None:
        """See `topics.log.protocol.Consumer.committed`."""
        p = self.id_of(tp)
        row = self._poll.read(
            lambda: self._poll.db.execute(
                "SELECT next FROM committed WHERE group_name = ? AND partition_id = ?",
                (self.group, p),
            ).fetchone()
        )
        return None if row is None else int(row[0])

    def wake(self) -> None:
        """See `topics.log.protocol.Reader.wake`; a wake outside a poll ends the next one."""
        self._poll.wake()

    def close(self) -> None:
        """Revoke what is owned (``on_revoke`` runs), then leave the group."""
        if not self._poll.open:
            return
        try:
            owned = self._positions.partitions()
            if owned and self._on_revoke is not None:
                self._on_revoke(owned)
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Leave without callbacks: they belong to the polling thread, and this may be another."""
        if not self._poll.open:
            return
        self._forgotten.detach()
        self._positions.drop(self._positions.partitions())
        self._poll.close()
        try:
            self._shared.file.write(lambda db, changes: groups.leave(db, changes, [self.member]))
        except LogError:
            self._shared.forget(self.member, self._poll.listener)  # the watcher tries again
            raise

    # -- for the producer ----------------------------------------------------------------------

    def id_of(self, tp: TopicPartition) -> int:
        """The partition's id in the file. Raises `Fenced` outside the subscription."""
        p = self._ids.get(tp)
        if p is None:
            raise Fenced(
                f"log: {tp.topic}/{tp.partition} is not among the topics this member of group "
                f"'{self.group}' subscribes to"
            )
        return p

    def require(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Raise `Fenced` at once for what is not owned here; the commit looks again."""
        for tp, offset in offsets.items():
            if offset < 0:
                raise ValueError(f"offset {offset} of {tp.topic}/{tp.partition} is negative")
            if tp not in self._positions:
                raise Fenced(
                    f"log: {tp.topic}/{tp.partition} is not assigned to this member of group "
                    f"'{self.group}' now; drop the work, its owner repeats it"
                )
