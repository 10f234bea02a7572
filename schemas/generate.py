"""Write ``events.py`` from the schemas, and a history entry for each schema that changed.

Run ``python -m schemas.generate`` after editing an ``.avsc``; a test says when it was forgotten.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from schemas import avsc

_PYTHON = {
    "string": "str",
    "int": "int",
    "long": "int",
    "float": "float",
    "double": "float",
    "boolean": "bool",
    "bytes": "bytes",
}

_TYPES = (
    "Artifact",
    "Backend",
    "Work",
    "Mastering",
    "Video",
    "Generation",
    "Song",
    "Extraction",
    "ExtractorOutcome",
)
"""What topics share, each before the ones that hold it."""

_HEADER = '''"""Events and the records they share, generated from ``avro/`` by ``schemas.generate``.

Python names are snake_case, wire names (``to_wire``, ``from_wire``) are those of the schema.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar
'''


def snake(name: str) -> str:
    """``mediaType`` becomes ``media_type``."""
    return re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name).lower()


def events_module() -> str:
    """The text of ``events.py``."""
    types = [avsc.source(name) for name in _TYPES]
    assert {schema["name"] for schema in types} == set(avsc.type_names())
    topics = {topic: avsc.source(topic) for topic in avsc.topic_names()}
    blocks = [_HEADER]
    blocks += [_dataclass(schema, None) for schema in types]
    blocks += [_dataclass(schema, topic) for topic, schema in topics.items()]
    names = [schema["name"] for schema in topics.values()]
    blocks.append(f"Event = {_joined(names, ' | ')}\n")
    entries = "".join(f"    {name}.topic: {name},\n" for name in names)
    blocks.append(f"EVENTS: Mapping[str, type[Event]] = {{\n{entries}}}\n")
    return "\n\n".join(block.rstrip("\n") + "\n" for block in blocks)


def _joined(names: list[str], glue: str) -> str:
    lines = f"\n    {glue.strip()} ".join(names)
    return f"(\n    {lines}\n)"


def _dataclass(schema: avsc.Schema, topic: str | None) -> str:
    lines = ["@dataclass(frozen=True, slots=True, kw_only=True)", f"class {schema['name']}:"]
    lines += [f'    """{schema["doc"]}"""', ""]
    if topic:
        lines += [f'    topic: ClassVar[str] = "{topic}"', ""]
    for field in schema["fields"]:
        lines.append(f"    {snake(field['name'])}: {_annotation(field['type'])}{_default(field)}")
        lines.append(f'    """{field["doc"]}"""')
    lines += ["", "    def to_wire(self) -> dict[str, Any]:", '        """The Avro record."""']
    lines.append("        return {")
    for field in schema["fields"]:
        value = _encode(field["type"], f"self.{snake(field['name'])}")
        lines.append(f'            "{field["name"]}": {value},')
    lines += ["        }", "", "    @classmethod"]
    lines.append(f"    def from_wire(cls, wire: Mapping[str, Any]) -> {schema['name']}:")
    lines += ['        """Read an Avro record."""', "        return cls("]
    for field in schema["fields"]:
        value = _decode(field["type"], f'wire["{field["name"]}"]')
        lines.append(f"            {snake(field['name'])}={value},")
    lines.append("        )")
    return "\n".join(lines) + "\n"


def _annotation(kind: Any) -> str:
    match kind:
        case ["null", inner]:
            return f"{_annotation(inner)} | None"
        case {"type": "array", "items": items}:
            return f"tuple[{_annotation(items)}, ...]"
        case {"type": "map", "values": values}:
            return f"Mapping[str, {_annotation(values)}]"
        case str():
            return _PYTHON.get(kind, kind)
        case _:
            raise ValueError(f"no Python type for the Avro type {kind!r}")


def _default(field: dict[str, Any]) -> str:
    if "default" not in field:
        return ""
    match field["type"], field["default"]:
        case {"type": "array"}, []:
            return " = ()"
        case {"type": "map"}, {}:
            return " = field(default_factory=dict)"
        case _, value:
            literal = json.dumps(value) if isinstance(value, str) else repr(value)
            return f" = {literal}"


def _encode(kind: Any, value: str) -> str:
    match kind:
        case ["null", str() as inner] if inner not in _PYTHON:
            return f"None if {value} is None else {value}.to_wire()"
        case {"type": "array", "items": str() as inner} if inner not in _PYTHON:
            return f"[item.to_wire() for item in {value}]"
        case {"type": "array"}:
            return f"list({value})"
        case {"type": "map", "values": str() as inner} if inner not in _PYTHON:
            return f"{{name: item.to_wire() for name, item in {value}.items()}}"
        case {"type": "map"}:
            return f"dict({value})"
        case str() if kind not in _PYTHON:
            return f"{value}.to_wire()"
        case _:
            return value


def _decode(kind: Any, value: str) -> str:
    match kind:
        case ["null", str() as inner] if inner not in _PYTHON:
            return f"None if {value} is None else {inner}.from_wire({value})"
        case {"type": "array", "items": str() as inner} if inner not in _PYTHON:
            return f"tuple({inner}.from_wire(item) for item in {value})"
        case {"type": "array"}:
            return f"tuple({value})"
        case {"type": "map", "values": str() as inner} if inner not in _PYTHON:
            return f"{{name: {inner}.from_wire(item) for name, item in {value}.items()}}"
        case {"type": "map"}:
            return f"dict({value})"
        case str() if kind not in _PYTHON:
            return f"{kind}.from_wire({value})"
        case _:
            return value


def main() -> None:
    """Bring ``events.py`` and ``history/`` in step with ``avro/``."""
    root = Path(__file__).parent
    (root / "events.py").write_text(events_module(), "utf-8")
    for topic in avsc.topic_names():
        versions = avsc.history(topic)
        if not versions or versions[-1] != avsc.current(topic):
            folder = root / "history" / topic
            folder.mkdir(parents=True, exist_ok=True)
            text = json.dumps(avsc.current(topic), indent=2, ensure_ascii=False) + "\n"
            (folder / f"{len(versions) + 1}.avsc").write_text(text, "utf-8")


if __name__ == "__main__":
    main()
