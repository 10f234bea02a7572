"""The Avro schemas: the source of truth of what travels on the topics.

``avro/<topic>.avsc`` holds one record a topic, ``avro/types/<Name>.avsc`` what they share. A schema
leaves this module self-contained, as a registry wants it. ``history/<topic>/<n>.avsc`` keeps every
version that was ever written, so that old records stay readable for ever.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from fastavro.schema import to_parsing_canonical_form

Schema = dict[str, Any]

_ROOT = Path(__file__).parent
_PRIMITIVES = frozenset(
    {"null", "boolean", "int", "long", "float", "double", "bytes", "string", "record", "array"}
    | {"map", "enum", "fixed"}
)


def topic_names() -> tuple[str, ...]:
    """Every topic that has a schema, sorted."""
    return tuple(sorted(path.stem for path in (_ROOT / "avro").glob("*.avsc")))


def type_names() -> tuple[str, ...]:
    """Every shared record type, sorted."""
    return tuple(sorted(path.stem for path in (_ROOT / "avro" / "types").glob("*.avsc")))


def source(name: str) -> Schema:
    """A schema as written: a topic's (``separated``) or a shared type's (``Work``)."""
    folder = "types" if name[0].isupper() else "."
    schema: Schema = json.loads((_ROOT / "avro" / folder / f"{name}.avsc").read_text("utf-8"))
    return schema


@cache
def current(topic: str) -> Schema:
    """The topic's schema with shared types written out where they are first named."""
    schema = _inline(source(topic), set())
    assert isinstance(schema, dict)
    return schema


@cache
def history(topic: str) -> tuple[Schema, ...]:
    """Every version of the topic's schema, oldest first; the last one is the current one."""
    folder = _ROOT / "history" / topic
    paths = sorted(folder.glob("*.avsc"), key=lambda path: int(path.stem))
    return tuple(json.loads(path.read_text("utf-8")) for path in paths)


def local_id(schema: Schema) -> int:
    """The schema id where no registry gives one: equal in every process, positive, 31 bits.

    It is the head of the SHA-256 of the parsing canonical form (Avro specification, "Parsing
    Canonical Form"), so two schemas that write the same bytes share an id.
    """
    canonical = to_parsing_canonical_form(schema).encode("utf-8")
    return int.from_bytes(hashlib.sha256(canonical).digest()[:4]) & 0x7FFF_FFFF


def golden(topic: str) -> Mapping[str, Any]:
    """The topic's golden example, in wire form."""
    example: Mapping[str, Any] = json.loads(
        (_ROOT / "examples" / f"{topic}.json").read_text("utf-8")
    )
    return example


def _inline(schema: Any, seen: set[str]) -> Any:
    if isinstance(schema, list):
        return [_inline(branch, seen) for branch in schema]
    if isinstance(schema, str):
        if schema in _PRIMITIVES or schema in seen:
            return schema if schema in _PRIMITIVES else f"melisma.{schema}"
        return _inline(source(schema), seen)
    inlined = dict(schema)
    if schema["type"] == "record":
        seen.add(schema["name"])
        inlined["fields"] = [
            {**field, "type": _inline(field["type"], seen)} for field in schema["fields"]
        ]
    for inner in ("items", "values"):
        if inner in schema:
            inlined[inner] = _inline(schema[inner], seen)
    return inlined
