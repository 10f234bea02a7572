"""What a wrong setting, a lost cluster or another release's tables are answered with."""

from __future__ import annotations

import secrets
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

pytest.importorskip("cassandra", reason="cassandra-driver is not installed")

from cassandra import AuthenticationFailed
from cassandra.cluster import Cluster, NoHostAvailable

from gateway.projection.cassandra.failures import connecting
from gateway.projection.cassandra.session import CassandraSession
from gateway.projection.cassandra.settings import CassandraSettings
from gateway.projection.store import StoreError


@contextmanager
def _listening(answer: bytes | None) -> Iterator[str]:
    """A port that takes connections and answers everything with some bytes, or with nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken: list[socket.socket] = []

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                taken.append(connection)
                if answer is not None:
                    connection.recv(1024)
                    connection.sendall(answer)
                    connection.close()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)
        thread.join()
        for connection in taken:
            connection.close()


class TestWithoutServer:
    def test_an_address_where_nobody_listens_is_named(self) -> None:
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))  # taken, and never listening
            address = f"127.0.0.1:{unused.getsockname()[1]}"
            with pytest.raises(StoreError, match="no Cassandra answers at") as caught:
                CassandraSession(CassandraSettings(cassandra_contact_points=address))
        assert f"CASSANDRA_CONTACT_POINTS={address}" in str(caught.value)
        assert "\n" not in str(caught.value)

    def test_a_host_without_address_is_named(self) -> None:
        with pytest.raises(StoreError, match=r"CASSANDRA_CONTACT_POINTS=nowhere\.invalid"):
            CassandraSession(CassandraSettings(cassandra_contact_points="nowhere.invalid"))

    @pytest.mark.parametrize("answer", [None, b"HTTP/1.1 400 Bad Request\r\n\r\n"])
    def test_something_else_on_the_port_is_no_cassandra(self, answer: bytes | None) -> None:
        with _listening(answer) as address:
            settings = CassandraSettings(
                cassandra_contact_points=address, cassandra_connect_timeout_seconds=0.5
            )
            with pytest.raises(StoreError, match="no Cassandra answers at"):
                CassandraSession(settings)

    def test_a_file_of_authorities_that_is_not_there_is_named(self) -> None:
        settings = CassandraSettings(
            cassandra_contact_points="127.0.0.1", cassandra_tls=True, cassandra_ca_file="/no/ca.pem"
        )
        with pytest.raises(StoreError, match="CASSANDRA_CA_FILE cannot be used"):
            CassandraSession(settings)


class TestCredentials:
    """Told from what the driver raises; the stack's own server lets everybody in."""

    @staticmethod
    def refusal(**settings: object) -> str:
        refused = AuthenticationFailed("Failed to authenticate: Bad credentials for s3cret")
        told = CassandraSettings(cassandra_contact_points="db1", **settings)  # type: ignore[arg-type]
        with pytest.raises(StoreError) as caught, connecting(told):
            raise NoHostAvailable("Unable to connect to any servers", {"db1:9042": refused})
        return str(caught.value)

    def test_a_refused_user_is_named_and_the_password_is_not(self) -> None:
        message = self.refusal(cassandra_username="melisma", cassandra_password="s3cret")
        assert "refused the user 'melisma'; check CASSANDRA_USERNAME" in message
        assert "s3cret" not in message

    def test_a_cluster_that_asks_for_a_user_says_so(self) -> None:
        assert "ask for a user; set CASSANDRA_USERNAME" in self.refusal()

    @pytest.mark.parametrize(
        "untrusted",
        [
            ssl.SSLCertVerificationError(1, "certificate verify failed"),
            OSError(1, "Tried connecting. Last error: [SSL: CERTIFICATE_VERIFY_FAILED] failed"),
        ],
    )
    def test_a_certificate_that_is_not_trusted_names_the_settings(self, untrusted: OSError) -> None:
        told = CassandraSettings(cassandra_contact_points="db1")
        with pytest.raises(StoreError, match="CASSANDRA_CA_FILE"), connecting(told):
            raise NoHostAvailable("Unable to connect to any servers", {"db1:9042": untrusted})


@pytest.mark.stack
class TestOnAServer:
    def test_a_data_centre_that_is_none_is_named_beside_those_there_are(
        self, cassandra: CassandraSettings
    ) -> None:
        wrong = cassandra.model_copy(update={"cassandra_datacenter": "dc9"})
        with pytest.raises(StoreError, match=r"CASSANDRA_DATACENTER=dc9 .*: datacenter1"):
            CassandraSession(wrong)

    def test_tables_of_a_newer_release_are_left_alone(self, cassandra: CassandraSettings) -> None:
        name = f"test_{secrets.token_hex(6)}"
        newer = cassandra.model_copy(update={"cassandra_keyspace": name})
        with Cluster(cassandra.addresses()) as cluster:
            session = cluster.connect()
            session.execute(
                f"CREATE KEYSPACE {name} WITH replication ="
                " {'class': 'SimpleStrategy', 'replication_factor': 1}",
                timeout=60,
            )
            session.execute(f"CREATE TABLE {name}.meta (name text PRIMARY KEY, value text)")
            session.execute(f"INSERT INTO {name}.meta (name, value) VALUES ('schema', '99')")
            with pytest.raises(StoreError, match=r"made by a newer release .*CASSANDRA_KEYSPACE"):
                CassandraSession(newer)
            session.execute(f"DROP KEYSPACE {name}", timeout=120)

    def test_processes_that_start_together_make_the_tables_once(
        self, cassandra: CassandraSettings
    ) -> None:
        name = f"test_{secrets.token_hex(6)}"
        new = cassandra.model_copy(update={"cassandra_keyspace": name})
        opened: list[CassandraSession] = []

        def start() -> None:
            opened.append(CassandraSession(new))

        threads = [threading.Thread(target=start) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(opened) == 3
        for session in opened:
            session.check()
            session.close()
        with Cluster(cassandra.addresses()) as cluster:
            cluster.connect().execute(f"DROP KEYSPACE {name}", timeout=120)

    def test_a_dropped_keyspace_is_told_by_its_setting(self, cassandra: CassandraSettings) -> None:
        name = f"test_{secrets.token_hex(6)}"
        session = CassandraSession(cassandra.model_copy(update={"cassandra_keyspace": name}))
        with Cluster(cassandra.addresses()) as cluster:
            cluster.connect().execute(f"DROP KEYSPACE {name}", timeout=120)
        with pytest.raises(StoreError, match="Cassandra could not"):
            session.row("read a client", "SELECT body FROM clients WHERE key_sha256 = ?", "k")
        session.close()
