"""The cluster as an administrator sees it: topics and offsets."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from typing import Any, Final, TypeVar

import confluent_kafka as kafka
from confluent_kafka import IsolationLevel, KafkaError, KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._listoffsets import OffsetSpec
from confluent_kafka.cimpl import NewTopic

from topics.log.kafka import properties
from topics.log.kafka.errors import REFUSED, error_of, explained, unknown_topic
from topics.log.kafka.settings import KafkaSettings
from topics.log.kafka.topic_config import config_of
from topics.log.protocol import LogError, TopicPartition, UnknownTopic

T = TypeVar("T")

logger = logging.getLogger("kafka")
"""librdkafka's own log goes where ours goes."""

_QUIET_S: Final = 10.0


class _Repeats(logging.Filter):
    """A broker that is down is told once in a while, not at each of 20 attempts a second."""

    def __init__(self) -> None:
        super().__init__()
        self._said: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        what = record.getMessage().partition(" (after ")[0]
        now = time.monotonic()
        if now - self._said.get(what, -_QUIET_S) < _QUIET_S:
            return False
        if len(self._said) > 1000:
            self._said.clear()
        self._said[what] = now
        return True


logger.addFilter(_Repeats())

_REQUEST_S: Final = 10.0
_AGAIN_S: Final = 0.1

_CREATION_S: Final = 120.0
"""Longest wait for the leaders of new partitions, each some files that a broker syncs to its disk:
the 300 of the product took over 15 s on a machine that was busy with much else."""

_PASSING: Final = frozenset(
    {
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.NOT_COORDINATOR,
        KafkaError.UNSTABLE_OFFSET_COMMIT,
        KafkaError.UNKNOWN_LEADER_EPOCH,
        KafkaError.FENCED_LEADER_EPOCH,
        KafkaError._TRANSPORT,
        KafkaError._TIMED_OUT,
        KafkaError._ALL_BROKERS_DOWN,
    }
)
"""Gone after a moment: a topic is new, a leader is being elected, a broker restarts."""


class Cluster:
    """Asks the cluster, and waits out what passes by itself within ``patience_s``."""

    def __init__(self, settings: KafkaSettings, patience_s: float) -> None:
        self._settings = settings
        self._patience_s = patience_s
        self._lock = threading.Lock()
        self._known: dict[str, int] = {}
        self._complaint: KafkaError | None = None
        config = properties.common(settings) | settings.kafka_properties
        self._admin: AdminClient = opened(AdminClient, config | {"error_cb": self._complain})

    def _complain(self, error: KafkaError) -> None:
        self._complaint = error

    def topics(self) -> Mapping[str, int]:
        """Every topic with its partitions, asked now. Kafka's own are left out."""
        metadata = self._patiently("no broker of {} answers", self._metadata)
        found = {
            name: len(topic.partitions)
            for name, topic in metadata.topics.items()
            if topic.error is None and not name.startswith("__")
        }
        with self._lock:
            self._known = found
        return dict(found)

    def _metadata(self) -> Any:
        # A second, so that refused credentials are noticed: the client only tries again.
        try:
            return self._admin.list_topics(timeout=1.0)
        except KafkaException:
            self._admin.poll(0)
            if self._complaint is not None and self._complaint.code() in REFUSED | {
                KafkaError._SSL,
                KafkaError._RESOLVE,
            }:
                raise KafkaException(self._complaint) from None
            raise

    def partitions(self, topic: str) -> int:
        """How many partitions a topic has. Raises `UnknownTopic`."""
        known = self._known.get(topic)
        if known is None:
            known = self.topics().get(topic)
        if known is None:
            raise unknown_topic(topic)
        return known

    def forget_all(self) -> None:
        """Ask again which topics there are: one seems to have gone."""
        with self._lock:
            self._known = {}

    def provision(self, topics: Mapping[str, int], retention_ms: Mapping[str, int]) -> None:
        """Create what is missing, and wait until it can be written."""
        known = self.topics()
        replicas = self._settings.kafka_replication_factor
        missing = [
            NewTopic(
                name,
                n,
                replicas,
                config=config_of(
                    self._settings, retention_ms=retention_ms.get(name, -1), replicas=replicas
                ),
            )
            for name, n in sorted(topics.items())
            if name not in known
        ]
        if not missing:
            return
        for name, future in self._admin.create_topics(
            missing, request_timeout=_REQUEST_S, operation_timeout=_REQUEST_S
        ).items():
            try:
                future.result()
            except KafkaException as exception:
                error = error_of(exception)
                if error.code() != KafkaError.TOPIC_ALREADY_EXISTS:
                    raise explained(f"topic '{name}' cannot be created", error) from exception
        patience_s = max(self._patience_s, _CREATION_S)
        deadline = time.monotonic() + patience_s
        while not topics.keys() <= self.topics().keys():
            if time.monotonic() > deadline:
                raise LogError(f"kafka: topics are still missing: {topics.keys() - self._known}")
            time.sleep(_AGAIN_S)
        self.ends(topics, patience_s=patience_s)  # waits for every partition's leader

    def ends(
        self,
        topics: Collection[str],
        *,
        undecided: bool = False,
        patience_s: float | None = None,
    ) -> dict[TopicPartition, int]:
        """The offset behind the last committed record, or marker, of each partition.

        ``undecided`` counts what is in open transactions, too. A transaction is committed before
        its markers are written, which takes the brokers some milliseconds: whoever wants all that
        was committed when he asked must take these as well.
        """
        counts = {topic: self.partitions(topic) for topic in topics}
        wanted = {
            kafka.TopicPartition(topic, n): OffsetSpec.latest()  # type: ignore[no-untyped-call]
            for topic, count in counts.items()
            for n in range(count)
        }
        if not wanted:
            return {}

        isolation = IsolationLevel.READ_UNCOMMITTED if undecided else IsolationLevel.READ_COMMITTED

        def ask() -> dict[TopicPartition, int]:
            futures = self._admin.list_offsets(
                wanted,
                isolation_level=isolation,
                request_timeout=_REQUEST_S,
            )
            return {
                TopicPartition(tp.topic, tp.partition): future.result().offset
                for tp, future in futures.items()
            }

        try:
            return self._patiently("the ends of topics cannot be read from {}", ask, patience_s)
        except UnknownTopic:
            self.forget_all()
            raise

    def committed(self, group: str) -> dict[TopicPartition, int]:
        """What a group has committed; nothing for a group that nobody knows."""

        def ask() -> dict[TopicPartition, int]:
            asked = [kafka.ConsumerGroupTopicPartitions(group)]
            (future,) = self._admin.list_consumer_group_offsets(
                asked, request_timeout=_REQUEST_S
            ).values()
            try:
                found: Iterable[kafka.TopicPartition] = future.result().topic_partitions or ()
            except KafkaException as exception:
                if error_of(exception).code() == KafkaError.GROUP_ID_NOT_FOUND:
                    return {}
                raise
            return {
                TopicPartition(tp.topic, tp.partition): tp.offset for tp in found if tp.offset >= 0
            }

        return self._patiently(f"the offsets of group '{group}' cannot be read from {{}}", ask)

    def _patiently(self, doing: str, ask: Callable[[], T], patience_s: float | None = None) -> T:
        deadline = time.monotonic() + (self._patience_s if patience_s is None else patience_s)
        while True:
            try:
                return ask()
            except KafkaException as exception:
                error = error_of(exception)
                if error.code() not in _PASSING or time.monotonic() > deadline:
                    servers = f"'{self._settings.kafka_bootstrap_servers}'"
                    raise explained(doing.format(servers), error) from exception
            time.sleep(_AGAIN_S)
            with suppress(KafkaException):
                # Nothing else makes the client look again for leaders that it took to be known:
                # after a broker's restart their epochs are old, and every request is refused.
                self._admin.list_topics(timeout=1.0)

    def close(self) -> None:
        """Let go of the connection."""
        del self._admin


def opened(client: Any, config: properties.Properties) -> Any:
    """A client of this kind. Raises `LogError` for properties that librdkafka does not know."""
    try:
        return client(config, logger=logger)
    except KafkaException as exception:
        raise explained(
            "the settings KAFKA_* do not make a client", error_of(exception)
        ) from exception


def connected(client: Any, config: properties.Properties) -> Any:
    """A client that has met the cluster: 55 ms. Left to itself it looks for a broker first when it
    is asked for something, finds that it has none yet, and tries again after 500 ms."""
    made = opened(client, config)
    try:
        made.list_topics(timeout=_REQUEST_S)
    except KafkaException as exception:
        servers = config["bootstrap.servers"]
        raise explained(f"no broker of '{servers}' answers", error_of(exception)) from exception
    return made
