"""Events to records and back: Avro in the Confluent wire format, metadata in CloudEvents headers.

The value is ``0x00``, the schema id (4 bytes, big-endian) and the Avro body, so that any Confluent
client reads it. The headers are the Kafka binding of CloudEvents 1.0 in binary mode.
"""

from __future__ import annotations

import io
import struct
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any, NamedTuple, Protocol, Self

from fastavro import parse_schema, schemaless_reader, schemaless_writer

from schemas import avsc
from schemas.events import EVENTS, Event
from topics.catalog import CATALOG
from topics.log import Headers, Outgoing, Record

_MAGIC = 0
_PREFIX = struct.Struct(">bI")
_EVENT_IDS = uuid.UUID("6b1f0f1a-2a35-5f0c-9d3e-6d656c69736d")
"""Namespace of the UUIDv5 event ids. Never change it: readers drop ids that they have folded."""


class Poison(Exception):
    """Bytes that are no event of ours. They go to the dead letters; nothing can repair them."""

    code = "poison"


@dataclass(frozen=True, slots=True)
class Envelope:
    """An event with what the headers say about it."""

    event: Event
    id: str
    source: str  # who wrote it, e.g. "separation"
    time_ms: int  # when it happened, Unix time
    traceparent: str
    headers: Headers = ()  # everything else, kept as it was

    @classmethod
    def caused(
        cls, event: Event, *, by: str, source: str, time_ms: int, traceparent: str, part: str = ""
    ) -> Self:
        """An event whose id follows from what caused it: made twice, it has the same id twice.

        ``by`` is the id of the causing event (or of the accepted request), ``part`` tells apart
        several events of one topic with one cause, e.g. ``try 2, sequence 5``.
        """
        return cls(event, event_id(by, source, event.topic, part), source, time_ms, traceparent)


def event_id(cause: str, source: str, topic: str, part: str = "") -> str:
    """The deterministic id of what ``source`` wrote to ``topic`` because of ``cause``."""
    return str(uuid.uuid5(_EVENT_IDS, "\n".join((cause, source, topic, part))))


class SchemaIds(Protocol):
    """Who numbers the schemas: a registry, or nobody (`LocalIds`)."""

    def id_of(self, topic: str) -> int:
        """The id of the topic's current schema."""

    def schema_of(self, schema_id: int) -> avsc.Schema:
        """The schema that a writer used. Raises `Poison` for an unknown id."""

    def close(self) -> None:
        """Let go of connections."""


class LocalIds:
    """Ids computed from the schemas themselves; knows every version in ``schemas/history``."""

    def __init__(self) -> None:
        self._ids = {topic: avsc.local_id(avsc.current(topic)) for topic in CATALOG}
        self._schemas = {
            avsc.local_id(schema): schema for topic in CATALOG for schema in avsc.history(topic)
        }

    def id_of(self, topic: str) -> int:
        """The id of the topic's current schema."""
        return self._ids[topic]

    def schema_of(self, schema_id: int) -> avsc.Schema:
        """The schema of that id. Raises `Poison`."""
        try:
            return self._schemas[schema_id]
        except KeyError:
            raise Poison(f"schema id {schema_id} is not one that this product ever wrote") from None

    def close(self) -> None:
        """Nothing is held."""


class Codec:
    """Writes and reads events. ``prefix`` is put before every topic name on the log."""

    def __init__(self, ids: SchemaIds | None = None, prefix: str = "") -> None:
        self._ids = ids or LocalIds()
        self._prefix = prefix
        self._readers: dict[tuple[str, int], _Schemas] = {}  # by topic and schema id

    def close(self) -> None:
        """Let go of the registry, if there is one."""
        self._ids.close()

    def meet(self, topics: Iterable[str]) -> None:
        """Learn what events of these topics are written in, so that `encode` needs nobody later.

        Raises `topics.log.LogError` when the registry cannot say.
        """
        for topic in topics:
            self._ids.id_of(topic)

    def on_log(self, topic: str) -> str:
        """The name of a topic on the log."""
        return self._prefix + topic

    def in_catalog(self, topic: str) -> str:
        """The name in the catalog of a topic on the log."""
        return topic.removeprefix(self._prefix)

    def encode(self, envelope: Envelope) -> Outgoing:
        """The record of an event."""
        topic = envelope.event.topic
        body = io.BytesIO()
        body.write(_PREFIX.pack(_MAGIC, self._ids.id_of(topic)))
        schemaless_writer(body, _parsed(topic), envelope.event.to_wire())
        return Outgoing(
            topic=self.on_log(topic),
            key=CATALOG[topic].key_of(envelope.event).encode(),
            value=body.getvalue(),
            headers=(*_cloud_event(envelope), *envelope.headers),
        )

    def decode(self, record: Record, topic: str | None = None) -> Envelope:
        """The event of a record. ``topic`` names the catalog topic of a record read elsewhere
        (a retry or dead-letter topic). Raises `Poison`.
        """
        name = topic or self.in_catalog(record.topic)
        kind = EVENTS.get(name)
        if kind is None:
            raise Poison(f"topic '{name}' carries no event of the catalog")
        said: dict[str, bytes] = {}
        others: list[tuple[str, bytes]] = []
        for pair in record.headers:
            if pair[0] in _OWN_HEADERS:
                said[pair[0]] = pair[1]
            else:
                others.append(pair)
        try:
            event_id, source = said["ce_id"].decode(), said["ce_source"].decode()
            time, traceparent = said["ce_time"].decode(), said.get("traceparent", b"").decode()
        except KeyError as missing:
            raise Poison(f"the CloudEvents header {missing.args[0]} is missing") from None
        except UnicodeDecodeError as error:
            raise Poison("a CloudEvents header is not UTF-8") from error
        return Envelope(
            event=kind.from_wire(self._value(name, record.value)),
            id=event_id,
            source=source,
            time_ms=_millis(time),
            traceparent=traceparent,
            headers=tuple(others),
        )

    def _value(self, topic: str, value: bytes | None) -> Mapping[str, Any]:
        if value is None or len(value) < _PREFIX.size:
            raise Poison("the value is too short to be Avro in the Confluent wire format")
        magic, schema_id = _PREFIX.unpack_from(value)
        if magic != _MAGIC:
            raise Poison(f"the value begins with byte {magic}, not 0: not the Confluent format")
        # Outside the try below: a registry that does not answer makes no record poison.
        schemas = self._readers.get((topic, schema_id)) or self._schemas(topic, schema_id)
        body = io.BytesIO(value)
        body.seek(_PREFIX.size)
        try:
            wire = schemaless_reader(body, schemas.writer, schemas.reader)
        except Exception as error:  # fastavro raises whatever the bytes lead it to
            raise Poison(f"the value is not the Avro that its schema says: {error!r}") from error
        if body.tell() != len(value):
            raise Poison("bytes are left over behind the Avro value")
        assert isinstance(wire, dict)
        return wire

    def _schemas(self, topic: str, schema_id: int) -> _Schemas:
        """What a record of this topic and id was written with, and is read as."""
        written = self._ids.schema_of(schema_id)
        try:
            writer = parse_schema(written)
        except Exception as error:  # whatever a registry holds under that id
            raise Poison(f"schema id {schema_id} is no Avro schema: {error}") from error
        reader = _parsed(topic)
        # Left to itself fastavro compares the two, whole, for every record.
        found = _Schemas(writer, None if writer == reader else reader)
        self._readers[topic, schema_id] = found
        return found


class _Schemas(NamedTuple):
    """A record's schemas, parsed. ``reader`` is None where it is the writer's."""

    writer: Any
    reader: Any


_OWN_HEADERS = frozenset(
    {"ce_id", "ce_source", "ce_type", "ce_time", "ce_specversion", "content-type", "traceparent"}
)


@cache
def _parsed(topic: str) -> Any:
    return parse_schema(avsc.current(topic))


def _cloud_event(envelope: Envelope) -> Headers:
    time = datetime.fromtimestamp(envelope.time_ms / 1000, UTC)
    return (
        ("ce_specversion", b"1.0"),
        ("ce_id", envelope.id.encode()),
        ("ce_source", envelope.source.encode()),
        ("ce_type", f"melisma.{envelope.event.topic}".encode()),
        ("ce_time", time.isoformat(timespec="milliseconds").replace("+00:00", "Z").encode()),
        ("content-type", b"application/avro"),
        ("traceparent", envelope.traceparent.encode()),
    )


def _millis(time: str) -> int:
    try:
        return round(datetime.fromisoformat(time).timestamp() * 1000)
    except ValueError as error:
        raise Poison(f"ce_time '{time}' is not an RFC 3339 time") from error
