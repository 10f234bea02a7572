"""What is missing is made; what would move keys or break readers is left and said."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tools.ops.provisioning import apply, compare, retentions, schema_findings, wanted
from topics.catalog import CATALOG, FOREVER
from topics.codec import Codec
from topics.log import Log
from topics.log.embedded import EmbeddedLog
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
