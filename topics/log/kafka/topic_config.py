"""What Kafka is told about each topic: how long it keeps records, and what it may do to them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import AlterConfigOpType, ConfigEntry, ConfigResource
from confluent_kafka.admin._resource import ResourceType

from topics.log.kafka import properties
from topics.log.kafka.errors import UNKNOWN, UNREACHABLE, error_of, explained
from topics.log.kafka.settings import KafkaSettings

T = TypeVar("T")
Config = Mapping[str, str]

_REQUEST_S: Final = 10.0
_AGAIN_S: Final = 0.2


def config_of(settings: KafkaSettings, *, retention_ms: int, replicas: int) -> dict[str, str]:
    """The configuration of a topic that keeps records so long (-1: for ever).

    ``replicas`` is how many it has or is given; below 1 is the cluster's default, and then the
    cluster's own ``min.insync.replicas`` goes with it.
    """
    insync = settings.kafka_min_insync_replicas or max(replicas - 1, 0)
    config = {
        "max.message.bytes": str(properties.MAX_RECORD_BYTES),
        # A record's time is when the log took it, whatever the producer's clock says.
        "message.timestamp.type": "LogAppendTime",
        # Kafka deletes after 7 days unless told; what may go is the catalog's to say.
        "retention.ms": str(retention_ms),
        # Nor may a limit of the cluster's do it by size, or a compaction keep a key's last event
        # alone: the projection is folded from all of them.
        "retention.bytes": "-1",
        "cleanup.policy": "delete",
    }
    return config | ({"min.insync.replicas": str(insync)} if insync else {})


class TopicConfigs:
    """The topics' configuration on a cluster, read and changed."""

    def __init__(self, settings: KafkaSettings, *, patience_s: float = 15.0) -> None:
        """Raises `topics.log.LogError` for settings that make no client."""
        from topics.log.kafka.cluster import opened

        self._settings = settings
        self._patience_s = patience_s
        config = properties.common(settings) | settings.kafka_properties
        self._admin: AdminClient = opened(AdminClient, config)

    def wanted(self, retention_ms: Mapping[str, int]) -> dict[str, dict[str, str]]:
        """What these topics should be told, by how long each keeps its records. Those that are not
        on the cluster are left out."""
        found = self._patiently("read", lambda: self._admin.list_topics(timeout=_REQUEST_S))
        replicas = {
            name: min(len(partition.replicas) for partition in topic.partitions.values())
            for name, topic in found.topics.items()
            if topic.partitions
        }
        return {
            name: config_of(self._settings, retention_ms=kept, replicas=replicas[name])
            for name, kept in retention_ms.items()
            if name in replicas
        }

    def found(self, wanted: Mapping[str, Config]) -> dict[str, dict[str, str]]:
        """What these topics are told now, of the same properties."""
        if not wanted:
            return {}

        def ask() -> dict[str, dict[str, str]]:
            asked = [ConfigResource(ResourceType.TOPIC, name) for name in wanted]
            answers = self._admin.describe_configs(asked, request_timeout=_REQUEST_S)
            entries = {of.name: future.result() for of, future in answers.items()}
            return {
                name: {key: str(entries[name][key].value) for key in config if key in entries[name]}
                for name, config in wanted.items()
            }

        return self._patiently("read", ask)

    def put(self, wanted: Mapping[str, Config]) -> None:
        """Tell the topics. Other properties stay as they are."""
        if not wanted:
            return

        def ask() -> None:
            changes = [
                ConfigResource(
                    ResourceType.TOPIC,
                    name,
                    incremental_configs=[
                        ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET)
                        for key, value in config.items()
                    ],
                )
                for name, config in wanted.items()
            ]
            answers = self._admin.incremental_alter_configs(changes, request_timeout=_REQUEST_S)
            for future in answers.values():
                future.result()

        self._patiently("changed", ask)

    def _patiently(self, done: str, ask: Callable[[], T]) -> T:
        deadline = time.monotonic() + self._patience_s
        while True:
            try:
                return ask()
            except KafkaException as exception:
                error: Any = error_of(exception)
                passing = error.code() in UNREACHABLE | UNKNOWN  # a new topic is told about late
                if not passing or time.monotonic() > deadline:
                    raise explained(
                        f"the topics' configuration cannot be {done}", error
                    ) from exception
            time.sleep(_AGAIN_S)
