"""What settings become, and what they must not become; no broker is asked."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from pydantic import SecretStr

from topics.log import LogError
from topics.log.kafka import properties
from topics.log.kafka.log import KafkaLog
from topics.log.kafka.settings import KafkaSettings
from topics.settings import BusSettings

TLS = KafkaSettings(
    kafka_bootstrap_servers="broker:9093",
    kafka_security_protocol="SASL_SSL",
    kafka_sasl_mechanism="SCRAM-SHA-512",
    kafka_sasl_username="melisma",
    kafka_sasl_password=SecretStr("hush"),
    kafka_ssl_ca_location="/ca.pem",
    kafka_properties={"client.rack": "a", "linger.ms": 7},
)


def test_security_and_other_properties_reach_every_client() -> None:
    for made in (
        properties.member(TLS, "group"),
        properties.reader(TLS, "reader"),
        properties.appender(TLS),
        properties.transactional(TLS, "name"),
    ):
        expected = {
            "bootstrap.servers": "broker:9093",
            "security.protocol": "SASL_SSL",
            "sasl.mechanism": "SCRAM-SHA-512",
            "sasl.username": "melisma",
            "sasl.password": "hush",
            "ssl.ca.location": "/ca.pem",
            "client.rack": "a",
            "linger.ms": 7,
        }
        assert made.items() >= expected.items()
        assert "ssl.key.location" not in made


def test_the_password_is_not_shown() -> None:
    assert "hush" not in repr(TLS)


@pytest.mark.parametrize("name", ["isolation.level", "enable.idempotence", "group.protocol"])
def test_what_the_promises_rest_on_cannot_be_set(name: str) -> None:
    settings = TLS.model_copy(update={"kafka_properties": {name: "other"}})
    with pytest.raises(LogError, match=f"KAFKA_PROPERTIES must not set '{name}'"):
        KafkaLog(settings)


def test_a_property_that_librdkafka_does_not_know_is_named() -> None:
    settings = KafkaSettings(
        kafka_bootstrap_servers="broker:9092", kafka_properties={"no.such.thing": 1}
    )
    with pytest.raises(LogError, match=r"no\.such\.thing"):
        KafkaLog(settings)


def test_an_address_where_nobody_listens_is_named() -> None:
    with socket.socket() as taken:  # bound and not listening: connections are refused
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        log = KafkaLog(KafkaSettings(kafka_bootstrap_servers=address), patience_s=0.1)
        with pytest.raises(LogError, match=rf"'{address}' answers.*check KAFKA_BOOTSTRAP_SERVERS"):
            log.topics()
        log.close()


def test_the_environment_chooses_the_log(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)  # away from a developer's .env
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "broker:9092")
    monkeypatch.setenv("KAFKA_PROPERTIES", '{"client.rack": "a"}')
    log = BusSettings(data_dir=tmp_path / "data").open_log()
    assert isinstance(log, KafkaLog)
    log.close()
    assert not (tmp_path / "data").exists()
