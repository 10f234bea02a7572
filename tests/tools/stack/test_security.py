"""TLS with an authority of one's own, and passwords: the product's settings reach servers that ask
for them, and what is wrong is told by the setting.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from tests.tools.stack.authority import PASSWORD, Authority, found
from tools.stack import ports
from tools.stack.stack import Stack

pytestmark = pytest.mark.stack

USER, SECRET = "melisma", "of-the-user-42"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return found(tmp_path_factory.mktemp("authorities") / "ours")


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Signed nothing that the tests' servers show."""
    return found(tmp_path_factory.mktemp("authorities") / "theirs")


@pytest.fixture(scope="module")
def kafka(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    from confluent_kafka.admin import AdminClient
    from confluent_kafka.admin._scram import (
        ScramCredentialInfo,
        ScramMechanism,
        UserScramCredentialUpsertion,
    )

    scram = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
    told = {
        "listener.security.protocol.map": "CLIENT:SASL_SSL,INTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "sasl.enabled.mechanisms": "SCRAM-SHA-512",
        "listener.name.client.scram-sha-512.sasl.jaas.config": scram,
        "ssl.keystore.type": "PKCS12",
        "ssl.keystore.location": str(authority.keystore),
        "ssl.keystore.password": PASSWORD,
    }
    folder = tmp_path_factory.mktemp("kafka")
    with Stack(folder, services=["kafka"], settings={"kafka": told}) as stack:
        internal = stack._places(["kafka"])[0].port("internal")
        admin = AdminClient({"bootstrap.servers": f"127.0.0.1:{internal}"})
        credential = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096)
        user = UserScramCredentialUpsertion(USER, credential, SECRET.encode())
        for future in admin.alter_user_scram_credentials([user]).values():
            future.result(30)
        yield stack.addresses["KAFKA_BOOTSTRAP_SERVERS"]


class TestKafka:
    """SASL/SCRAM over TLS."""

    @pytest.fixture
    def environment(
        self, kafka: str, authority: Authority, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name, value in {
            "KAFKA_BOOTSTRAP_SERVERS": kafka,
            "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
            "KAFKA_SASL_MECHANISM": "SCRAM-SHA-512",
            "KAFKA_SASL_USERNAME": USER,
            "KAFKA_SASL_PASSWORD": SECRET,
            "KAFKA_SSL_CA_LOCATION": str(authority.certificate),
        }.items():
            monkeypatch.setenv(name, value)

    def test_records_and_offsets_are_written_and_read(self, environment: None) -> None:
        from topics.log import Outgoing, Record
        from topics.settings import BusSettings

        with closing(BusSettings().open_log()) as log:
            log.provision({"songs": 1})
            with closing(log.consumer("g", ["songs"])) as consumer:
                with closing(log.producer("p")) as producer:
                    producer.send([Outgoing("songs", b"la")])
                    records: list[Record] = []
                    while not records:
                        records = list(consumer.poll(1.0))
                    with producer.transaction() as transaction:
                        transaction.send(Outgoing("songs", b"lala"))
                        transaction.commit_offsets(consumer, {records[0].tp: 1})
                assert [record.value for record in records] == [b"la"]
                assert consumer.committed(records[0].tp) == 1

    def test_the_topics_are_configured(self, environment: None) -> None:
        from topics.log.kafka.log import KafkaLog
        from topics.log.kafka.settings import KafkaSettings
        from topics.log.kafka.topic_config import TopicConfigs

        settings = KafkaSettings()
        with closing(KafkaLog(settings)) as log:
            log.provision({"configured": 1})
        configs = TopicConfigs(settings)
        wanted = configs.wanted({"configured": 60_000})
        configs.put(wanted)
        assert configs.found(wanted) == wanted

    @pytest.mark.parametrize(
        ("name", "value", "told"),
        [
            ("KAFKA_SASL_PASSWORD", "wrong-secret", "KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD"),
            ("KAFKA_SASL_USERNAME", "nobody", "KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD"),
            ("KAFKA_SSL_CA_LOCATION", None, r"KAFKA_SECURITY_PROTOCOL and KAFKA_SSL_\*"),
            ("KAFKA_SECURITY_PROTOCOL", "PLAINTEXT", "KAFKA_SECURITY_PROTOCOL"),
        ],
    )
    def test_what_is_wrong_names_the_setting(
        self,
        environment: None,
        stranger: Authority,
        monkeypatch: pytest.MonkeyPatch,
        name: str,
        value: str | None,
        told: str,
    ) -> None:
        from topics.log import LogError
        from topics.log.kafka.log import KafkaLog
        from topics.log.kafka.settings import KafkaSettings

        monkeypatch.setenv(name, str(stranger.certificate) if value is None else value)
        with (
            closing(KafkaLog(KafkaSettings(), patience_s=2.0)) as log,
            pytest.raises(LogError, match=told) as raised,
        ):
            log.topics()
        assert "127.0.0.1:" in str(raised.value)
        assert "wrong-secret" not in str(raised.value)
        assert SECRET not in str(raised.value)


@pytest.fixture(scope="module")
def cassandra(
    authority: Authority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Any]]:
    pytest.importorskip("cassandra", reason="cassandra-driver is not installed")
    told: dict[str, Any] = {
        "authenticator": "PasswordAuthenticator",
        "client_encryption_options": {
            "enabled": True,
            "optional": True,  # the stack asks in the clear whether it is up
            "keystore": str(authority.keystore),
            "keystore_password": PASSWORD,
            "store_type": "PKCS12",
        },
    }
    folder = tmp_path_factory.mktemp("cassandra")
    with Stack(folder, services=["cassandra"], settings={"cassandra": told}) as stack:
        yield {
            "cassandra_contact_points": stack.addresses["CASSANDRA_CONTACT_POINTS"],
            "cassandra_username": "cassandra",  # made by the server itself, after some seconds
            "cassandra_password": "cassandra",
            "cassandra_tls": True,
            "cassandra_ca_file": str(authority.certificate),
            "cassandra_timeout_seconds": 60.0,
        }


class TestCassandra:
    """Password over TLS."""

    def test_the_projection_is_written_and_read(self, cassandra: dict[str, Any]) -> None:
        from gateway.projection.cassandra.settings import CassandraSettings
        from gateway.projection.cassandra.store import CassandraStore
        from gateway.projection.projector import apply_now
        from gateway.projection.store import StoreError
        from tests.gateway.projection.contract import published
        from tests.gateway.projection.histories import TENANT

        store: CassandraStore | None = None
        while store is None:
            try:
                store = CassandraStore(CassandraSettings(**cassandra))
            except StoreError as error:
                assert "refused the user 'cassandra'" in str(error)  # noqa: PT017
                time.sleep(1)
        with closing(store):
            apply_now(store, published().envelopes)
            job = store.job(TENANT, "job_1")
            assert job is not None
            assert job.state == "succeeded"

    @pytest.mark.parametrize(
        ("wrong", "told"),
        [
            ({"cassandra_password": "wrong-secret"}, "CASSANDRA_USERNAME and CASSANDRA_PASSWORD"),
            (
                {"cassandra_username": "", "cassandra_password": ""},
                "set CASSANDRA_USERNAME and _PASSWORD",
            ),
            ({"cassandra_ca_file": None}, "CASSANDRA_TLS, CASSANDRA_CA_FILE"),
        ],
    )
    def test_what_is_wrong_names_the_setting(
        self, cassandra: dict[str, Any], stranger: Authority, wrong: dict[str, Any], told: str
    ) -> None:
        from gateway.projection.cassandra.settings import CassandraSettings
        from gateway.projection.cassandra.store import CassandraStore
        from gateway.projection.store import StoreError

        if "cassandra_ca_file" in wrong:
            wrong = {"cassandra_ca_file": str(stranger.certificate)}
        with pytest.raises(StoreError, match=told) as raised:
            CassandraStore(CassandraSettings(**cassandra | wrong))
        assert cassandra["cassandra_contact_points"] in str(raised.value)
        assert "wrong-secret" not in str(raised.value)


@pytest.fixture(scope="module")
def s3(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    port = next(ports.choose(random.SystemRandom(), set()))
    told = {
        "s3proxy.secure-endpoint": f"https://127.0.0.1:{port}",
        "s3proxy.keystore-path": str(authority.keystore),
        "s3proxy.keystore-password": PASSWORD,
    }
    folder = tmp_path_factory.mktemp("s3")
    with Stack(folder, services=["s3"], settings={"s3": told}) as stack:
        named = {n: v for n, v in stack.addresses.items() if n.startswith("S3_")}
        yield named | {"S3_ENDPOINT": told["s3proxy.secure-endpoint"]}


class TestS3:
    """TLS with an authority of one's own."""

    def test_objects_are_written_read_and_signed(
        self, s3: dict[str, str], authority: Authority
    ) -> None:
        from tests.topics.artifacts import servers

        store = servers.store(s3, s3_ca_file=str(authority.certificate))
        store.check()
        store.put("a/song", b"la", "audio/wav")
        assert store.read(store.uri("a/song")) == b"la"

    @pytest.mark.parametrize("trusted", ["nobody", "a stranger"])
    def test_a_certificate_that_is_not_trusted_names_the_settings(
        self, s3: dict[str, str], stranger: Authority, trusted: str
    ) -> None:
        from tests.topics.artifacts import servers
        from topics.artifacts import ArtifactError

        more: dict[str, Any] = (
            {"s3_ca_file": str(stranger.certificate)} if trusted == "a stranger" else {}
        )
        with pytest.raises(ArtifactError, match="S3_ENDPOINT and S3_CA_FILE") as raised:
            servers.store(s3, s3_attempts=1, **more).check()
        assert s3["S3_ENDPOINT"] in str(raised.value)
