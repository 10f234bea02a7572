"""Members of a Kafka group, on the protocol of KIP-848."""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping
from typing import Any, Final

import confluent_kafka as kafka
from confluent_kafka import KafkaException

from topics.log.kafka import properties
from topics.log.kafka.cluster import Cluster
from topics.log.kafka.errors import error_of, explained
from topics.log.kafka.reader import KafkaReader
from topics.log.kafka.settings import KafkaSettings
from topics.log.protocol import Fenced, LogError, OnPartitions, TopicPartition

_REQUEST_S: Final = 15.0


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
        self._prepare(properties.member(settings, group), cluster.ends(topics, undecided=True))
        self._client.subscribe(
            sorted(topics), on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._lost
        )

    # -- partitions come and go, inside the client's poll and close ----------------------------

    def _assigned(self, client: kafka.Consumer, partitions: list[kafka.TopicPartition]) -> None:
        # Incremental always: `assign` would take the other partitions away under KIP-848.
        client.incremental_assign(partitions)
        came = _named(partitions)
        self._owned |= came
        self._intake.stop_again()
        self._told(self._on_assign, came)

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
        client.incremental_unassign(partitions)

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
