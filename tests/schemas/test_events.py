"""The events are what the schemas say, and the schemas may only grow."""

from __future__ import annotations

import io
import json
from pathlib import Path

import avro.io
import avro.schema
import pytest
from avro.compatibility import ReaderWriterCompatibilityChecker, SchemaCompatibilityType

from schemas import avsc, generate
from schemas.events import EVENTS
from topics.codec import Codec, Envelope, LocalIds
from topics.log import Record

TOPICS = avsc.topic_names()


def test_generated_module_is_in_step() -> None:
    written = Path(generate.__file__).with_name("events.py").read_text("utf-8")
    assert written == generate.events_module(), "run: python -m schemas.generate"


@pytest.mark.parametrize("topic", TOPICS)
def test_history_ends_with_the_current_schema(topic: str) -> None:
    assert avsc.history(topic)[-1] == avsc.current(topic), "run: python -m schemas.generate"


@pytest.mark.parametrize("topic", TOPICS)
def test_every_version_reads_every_other(topic: str) -> None:
    """FULL_TRANSITIVE: old readers read new records and new readers read old ones."""
    versions = [avro.schema.parse(json.dumps(schema)) for schema in avsc.history(topic)]
    for writer in versions:
        for reader in versions:
            checker = ReaderWriterCompatibilityChecker()  # type: ignore[no-untyped-call]
            result = checker.get_compatibility(reader, writer)
            assert result.compatibility is SchemaCompatibilityType.compatible, result.messages


@pytest.mark.parametrize("topic", TOPICS)
def test_every_field_that_is_no_id_has_a_default_and_all_have_docs(topic: str) -> None:
    def check(record: avsc.Schema) -> None:
        assert record["doc"]
        for field in record["fields"]:
            assert field["doc"], field["name"]
            nested = isinstance(field["type"], dict) and field["type"]["type"] == "record"
            if nested:
                check(field["type"])
            elif not field["name"].endswith("Id"):
                assert "default" in field, f"{record['name']}.{field['name']}"

    check(avsc.current(topic))
    assert "enum" not in json.dumps(avsc.current(topic))


@pytest.mark.parametrize("topic", TOPICS)
def test_golden_example_survives_the_codec_and_an_independent_decoder(topic: str) -> None:
    event = EVENTS[topic].from_wire(avsc.golden(topic))
    assert event.to_wire() == avsc.golden(topic)

    envelope = Envelope.caused(
        event, by="test", source="test", time_ms=1_700_000_000_123, traceparent=""
    )
    out = Codec().encode(envelope)
    assert out.value is not None
    record = Record(out.topic, 0, 0, 0, out.key, out.value, out.headers)
    assert Codec().decode(record) == envelope

    schema = avro.schema.parse(json.dumps(avsc.current(topic)))
    body = io.BytesIO(out.value[5:])
    independent = avro.io.DatumReader(schema).read(avro.io.BinaryDecoder(body))
    assert independent == avsc.golden(topic)
    assert not body.read()


def test_a_reader_of_today_reads_what_every_old_version_wrote() -> None:
    ids = LocalIds()
    for topic in TOPICS:
        for version in avsc.history(topic):
            assert ids.schema_of(avsc.local_id(version)) is not None


def test_schema_ids_differ_between_topics() -> None:
    ids = {avsc.local_id(avsc.current(topic)) for topic in TOPICS}
    assert len(ids) == len(TOPICS)
