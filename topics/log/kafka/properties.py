"""What librdkafka is told beyond its defaults, each with its reason."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from topics.log.kafka.settings import KafkaSettings
from topics.log.protocol import LogError

Properties = dict[str, Any]

MAX_RECORD_BYTES: Final = 4 * 2**20
"""Largest record. Values reach 2 MiB (a request body's limit, MAX_BODY_BYTES), and a dead letter
adds headers to its record; Kafka's own limit is 1 MiB. Topics and producers agree on it."""

TRANSACTION_TIMEOUT_S: Final = 10
"""The broker aborts a transaction that is open for longer: until then it keeps committed readers of
its partitions waiting (60 s by default). Ours are open for milliseconds: work comes first."""

DELIVERY_TIMEOUT_S: Final = 30
"""How long a write outside a transaction is tried again: a broker restarts in 10 s. The default of
5 minutes is longer than anyone waits for an answer."""

_COMMON: Final[Mapping[str, Any]] = {
    # A broker that was down is looked for every second, not every 10, so that work goes on soon.
    "reconnect.backoff.max.ms": 1_000,
    # A connection that was cut without a word is given up after 10 s instead of 60 s. Longer than
    # a transaction the client does not take.
    "socket.timeout.ms": 10_000,
    "socket.connection.setup.timeout.ms": 10_000,
    "socket.keepalive.enable": True,
    # Requests are small and waited for: they must not wait for each other's acknowledgement.
    "socket.nagle.disable": True,
    # Consecutive transactions answer CONCURRENT_TRANSACTIONS until the last one's markers are
    # written, a few milliseconds, and are tried again after this: with 5 ms instead of the default
    # 100 ms a hop takes 6.6 ms instead of 15.6 ms, and batches move at 11,000 instead of 1,400
    # events/s. It doubles with each retry, up to 1 s, so that a broker in trouble is left alone.
    "retry.backoff.ms": 1,
}

_READING: Final[Mapping[str, Any]] = {
    # Nothing of an open or aborted transaction is seen.
    "isolation.level": "read_committed",
    # Offsets are committed in transactions only.
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    # A new group starts at the first record; so does one whose offset was deleted by retention.
    "auto.offset.reset": "earliest",
    # The end of a partition may be a transaction's marker, which no record shows: told apart from
    # "more to come" by this event alone.
    "enable.partition.eof": True,
    # Readers hold few records, but large ones: a stage works for minutes on each. The defaults
    # prefetch 100,000 records and 64 MiB a consumer.
    "queued.min.messages": 2_000,
    "queued.max.messages.kbytes": 16_384,
    # A full prefetch queue is looked at again after this instead of 1 s: with a queue of 2,000 the
    # default would stop a fast reader for most of the time.
    "fetch.queue.backoff.ms": 5,
    # A fetch that waits at the broker does not know of partitions that came or moved since (a
    # rebalance, a seek): 100 ms instead of 500 ms bounds what they wait for it.
    "fetch.wait.max.ms": 100,
}

_WRITING: Final[Mapping[str, Any]] = {
    # Retries write nothing twice and keep the order; implies acks=all.
    "enable.idempotence": True,
    # Java's partitioner, and the embedded log's: a key lands where everybody looks for it.
    "partitioner": "murmur2_random",
    "message.max.bytes": MAX_RECORD_BYTES,
}

OURS: Final = frozenset(_READING) - {
    "queued.min.messages",
    "queued.max.messages.kbytes",
    "fetch.queue.backoff.ms",
    "fetch.wait.max.ms",
} | {
    "enable.idempotence",
    "partitioner",
    "bootstrap.servers",
    "group.id",
    "group.protocol",
    "transactional.id",
    "transaction.timeout.ms",
}  # fmt: skip
"""Properties that the log's promises rest on: settings must not change them."""

_NAMED: Final[Mapping[str, str]] = {
    "sasl.mechanism": "kafka_sasl_mechanism",
    "sasl.username": "kafka_sasl_username",
    "ssl.ca.location": "kafka_ssl_ca_location",
    "ssl.certificate.location": "kafka_ssl_certificate_location",
    "ssl.key.location": "kafka_ssl_key_location",
}


def common(settings: KafkaSettings) -> Properties:
    """What every client is told. Raises `LogError` for a property that is ours."""
    taken = OURS & settings.kafka_properties.keys()
    if taken:
        raise LogError(
            f"kafka: KAFKA_PROPERTIES must not set '{min(taken)}': what the log promises rests on "
            "it; remove it"
        )
    properties: Properties = {
        "bootstrap.servers": settings.kafka_bootstrap_servers,
        "security.protocol": settings.kafka_security_protocol,
        **{name: value for name, field in _NAMED.items() if (value := getattr(settings, field))},
        **_COMMON,
    }
    secrets = {
        "sasl.password": settings.kafka_sasl_password,
        "ssl.key.password": settings.kafka_ssl_key_password,
    }
    properties |= {name: s.get_secret_value() for name, s in secrets.items() if s}
    return properties


def member(settings: KafkaSettings, group: str) -> Properties:
    """A member of a group, on KIP-848: the old owner gives up before the new one begins."""
    ours = {**_READING, "group.id": group, "group.protocol": "consumer"}
    return common(settings) | ours | settings.kafka_properties


def reader(settings: KafkaSettings, name: str) -> Properties:
    """A reader without a group: the client wants a group's name, and never uses it."""
    return common(settings) | {**_READING, "group.id": name} | settings.kafka_properties


def appender(settings: KafkaSettings) -> Properties:
    """A producer outside transactions."""
    ours = {
        **_WRITING,
        "message.timeout.ms": DELIVERY_TIMEOUT_S * 1000,
        # Its caller waits for what it writes: nothing is gained by waiting for more.
        "linger.ms": 0,
    }
    return common(settings) | ours | settings.kafka_properties


def transactional(settings: KafkaSettings, name: str) -> Properties:
    """A producer of transactions. A later one of the same name fences this one."""
    ours = {
        **_WRITING,
        "transactional.id": name,
        "transaction.timeout.ms": TRANSACTION_TIMEOUT_S * 1000,
        # All records of a transaction are there at once: they set out while the offsets do, not
        # with the flush behind them. The default of 5 ms costs a hop 1 ms, and batches nothing
        # here: until the partitions are in the transaction nothing is sent anyway.
        "linger.ms": 0,
    }
    return common(settings) | ours | settings.kafka_properties
