"""The AsyncAPI 3 description of the topics, made from the catalog and the Avro schemas.

``python -m topics.asyncapi`` prints it; ``schemas/asyncapi.yaml`` is what it printed last, and a
test says when the two are out of step.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, Final

import yaml

from schemas import avsc
from topics.catalog import CATALOG, FOREVER, Topic

AVRO = "application/vnd.apache.avro;version=1.9.0"
"""AsyncAPI's name for Avro schemas written as JSON."""

BINDING = "0.5.0"  # of Kafka, in AsyncAPI's bindings repository

_HEADERS: Final[Mapping[str, str]] = {
    "ce_id": "Id of the event: the same for every delivery of it.",
    "ce_source": "Who wrote it: a stage, or the gateway.",
    "ce_type": "Name of the event.",
    "ce_time": "When it happened, RFC 3339.",
    "ce_specversion": "1.0: CloudEvents, Kafka binding, binary mode.",
    "traceparent": "W3C trace context of what caused it.",
}


def document() -> dict[str, Any]:
    """The whole description, as JSON-like data."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Melisma",
            "version": "1",
            "description": (
                "Events of the pipelines. Values are Avro in the Confluent wire format, metadata"
                " are headers (CloudEvents, binary mode). Names may carry a prefix"
                " (TOPIC_PREFIX)."
            ),
            "license": {
                "name": "Apache-2.0",
                "url": "https://www.apache.org/licenses/LICENSE-2.0",
            },
        },
        "defaultContentType": "application/vnd.apache.avro+binary",
        "channels": {topic.name: _channel(topic) for topic in CATALOG.values()},
        "operations": {
            f"send-{topic.name}": {
                "action": "send",
                "channel": {"$ref": f"#/channels/{topic.name}"},
                "summary": f"Written by: {topic.owner}.",
                "messages": [{"$ref": f"#/channels/{topic.name}/messages/{_name(topic)}"}],
            }
            for topic in CATALOG.values()
        },
        "components": {
            "messages": {_name(topic): _message(topic) for topic in CATALOG.values()},
            "schemas": {
                "headers": {
                    "type": "object",
                    "required": [name for name in _HEADERS if name != "traceparent"],
                    "properties": {
                        name: {"type": "string", "description": words}
                        for name, words in _HEADERS.items()
                    },
                }
            },
        },
    }


def text() -> str:
    """The description as YAML."""
    return yaml.dump(document(), Dumper=_Plain, sort_keys=False, allow_unicode=True, width=100)


class _Plain(yaml.SafeDumper):
    """Writes everything out: anchors would tie parts together that have nothing in common."""

    def ignore_aliases(self, data: Any) -> bool:
        """Always."""
        return True


def _name(topic: Topic) -> str:
    name: str = avsc.source(topic.name)["name"]
    return name


def _channel(topic: Topic) -> dict[str, Any]:
    kept = "for ever" if topic.retention_ms == FOREVER else f"{topic.retention_ms // 86_400_000} d"
    return {
        "address": topic.name,
        "description": f"{topic.doc} Keyed by {topic.key}; kept {kept}.",
        "messages": {_name(topic): {"$ref": f"#/components/messages/{_name(topic)}"}},
        "bindings": {
            "kafka": {
                "topic": topic.name,
                "partitions": topic.partitions,
                "topicConfiguration": {
                    "cleanup.policy": ["delete"],
                    "retention.ms": topic.retention_ms,
                },
                "bindingVersion": BINDING,
            }
        },
    }


def _message(topic: Topic) -> dict[str, Any]:
    return {
        "name": _name(topic),
        "title": topic.name,
        "summary": topic.doc,
        "headers": {"$ref": "#/components/schemas/headers"},
        "payload": {"schemaFormat": AVRO, "schema": avsc.current(topic.name)},
        "bindings": {
            "kafka": {
                "key": {"type": "string", "description": f"The event's {topic.key}."},
                "schemaIdLocation": "payload",
                "schemaIdPayloadEncoding": "confluent",
                "bindingVersion": BINDING,
            }
        },
        "examples": [{"name": "golden", "payload": dict(avsc.golden(topic.name))}],
    }


if __name__ == "__main__":
    sys.stdout.write(text())
