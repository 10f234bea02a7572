"""The AsyncAPI document: in step, whole, and of the shape that AsyncAPI 3.0.0 asks for."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fastavro
import yaml

from schemas import avsc
from topics import asyncapi
from topics.catalog import CATALOG

COMMITTED = Path(__file__).parents[2] / "schemas" / "asyncapi.yaml"
DOCUMENT = asyncapi.document()


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if set(value) == {"$ref"}:
            yield value["$ref"]
        for each in value.values():
            yield from references(each)
    elif isinstance(value, list):
        for each in value:
            yield from references(each)


def resolved(reference: str) -> Any:
    """What a reference leads to. Raises KeyError."""
    found: Any = DOCUMENT
    for part in reference.removeprefix("#/").split("/"):
        found = found[part.replace("~1", "/").replace("~0", "~")]
    return found


def test_the_committed_file_is_in_step() -> None:
    assert COMMITTED.read_text("utf-8") == asyncapi.text(), "run `make schemas`"
    assert yaml.safe_load(asyncapi.text()) == DOCUMENT


def test_every_topic_of_the_catalog_is_a_channel() -> None:
    assert set(DOCUMENT["channels"]) == set(CATALOG)
    for name, channel in DOCUMENT["channels"].items():
        assert channel["address"] == name
        assert channel["bindings"]["kafka"]["partitions"] == CATALOG[name].partitions


def test_references_lead_somewhere() -> None:
    found = list(references(DOCUMENT))
    assert len(found) > 3 * len(CATALOG)
    for reference in found:
        assert resolved(reference)


def test_the_shape_is_asyncapi_3() -> None:
    """AsyncAPI 3.0.0, "Schema": members that are required, and none that it does not know."""
    known = {"asyncapi", "id", "info", "servers", "defaultContentType", "channels", "operations"}
    assert set(DOCUMENT) <= known | {"components"}
    assert DOCUMENT["asyncapi"] == "3.0.0"
    assert {"title", "version"} <= set(DOCUMENT["info"])
    keys = re.compile(r"^[A-Za-z0-9._-]+$")  # of components, "Fixed Fields"
    for kind in ("messages", "schemas"):
        assert all(keys.fullmatch(name) for name in DOCUMENT["components"][kind])
    for channel in DOCUMENT["channels"].values():
        assert set(channel) <= {"address", "messages", "description", "bindings"}
    for name, operation in DOCUMENT["operations"].items():
        assert operation["action"] == "send", name
        channel = resolved(operation["channel"]["$ref"])
        # an operation's messages are references into its own channel
        for message in operation["messages"]:
            assert message["$ref"].startswith(operation["channel"]["$ref"] + "/messages/")
            assert resolved(message["$ref"]) in channel["messages"].values()


def test_payloads_are_the_schemas_and_examples_fit_them() -> None:
    for name in CATALOG:
        channel = DOCUMENT["channels"][name]
        ((_, reference),) = channel["messages"].items()
        message = resolved(reference["$ref"])
        assert message["payload"]["schemaFormat"] == asyncapi.AVRO
        schema = fastavro.parse_schema(message["payload"]["schema"])
        assert message["payload"]["schema"] == avsc.current(name)
        for example in message["examples"]:
            fastavro.schemaless_writer(io.BytesIO(), schema, example["payload"], strict=True)
