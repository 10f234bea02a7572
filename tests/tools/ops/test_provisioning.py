"""What is missing is made; what would move keys or break readers is left and said."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tools.ops.provisioning import (
    all_findings,
    apply,
    compare,
    compare_configs,
    config_findings,
    retentions,
    schema_findings,
    wanted,
)
from topics.catalog import CATALOG, FOREVER, RETRY_RETENTION_MS
from topics.codec import Codec
from topics.log import Log
from topics.log.embedded import EmbeddedLog
from topics.log.kafka.log import KafkaLog
from topics.log.kafka.settings import KafkaSettings
from topics.log.kafka.topic_config import TopicConfigs, config_of
from topics.registry import RegistrySettings

CODEC = Codec(prefix="studio.")
NO_REGISTRY = RegistrySettings(schema_registry_url="")
counts = st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 9))


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    with closing(EmbeddedLog(tmp_path / "log.db")) as made:
        yield made


def test_an_empty_log_gets_every_topic_and_a_second_time_nothing(log: Log) -> None:
    before = compare(wanted(CODEC), log.topics())
    assert {each.verdict for each in before} == {"missing"}
    for _ in range(2):
        after = apply(log, NO_REGISTRY, CODEC)
        assert {each.verdict for each in after} == {"ok"}
        assert dict(log.topics()) == wanted(CODEC)
    assert {CODEC.on_log(name) for name in CATALOG} < set(log.topics())
    assert {"studio.alignment.dlq", "studio.projector.dlq", "studio.dlq-handled"} < set(
        log.topics()
    )


def test_partitions_are_never_changed(log: Log) -> None:
    log.provision({"studio.separated": 1, "studio.aligned": 12, "theirs": 3})
    found = {each.topic: each for each in apply(log, NO_REGISTRY, CODEC)}
    assert log.topics()["studio.separated"] == 1
    assert log.topics()["studio.aligned"] == 12
    few, many = found["studio.separated"], found["studio.aligned"]
    assert (few.verdict, few.bad, few.applies) == ("fewer", True, False)
    assert "at most 1 workers" in few.detail
    assert (many.verdict, many.bad) == ("more", False)
    assert "theirs" not in found


def test_without_a_registry_there_is_nothing_to_register() -> None:
    assert schema_findings(NO_REGISTRY, CODEC, register=True) == []


def test_what_the_projection_is_made_from_is_kept_for_ever() -> None:
    kept = retentions(CODEC)
    assert kept["studio.published"] == kept["studio.dlq-handled"] == FOREVER
    assert kept["studio.step-progressed"] == 30 * 86_400_000
    assert kept["studio.alignment.dlq"] == FOREVER
    assert kept["studio.alignment.retry.5s"] == 3 * 86_400_000


@settings(deadline=None)
@given(wanted=counts, found=counts)
def test_each_wanted_topic_is_found_once(wanted: dict[str, int], found: dict[str, int]) -> None:
    findings = compare(wanted, found)
    assert [each.topic for each in findings] == sorted(wanted)
    for each in findings:
        have = found.get(each.topic, 0)
        assert (each.verdict == "missing") == (have == 0) == each.applies
        assert each.bad == (have < wanted[each.topic])
        assert (each.verdict == "ok") == (have == wanted[each.topic])


def test_differences_of_a_configuration_are_named_and_can_be_repaired() -> None:
    wanted = {"a": {"retention.ms": "-1", "cleanup.policy": "delete"}, "b": {"retention.ms": "5"}}
    found = {"a": {"retention.ms": "1", "cleanup.policy": "delete"}, "b": {"retention.ms": "5"}}
    different, fine = compare_configs(wanted, found)
    assert (different.what, different.topic, different.verdict) == ("config", "a", "different")
    assert different.detail == "retention.ms is 1, -1 wanted"
    assert different.bad
    assert different.applies
    assert (fine.topic, fine.verdict, fine.bad) == ("b", "ok", False)


def test_the_embedded_log_is_told_by_the_catalog_alone() -> None:
    assert config_findings(KafkaSettings(kafka_bootstrap_servers=""), CODEC, repair=True) == []


@pytest.mark.parametrize(
    ("settings", "replicas", "insync"),
    [
        ({}, -1, None),  # the cluster's default goes with the cluster's replicas
        ({}, 1, None),
        ({}, 2, "1"),
        ({}, 3, "2"),
        ({"kafka_min_insync_replicas": 3}, 3, "3"),
    ],
)
def test_all_but_one_replica_hold_a_record_unless_told(
    settings: dict[str, int], replicas: int, insync: str | None
) -> None:
    kafka = KafkaSettings.model_validate(settings)
    config = config_of(kafka, retention_ms=7, replicas=replicas)
    assert config.get("min.insync.replicas") == insync
    assert config["retention.ms"] == "7"


@pytest.mark.stack
def test_kafka_is_told_what_the_catalog_says_and_drift_is_repaired(kafka_bootstrap: str) -> None:
    kafka = KafkaSettings(kafka_bootstrap_servers=kafka_bootstrap)
    codec = Codec(prefix=f"studio-{uuid.uuid4().hex[:8]}.")
    retry, control = codec.on_log("alignment.retry.5s"), codec.on_log("job-canceled")
    configs = TopicConfigs(kafka)

    def different() -> dict[str, str]:
        findings = all_findings(bus, NO_REGISTRY, kafka, codec)
        return {each.topic: each.detail for each in findings if each.verdict == "different"}

    with closing(KafkaLog(kafka)) as bus:
        bus.provision({retry: 4}, retentions(codec))  # as the product does at its start
        assert configs.found(configs.wanted({retry: RETRY_RETENTION_MS})) == configs.wanted(
            {retry: RETRY_RETENTION_MS}
        )
        assert not any(each.bad for each in apply(bus, NO_REGISTRY, codec, kafka))
        told = configs.found(configs.wanted(retentions(codec)))
        assert set(told) == set(wanted(codec))
        assert told[retry]["retention.ms"] == str(RETRY_RETENTION_MS)
        assert told[codec.on_log("step-progressed")]["retention.ms"] == str(30 * 86_400_000)
        assert told[control]["retention.ms"] == told[codec.on_log("dlq-handled")]["retention.ms"]
        assert told[control] | {"retention.ms": "-1", "cleanup.policy": "delete"} == told[control]
        configs.put({control: {"cleanup.policy": "compact"}, retry: {"retention.ms": "1000"}})
        assert different() == {
            control: "cleanup.policy is compact, delete wanted",
            retry: f"retention.ms is 1000, {RETRY_RETENTION_MS} wanted",
        }
        assert not any(each.bad for each in apply(bus, NO_REGISTRY, codec, kafka))
        assert different() == {}
