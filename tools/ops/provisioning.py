"""The topics and schemas that the product needs, against those that are there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from schemas.work import STAGES
from topics.catalog import CATALOG, FOREVER, dead_letter_topic, partitions, retention_ms
from topics.codec import Codec
from topics.log import Log
from topics.registry import Incompatible, RegistryIds, RegistrySettings, Unregistered

Verdict = Literal["ok", "missing", "fewer", "more", "unregistered", "incompatible"]
"""``fewer`` and ``more`` are of partitions."""


@dataclass(frozen=True, slots=True)
class Finding:
    """How one topic, or the schema of one, compares."""

    what: Literal["topic", "schema"]
    topic: str  # on the log
    verdict: Verdict
    detail: str = ""

    @property
    def applies(self) -> bool:
        """Whether `melisma topics apply` can put it right."""
        return self.verdict in ("missing", "unregistered")

    @property
    def bad(self) -> bool:
        """Whether the product cannot run well on it. More partitions than asked for are fine."""
        return self.verdict not in ("ok", "more")


def wanted(codec: Codec) -> dict[str, int]:
    """Every topic of the product, by its name on the log, and its partitions."""
    names = partitions(STAGES) | {dead_letter_topic("projector"): 1}
    return {codec.on_log(name): count for name, count in names.items()}


def retentions(codec: Codec) -> dict[str, int]:
    """Milliseconds that each topic keeps its records; `FOREVER` for most."""
    finite = {codec.on_log(name): ms for name, ms in retention_ms(STAGES).items()}
    return {name: finite.get(name, FOREVER) for name in wanted(codec)}


def compare(wanted: Mapping[str, int], found: Mapping[str, int]) -> list[Finding]:
    """Topics that are missing or cut differently; those of others are none of our business.

    A topic's partitions are never changed: its keys would move, and with them the order of a
    track's events.
    """
    findings = []
    for topic, count in sorted(wanted.items()):
        have = found.get(topic)
        if have is None:
            findings.append(Finding("topic", topic, "missing", f"{count} partitions wanted"))
        elif have < count:
            detail = f"{have} partitions, {count} wanted: at most {have} workers share it"
            findings.append(Finding("topic", topic, "fewer", detail))
        elif have > count:
            findings.append(Finding("topic", topic, "more", f"{have} partitions, {count} wanted"))
        else:
            findings.append(Finding("topic", topic, "ok"))
    return findings


def schema_findings(registry: RegistrySettings, codec: Codec, *, register: bool) -> list[Finding]:
    """The current schema of every topic against the registry; nothing without one: ids are then
    computed from the schemas, and every process knows them all.

    ``register`` adds what is missing. Raises `topics.registry.RegistryError` when it cannot be
    asked.
    """
    if not registry.schema_registry_url:
        return []
    ids = RegistryIds(registry, prefix=codec.on_log(""), register=register)
    findings = []
    try:
        for name in sorted(CATALOG):
            topic = codec.on_log(name)
            try:
                number = ids.id_of(name)
            except Unregistered:
                findings.append(Finding("schema", topic, "unregistered", "not in the registry"))
            except Incompatible as error:
                findings.append(Finding("schema", topic, "incompatible", str(error)))
            else:
                findings.append(Finding("schema", topic, "ok", f"id {number}"))
    finally:
        ids.close()
    return findings


def apply(log: Log, registry: RegistrySettings, codec: Codec) -> list[Finding]:
    """Create what is missing; what cannot be put right is among the findings and left as it is.

    Schemas go first: where one is refused, no topic is made for it to be written to.
    """
    schemas = schema_findings(registry, codec, register=True)
    if any(each.verdict == "incompatible" for each in schemas):
        return [*schemas, *compare(wanted(codec), log.topics())]
    before = compare(wanted(codec), log.topics())
    missing = {each.topic for each in before if each.verdict == "missing"}
    log.provision({name: count for name, count in wanted(codec).items() if name in missing})
    return [*schemas, *compare(wanted(codec), log.topics())]
