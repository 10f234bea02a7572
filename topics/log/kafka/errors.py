"""What Kafka's errors mean to the log's callers: what happened, to what, and what to do."""

from __future__ import annotations

from typing import Final

from confluent_kafka import KafkaError, KafkaException

from topics.log.protocol import Doubtful, LogError, UnknownTopic

UNREACHABLE: Final = frozenset(
    {
        KafkaError._TRANSPORT,
        KafkaError._ALL_BROKERS_DOWN,
        KafkaError._TIMED_OUT,
        KafkaError._RESOLVE,
        KafkaError._WAIT_COORD,
    }
)
REFUSED: Final = frozenset(
    {
        KafkaError._AUTHENTICATION,
        KafkaError.SASL_AUTHENTICATION_FAILED,
        KafkaError.UNSUPPORTED_SASL_MECHANISM,
        KafkaError.ILLEGAL_SASL_STATE,
    }
)
"""Trying again does not help these: somebody has to change a setting."""

UNKNOWN: Final = frozenset(
    {
        KafkaError._UNKNOWN_TOPIC,
        KafkaError._UNKNOWN_PARTITION,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError.UNKNOWN_TOPIC_ID,
    }
)
FENCED: Final = frozenset(
    {
        KafkaError._FENCED,
        KafkaError.PRODUCER_FENCED,
        KafkaError.INVALID_PRODUCER_EPOCH,
        KafkaError.INVALID_PRODUCER_ID_MAPPING,
    }
)
"""A newer producer of the name has taken over, or the transaction timed out."""

NOT_A_MEMBER: Final = frozenset(
    {
        KafkaError.UNKNOWN_MEMBER_ID,
        KafkaError.ILLEGAL_GENERATION,
        KafkaError.STALE_MEMBER_EPOCH,
        KafkaError.FENCED_MEMBER_EPOCH,
        KafkaError.FENCED_INSTANCE_ID,
        KafkaError._ASSIGNMENT_LOST,
    }
)
"""The group has moved on: a rebalance came between, or the group took this member for dead."""

_HINTS: Final = (
    (UNREACHABLE, "check KAFKA_BOOTSTRAP_SERVERS, KAFKA_SECURITY_PROTOCOL and that it runs"),
    (REFUSED, "check KAFKA_SASL_MECHANISM, KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD"),
    (frozenset({KafkaError._SSL}), "check KAFKA_SECURITY_PROTOCOL and KAFKA_SSL_*"),
    (
        frozenset(
            {
                KafkaError.TOPIC_AUTHORIZATION_FAILED,
                KafkaError.GROUP_AUTHORIZATION_FAILED,
                KafkaError.CLUSTER_AUTHORIZATION_FAILED,
                KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
            }
        ),
        "give the user KAFKA_SASL_USERNAME (or the certificate) the right on the cluster",
    ),
    (
        frozenset({KafkaError.INVALID_REPLICATION_FACTOR}),
        "set KAFKA_REPLICATION_FACTOR to what the brokers of the cluster can hold",
    ),
    (
        frozenset({KafkaError.NOT_ENOUGH_REPLICAS, KafkaError.NOT_ENOUGH_REPLICAS_AFTER_APPEND}),
        "too few replicas are alive for KAFKA_MIN_INSYNC_REPLICAS",
    ),
    (
        frozenset({KafkaError.MSG_SIZE_TOO_LARGE}),
        "the topic's max.message.bytes allows less, or the record is no event",
    ),
    (
        frozenset({KafkaError.UNSUPPORTED_VERSION, KafkaError._UNSUPPORTED_FEATURE}),
        "the cluster must be Kafka 4.0 or newer",
    ),
)


def error_of(exception: KafkaException) -> KafkaError:
    """The error that an exception of the client carries."""
    error = exception.args[0]
    assert isinstance(error, KafkaError)
    return error


def unknown_topic(topic: str) -> UnknownTopic:
    """The topic is not provisioned."""
    return UnknownTopic(
        f"kafka: topic '{topic}' is not on the cluster; provision it (melisma topics apply)"
    )


def explained(doing: str, error: KafkaError, *, doubtful: bool = False) -> LogError:
    """The error as the log's callers know it. ``doing`` says what failed, and on what."""
    hint = next((text for codes, text in _HINTS if error.code() in codes), "")
    text = f"kafka: {doing}: {error.str()} ({error.name()})" + (f"; {hint}" if hint else "")
    if doubtful:
        return Doubtful(text)
    return UnknownTopic(text) if error.code() in UNKNOWN else LogError(text)
