"""The last records of a topic, and those that come."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from tools.ops.times import rfc3339
from topics.catalog import CATALOG
from topics.codec import Codec, Poison
from topics.log import Log, Record, TopicPartition

_POLL_S = 0.2
_BATCH = 1000
_SPARE = 2
"""Offsets looked back for each record wanted: on Kafka transaction markers take offsets, too."""


def tail(
    log: Log,
    topic: str,
    *,
    last: int | None,
    follow: bool,
    going_on: Callable[[], bool] = lambda: True,
) -> Iterator[Record]:
    """The ``last`` committed records of a topic (all of them for None), in the order in which the
    log took them; then, with ``follow``, every new one while ``going_on``.

    Raises `topics.log.UnknownTopic`.
    """
    ends = log.end_offsets([topic])
    start: dict[TopicPartition, int] = {}
    if last is not None:
        start = {tp: max(end - last * _SPARE, 0) for tp, end in ends.items()}
    reader = log.reader([topic], start=start)
    try:
        found: list[Record] = []
        while not reader.caught_up():
            for record in reader.poll(_POLL_S, _BATCH):
                if last is None and follow:
                    yield record  # nobody waits for the whole of a long topic
                else:
                    found.append(record)
        found.sort(key=lambda one: (one.timestamp_ms, one.partition, one.offset))
        yield from found[-last:] if last else found if last is None else []
        while follow and going_on():
            yield from reader.poll(_POLL_S, _BATCH)
    finally:
        reader.close()


@dataclass(frozen=True, slots=True)
class Line:
    """A record as it is shown."""

    record: Record
    kind: str
    """Of the event; empty where it was not decoded."""
    value: Any
    """In wire form; None where it was not decoded."""
    poison: str = ""

    def to_json(self) -> dict[str, Any]:
        """The record for programs."""
        record = self.record
        shown: dict[str, Any] = {
            "topic": record.topic,
            "partition": record.partition,
            "offset": record.offset,
            "at": rfc3339(record.timestamp_ms),
            "key": None if record.key is None else record.key.decode(errors="replace"),
            "bytes": None if record.value is None else len(record.value),
            "headers": [[name, value.decode(errors="replace")] for name, value in record.headers],
        }
        if self.value is not None:
            shown["event"] = self.value
        if self.poison:
            shown["poison"] = self.poison
        return shown


def line_of(record: Record, codec: Codec, *, decode: bool) -> Line:
    """A record, decoded where that is wanted and possible.

    Retry and dead-letter topics hold records of others: the headers say of which.
    """
    if not decode:
        return Line(record, "", None)
    topic = codec.in_catalog(record.topic)
    if topic not in CATALOG:
        named = dict(record.headers).get("ce_type", b"").decode(errors="replace")
        topic = named.removeprefix("melisma.")
    try:
        event = codec.decode(record, topic).event
    except Poison as poison:
        return Line(record, "", None, str(poison))
    return Line(record, event.topic, event.to_wire())
