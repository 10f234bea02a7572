"""The topics, their configuration and schemas that the product needs, against those there are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from schemas.work import ADMISSION, DELIVERY, EVERY_STAGE
from topics.catalog import CATALOG, FOREVER, dead_letter_topic, partitions, retention_ms
from topics.codec import Codec
from topics.log import Log
from topics.log.kafka.settings import KafkaSettings
from topics.registry import Incompatible, RegistryIds, RegistrySettings, Unregistered

Verdict = Literal[
    "ok", "missing", "fewer", "more", "different", "unregistered", "incompatible", "forbidden"
]
"""``fewer`` and ``more`` are of partitions, ``different`` of a configuration, ``forbidden`` is what
the keys may neither see nor change: somebody else's to look after."""


@dataclass(frozen=True, slots=True)
class Finding:
    """How one topic, its schema or the bucket compares."""

    what: Literal["topic", "config", "schema", "bucket", "cors"]
    topic: str  # on the log; of a bucket its name
    verdict: Verdict
    detail: str = ""

    @property
    def applies(self) -> bool:
        """Whether `melisma topics apply` can put it right."""
        return self.verdict in ("missing", "different", "unregistered")

    @property
    def bad(self) -> bool:
        """Whether the product cannot run well on it. More partitions than asked for are fine."""
        return self.verdict not in ("ok", "more", "forbidden")


def wanted(codec: Codec) -> dict[str, int]:
    """Every topic of the product, by its name on the log, and its partitions."""
    others = {dead_letter_topic(name): 1 for name in ("projector", ADMISSION, DELIVERY)}
    names = partitions(EVERY_STAGE) | others
    return {codec.on_log(name): count for name, count in names.items()}


def retentions(codec: Codec) -> dict[str, int]:
    """Milliseconds that each topic keeps its records; `FOREVER` for most."""
    finite = {codec.on_log(name): ms for name, ms in retention_ms(EVERY_STAGE).items()}
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


def config_findings(kafka: KafkaSettings, codec: Codec, *, repair: bool) -> list[Finding]:
    """How each topic that is there is configured; nothing without a Kafka: the embedded log is
    told by the catalog itself.

    ``repair`` changes what is different. Raises `topics.log.LogError`.
    """
    if not kafka.kafka_bootstrap_servers:
        return []
    from topics.log.kafka.topic_config import TopicConfigs

    configs = TopicConfigs(kafka)
    needed = configs.wanted(retentions(codec))
    found = configs.found(needed)
    if repair:
        differences = {
            topic: {
                name: value for name, value in config.items() if found[topic].get(name) != value
            }
            for topic, config in needed.items()
        }
        configs.put({topic: config for topic, config in differences.items() if config})
        found = configs.found(needed)
    return compare_configs(needed, found)


def compare_configs(
    wanted: Mapping[str, Mapping[str, str]], found: Mapping[str, Mapping[str, str]]
) -> list[Finding]:
    """Topics that would keep records too short or too long, or be written unsafely."""
    findings = []
    for topic, config in sorted(wanted.items()):
        detail = ", ".join(
            f"{name} is {found[topic].get(name, 'not known')}, {value} wanted"
            for name, value in config.items()
            if found[topic].get(name) != value
        )
        findings.append(Finding("config", topic, "different" if detail else "ok", detail))
    return findings


def all_findings(
    log: Log, registry: RegistrySettings, kafka: KafkaSettings, codec: Codec
) -> list[Finding]:
    """Everything that is compared, as it is now. Raises `topics.log.LogError`."""
    return [
        *schema_findings(registry, codec, register=False),
        *compare(wanted(codec), log.topics()),
        *config_findings(kafka, codec, repair=False),
    ]


def apply(
    log: Log, registry: RegistrySettings, codec: Codec, kafka: KafkaSettings | None = None
) -> list[Finding]:
    """Create what is missing and repair what is configured differently; what cannot be put right
    is among the findings and left as it is.

    Schemas go first: where one is refused, no topic is made for it to be written to. Without
    ``kafka`` the topics' configuration is left alone.
    """
    schemas = schema_findings(registry, codec, register=True)
    if any(each.verdict == "incompatible" for each in schemas):
        return [*schemas, *compare(wanted(codec), log.topics())]
    before = compare(wanted(codec), log.topics())
    missing = {each.topic for each in before if each.verdict == "missing"}
    new = {name: count for name, count in wanted(codec).items() if name in missing}
    log.provision(new, retentions(codec))
    configs = [] if kafka is None else config_findings(kafka, codec, repair=True)
    return [*schemas, *compare(wanted(codec), log.topics()), *configs]
