"""The log on a Kafka cluster."""

from __future__ import annotations

import uuid
import weakref
from collections.abc import Collection, Mapping
from contextlib import suppress

from topics.log.kafka.appender import Appender
from topics.log.kafka.cluster import Cluster
from topics.log.kafka.consumer import KafkaConsumer
from topics.log.kafka.producer import KafkaProducer
from topics.log.kafka.reader import KafkaReader
from topics.log.kafka.settings import KafkaSettings
from topics.log.protocol import LogError, OnPartitions, TopicPartition


class KafkaLog:
    """A `topics.log.protocol.Log` on Kafka 4.0 or newer.

    Nothing is asked of the cluster before the first call. A call that cannot reach it waits for
    ``patience_s``, then raises `LogError` with the setting to check.
    """

    def __init__(self, settings: KafkaSettings, *, patience_s: float = 15.0) -> None:
        self._settings = settings
        self._known_cluster = Cluster(settings, patience_s)
        self._appender = Appender(settings, self._known_cluster)
        self._opened: weakref.WeakSet[KafkaReader | KafkaProducer] = weakref.WeakSet()
        self._closed = False

    @property
    def _cluster(self) -> Cluster:
        if self._closed:
            raise LogError("kafka: this log is closed; open it again")
        return self._known_cluster

    def provision(
        self, topics: Mapping[str, int], retention_ms: Mapping[str, int] | None = None
    ) -> None:
        """See `topics.log.protocol.Log.provision`."""
        self._cluster.provision(topics, retention_ms or {})

    def topics(self) -> Mapping[str, int]:
        """See `topics.log.protocol.Log.topics`."""
        return self._cluster.topics()

    def consumer(
        self,
        group: str,
        topics: Collection[str],
        *,
        on_assign: OnPartitions | None = None,
        on_revoke: OnPartitions | None = None,
    ) -> KafkaConsumer:
        """See `topics.log.protocol.Log.consumer`."""
        consumer = KafkaConsumer(self._settings, self._cluster, group, topics, on_assign, on_revoke)
        self._opened.add(consumer)
        return consumer

    def reader(
        self, topics: Collection[str], *, start: Mapping[TopicPartition, int] | None = None
    ) -> KafkaReader:
        """See `topics.log.protocol.Log.reader`."""
        name = f"melisma-reader-{uuid.uuid4().hex[:12]}"
        reader = KafkaReader(self._settings, self._cluster, name, topics, start or {})
        self._opened.add(reader)
        return reader

    def producer(self, name: str) -> KafkaProducer:
        """See `topics.log.protocol.Log.producer`; the name is the transactional id."""
        producer = KafkaProducer(self._settings, self._cluster, self._appender, name)
        self._opened.add(producer)
        return producer

    def end_offsets(self, topics: Collection[str]) -> Mapping[TopicPartition, int]:
        """See `topics.log.protocol.Log.end_offsets`. A transaction's marker takes an offset, too:
        behind one, a group that has read everything still lags by 1, as it does in Kafka's own
        tools. Lag that grows is the sign to look for, not lag above 0."""
        return self._cluster.ends(topics)

    def group_offsets(self, group: str) -> Mapping[TopicPartition, int]:
        """See `topics.log.protocol.Log.group_offsets`."""
        return self._cluster.committed(group)

    def close(self) -> None:
        """See `topics.log.protocol.Log.close`."""
        if self._closed:
            return
        self._closed = True
        for opened in list(self._opened):
            with suppress(LogError):
                opened.abandon()
        self._appender.close()
        self._known_cluster.close()
