"""What the servers are told: loopback only, sized by the number of brokers."""

from __future__ import annotations

import json
import random
import stat
from collections.abc import Mapping
from pathlib import Path

import pytest

from tools.stack import jars, java
from tools.stack import state as states
from tools.stack.cassandra import Cassandra
from tools.stack.kafka import server_properties
from tools.stack.registry import Registry
from tools.stack.s3 import S3
from tools.stack.service import Place, write_properties
from tools.stack.services import SERVICES, lacking, process_names


def places(
    tmp_path: Path, service: str, *, brokers: int = 1, settings: Mapping[str, str] | None = None
) -> list[Place]:
    state = states.new(brokers)
    names = process_names(service, brokers)
    for name in names:
        state = state.with_ports(name, SERVICES[service].purposes, random.Random(7), keep=False)
    found = [
        Place(service, number, name, tmp_path / name, state, settings or {})
        for number, name in enumerate(names, 1)
    ]
    for place in found:
        place.data.mkdir(parents=True)
    return found


@pytest.mark.parametrize(
    ("brokers", "copies", "in_step"), [(1, 1, 1), (2, 2, 1), (3, 3, 2), (5, 3, 2)]
)
def test_kafka_keeps_as_many_copies_as_there_are_brokers(
    tmp_path: Path, brokers: int, copies: int, in_step: int
) -> None:
    for place in places(tmp_path, "kafka", brokers=brokers):
        told = server_properties(place)
        assert told["transaction.state.log.replication.factor"] == copies
        assert told["offsets.topic.replication.factor"] == copies
        assert told["transaction.state.log.min.isr"] == in_step


def test_every_broker_knows_every_controller(tmp_path: Path) -> None:
    found = places(tmp_path, "kafka", brokers=3)
    (voters,) = {str(server_properties(place)["controller.quorum.voters"]) for place in found}
    assert voters.split(",") == [f"{p.number}@127.0.0.1:{p.port('controller')}" for p in found]


def test_a_lone_broker_that_crashed_is_fenced_before_it_starts_again(tmp_path: Path) -> None:
    (place,) = places(tmp_path, "kafka")
    kafka = SERVICES["kafka"]
    assert kafka.recovery(place, tmp_path) is None  # it never ran
    (place.data / "__cluster_metadata-0").mkdir()
    recovery = kafka.recovery(place, tmp_path)
    assert recovery is not None
    assert recovery.done == "Fencing broker 1 "
    told = Path(recovery.arguments[-1]).read_text()
    assert "process.roles=controller\n" in told
    assert "CLIENT://" not in told
    (place.data / ".kafka_cleanshutdown").touch()
    assert kafka.recovery(place, tmp_path) is None


def test_one_of_several_brokers_needs_no_recovery(tmp_path: Path) -> None:
    place, *_ = places(tmp_path, "kafka", brokers=3)
    (place.data / "__cluster_metadata-0").mkdir()
    assert SERVICES["kafka"].recovery(place, tmp_path) is None


def test_servers_listen_on_the_loopback_alone(tmp_path: Path) -> None:
    (broker,) = places(tmp_path, "kafka")
    listeners = str(server_properties(broker)["listeners"]).split(",")
    assert len(listeners) == 3
    assert all("://127.0.0.1:" in listener for listener in listeners)
    (node,) = places(tmp_path, "cassandra")
    Cassandra().configure(node)
    told = json.loads((node.config / "cassandra.yaml").read_text())
    assert told["listen_address"] == told["rpc_address"] == "127.0.0.1"


@pytest.mark.parametrize("service", sorted(SERVICES))
def test_a_setting_given_goes_over_ours(tmp_path: Path, service: str) -> None:
    (place,) = places(tmp_path, service, settings={"a.setting": "given"})
    SERVICES[service].configure(place)
    texts = [path.read_text() for path in place.config.iterdir()]
    assert any("a.setting" in text and "given" in text for text in texts)


@pytest.mark.parametrize("service", sorted(SERVICES))
def test_configurations_are_their_owners_alone(tmp_path: Path, service: str) -> None:
    (place,) = places(tmp_path, service)
    SERVICES[service].configure(place)
    modes = {stat.S_IMODE(path.stat().st_mode) for path in place.config.iterdir()}
    assert modes == {0o600}


def test_the_bucket_is_no_folder_that_others_may_list(tmp_path: Path) -> None:
    (place,) = places(tmp_path, "s3")
    S3().configure(place)
    (bucket,) = place.data.iterdir()
    assert stat.S_IMODE(bucket.stat().st_mode) == 0o700


def test_addresses_name_every_broker_and_the_credentials(tmp_path: Path) -> None:
    brokers = places(tmp_path, "kafka", brokers=2)
    named = SERVICES["kafka"].environment(brokers)["KAFKA_BOOTSTRAP_SERVERS"]
    assert named == ",".join(f"127.0.0.1:{broker.port('client')}" for broker in brokers)
    (store,) = places(tmp_path, "s3")
    assert S3().environment([store])["S3_SECRET_KEY"] == store.state.secret_key
    (registry,) = places(tmp_path, "registry")
    assert Registry().environment([registry])["SCHEMA_REGISTRY_URL"].endswith("/apis/ccompat/v7")


def test_properties_escape_what_java_would_read_otherwise(tmp_path: Path) -> None:
    write_properties(tmp_path / "p", {"path": "a\\b", "lines": "x\ny"})
    assert (tmp_path / "p").read_text() == "path=a\\\\b\nlines=x\\ny\n"


def test_what_is_lacking_is_said_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(java, "_KNOWN", ())
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    said = lacking()
    assert said is not None
    assert "no Java was found" in said
    assert "\n" not in said


def test_maven_is_lacking_only_while_something_is_to_be_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(java, "installed", lambda: [java.Java(tmp_path, 17)])
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(jars, "cache_dir", lambda: tmp_path / "empty")
    assert "no `mvn` on PATH" in str(lacking())
    monkeypatch.setattr(jars, "is_fetched", lambda coordinates, cache: True)
    assert lacking() is None
