"""Members of a Kafka group, on the protocol of KIP-848."""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

import confluent_kafka as kafka
from confluent_kafka import KafkaError, KafkaException

from topics.log.kafka import properties
from topics.log.kafka.cluster import Cluster
from topics.log.kafka.errors import NOT_A_MEMBER, UNREACHABLE, error_of, explained
from topics.log.kafka.reader import KafkaReader
from topics.log.kafka.settings import KafkaSettings
from topics.log.protocol import Fenced, LogError, OnPartitions, Record, TopicPartition

_REQUEST_S: Final = 15.0
_PLACES_S: Final = 0.3  # for the offsets of all partitions that came; a broker answers in 2 ms
_PLACE_S: Final = 0.1  # for each alone, when an open transaction holds one of them back

_NOT_YET: Final = UNREACHABLE | NOT_A_MEMBER | {KafkaError.UNSTABLE_OFFSET_COMMIT}
"""The answer will come: from a broker that is back, or with the next heartbeat, or when an open
transaction has ended."""


class KafkaConsumer(KafkaReader):
    """A `Consumer` of a Kafka cluster."""

    def __init__(
        self,
        settings: KafkaSettings,
        cluster: Cluster,
        group: str,
        topics: Collection[str],
        on_assign: OnPartitions | None,
        on_revoke: OnPartitions | None,
    ) -> None:
        self.group = group
        self._on_assign = on_assign
        self._on_revoke = on_revoke
        self._unplaced: set[TopicPartition] = set()  # owned; the client is yet to read them
        self._prepare(properties.member(settings, group), cluster.ends(topics, undecided=True))
        self._client.subscribe(
            sorted(topics), on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._lost
        )

    # -- partitions come and go, inside the client's poll and close ----------------------------

    def _assigned(self, client: kafka.Consumer, partitions: list[kafka.TopicPartition]) -> None:
        # Incremental always: `assign` would take the other partitions away under KIP-848. Of none:
        # `_place` gives them to the client when it is known where they begin.
        client.incremental_assign([])
        came = _named(partitions)
        self._owned |= came
        self._unplaced |= came
        self._told(self._on_assign, came)

    def _look(self, wait_s: float, room: int) -> list[Record]:
        if self._unplaced:
            self._place()
        return super()._look(wait_s, room)

    def _place(self) -> None:
        """Read the partitions that came from where the group is done with them.

        A partition waits while the transaction of a member that died may still move its offset.
        The client would do all this by itself, but it forgets that it waits when more partitions
        come meanwhile, and begins at the first record (librdkafka 2.16, apply_offsets).
        """
        waiting = sorted(self._unplaced)
        found = self._stable(waiting, _PLACES_S)
        if found is None:  # one of them holds back the answer for all
            found = [place for tp in waiting for place in self._stable([tp], _PLACE_S) or ()]
        for place in found:
            if place.offset < 0:
                place.offset = kafka.OFFSET_BEGINNING
        if found:
            self._start(found)

    def _stable(
        self, partitions: Sequence[TopicPartition], timeout_s: float
    ) -> list[kafka.TopicPartition] | None:
        """Their committed offsets, negative where there is none; None while nobody can say."""
        try:
            found = self._client.committed(
                [kafka.TopicPartition(*tp) for tp in partitions], timeout_s
            )
            errors = [place.error for place in found if place.error is not None]
        except KafkaException as exception:
            found, errors = [], [error_of(exception)]
        for error in errors:
            if error.code() not in _NOT_YET and not error.retriable():
                names = ", ".join(f"{tp.topic}/{tp.partition}" for tp in partitions)
                raise explained(
                    f"the offsets of group '{self.group}' in {names} are unknown", error
                )
        return None if errors else found

    def _start(self, places: list[kafka.TopicPartition]) -> None:
        self._client.incremental_assign(places)
        self._unplaced -= _named(places)
        self._intake.stop_again()

    def _revoked(self, client: kafka.Consumer, partitions: list[kafka.TopicPartition]) -> None:
        # The group waits for this call before it hands them on: they are ours until it returns.
        self._told(self._on_revoke, _named(partitions))
        self._let_go(client, partitions)

    def _lost(self, client: kafka.Consumer, partitions: list[kafka.TopicPartition]) -> None:
        # The group took us for dead: others may own them by now, so nothing more is committed.
        self._owned -= _named(partitions)
        self._told(self._on_revoke, _named(partitions))
        self._let_go(client, partitions)

    def _let_go(self, client: kafka.Consumer, partitions: list[kafka.TopicPartition]) -> None:
        went = _named(partitions)
        self._owned -= went
        self._gone |= went
        self._intake.drop(went)
        # The client takes no partition back that it was not given.
        read = went - self._unplaced
        self._unplaced -= went
        client.incremental_unassign([kafka.TopicPartition(*tp) for tp in sorted(read)])

    def _told(self, callback: OnPartitions | None, partitions: frozenset[TopicPartition]) -> None:
        """Call back. What it raises is raised by `poll`, not inside the client, which would lose
        the messages that it holds."""
        if callback is None or not partitions:
            return
        try:
            callback(partitions)
        except BaseException as error:
            self._errors.append(error)

    # -- what callers ask ----------------------------------------------------------------------

    def assignment(self) -> frozenset[TopicPartition]:
        """See `topics.log.protocol.Consumer.assignment`."""
        return frozenset(self._owned)

    def pause(self, partitions: Collection[TopicPartition]) -> None:
        """See `topics.log.protocol.Consumer.pause`. A partition that comes back is not paused."""
        self._intake.pause(self._owned.intersection(partitions))

    def resume(self, partitions: Collection[TopicPartition]) -> None:
        """See `topics.log.protocol.Consumer.resume`."""
        self._intake.resume(self._owned.intersection(partitions))

    def caught_up(self) -> bool:
        """As a reader's, for the partitions owned; False until the first are assigned."""
        return bool(self._owned) and super().caught_up()

    def seek(self, tp: TopicPartition, offset: int) -> None:
        """See `topics.log.protocol.Reader.seek`."""
        if tp in self._unplaced:
            self._require_open()
            self._start([kafka.TopicPartition(*tp, offset)])
            self._intake.moved(tp, offset)
        else:
            super().seek(tp, offset)

    def committed(self, tp: TopicPartition) -> int | None:
        """See `topics.log.protocol.Consumer.committed`."""
        self._require_open()
        return self._committed(tp)

    def _committed(self, tp: TopicPartition) -> int | None:
        where = f"the offset of group '{self.group}' in {tp.topic}/{tp.partition} cannot be read"
        try:
            (found,) = self._client.committed([kafka.TopicPartition(*tp)], _REQUEST_S)
        except KafkaException as exception:
            raise explained(where, error_of(exception)) from exception
        if found.error is not None:
            raise explained(where, found.error)
        return found.offset if found.offset >= 0 else None

    def close(self) -> None:
        """Revoke what is owned (``on_revoke`` runs), then leave the group."""
        with self._lock:
            if not self._open:
                return
            self._thread = threading.get_ident()  # ``on_revoke`` may commit here
            try:
                # These are not the client's to revoke.
                unread = frozenset(self._unplaced)
                self._unplaced.clear()
                self._told(self._on_revoke, unread)
                self._client.close()
            finally:
                self._open = False
                self._owned.clear()
            if self._errors:
                raise self._errors.popleft()

    def abandon(self) -> None:
        """Leave without callbacks: they belong to the polling thread, and this may be another."""
        self._leaving = True
        with self._lock:
            self._on_assign = self._on_revoke = None
            self._errors.clear()
            self.close()

    # -- for the producer ----------------------------------------------------------------------

    def positions(self, offsets: Mapping[TopicPartition, int]) -> list[kafka.TopicPartition]:
        """The offsets as the client wants them.

        Raises `Fenced` for what is not owned at this moment. The broker does not check that: it
        fences dead members, and takes a living one's commit of a partition that has moved on
        (seen on Kafka 4.3.1). What is owned cannot move while the polling thread is here.
        """
        if self._thread not in (0, threading.get_ident()):
            raise LogError("kafka: offsets are committed on the thread that polls the consumer")
        for tp, offset in offsets.items():
            if offset < 0:
                raise ValueError(f"offset {offset} of {tp.topic}/{tp.partition} is negative")
            if tp not in self._owned:
                raise Fenced(
                    f"kafka: {tp.topic}/{tp.partition} is not assigned to this member of group "
                    f"'{self.group}' now; drop the work, its owner repeats it"
                )
        return [kafka.TopicPartition(*tp, offset) for tp, offset in offsets.items()]

    def metadata(self) -> Any:
        """Who we are to the group just now; it grows old with every rebalance."""
        return self._client.consumer_group_metadata()


def _named(partitions: Collection[kafka.TopicPartition]) -> frozenset[TopicPartition]:
    return frozenset(TopicPartition(p.topic, p.partition) for p in partitions)
