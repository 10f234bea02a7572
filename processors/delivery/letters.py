"""What is no event, set aside with its bytes unchanged: ``delivery.dlq``."""

from __future__ import annotations

from processors.runtime.records import Origin, dead_letter
from schemas.work import DELIVERY
from topics.catalog import dead_letter_topic
from topics.codec import Codec, Poison
from topics.log import Log, Outgoing, Record


def letter(record: Record, poison: Poison, codec: Codec) -> Outgoing:
    """The dead letter of a record. Nobody worked on it, so it counts no try."""
    return dead_letter(
        record,
        origin=Origin(record.topic, record.partition, record.offset, record.timestamp_ms),
        tries=0,
        stage=DELIVERY,
        kind=type(poison).__name__,
        code=poison.code,
        message=str(poison),
        codec=codec,
    )


def provision(log: Log, codec: Codec) -> None:
    """Make the topic where it is missing. Raises `LogError`."""
    log.provision({codec.on_log(dead_letter_topic(DELIVERY)): 1})
