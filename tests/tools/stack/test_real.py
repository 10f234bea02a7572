"""The released servers: they serve, keep what they were given over kill -9 and restarts, and go."""

from __future__ import annotations

import json
import socket
import struct
import threading
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from botocore.config import Config
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from tools.stack import ports
from tools.stack.stack import Stack

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]

TOPIC = "separated"


@pytest.fixture
def data(tmp_path: Path) -> Iterator[Path]:
    """A stack's folder; whatever was started in it is gone afterwards."""
    yield tmp_path / "stack"
    Stack(tmp_path / "stack").down(purge=True)


def create_topic(bootstrap: str, copies: int) -> None:
    admin = AdminClient({"bootstrap.servers": bootstrap})
    admin.create_topics([NewTopic(TOPIC, 1, copies)])[TOPIC].result(60)


def produce(bootstrap: str, value: bytes) -> None:
    """One record in a transaction of its own."""
    producer = Producer({"bootstrap.servers": bootstrap, "transactional.id": uuid.uuid4().hex})
    producer.init_transactions(60)
    producer.begin_transaction()
    producer.produce(TOPIC, value, headers={"traceparent": b"00"})
    producer.commit_transaction(60)


def consume(bootstrap: str, count: int) -> list[bytes | None]:
    """What a committed reader sees from the beginning, in a KIP-848 group of its own."""
    settings: dict[str, str | int | float | bool] = {
        "bootstrap.servers": bootstrap,
        "group.id": uuid.uuid4().hex,
        "group.protocol": "consumer",
        "auto.offset.reset": "earliest",
        "isolation.level": "read_committed",
    }
    consumer = Consumer(settings)
    consumer.subscribe([TOPIC])
    try:
        seen: list[bytes | None] = []
        for _ in range(120):
            message = consumer.poll(1.0)
            if message is not None and message.error() is None:
                seen.append(message.value())
            if len(seen) == count:
                break
        return seen
    finally:
        consumer.close()


def test_kafka_keeps_committed_records_over_kill_and_pause(data: Path) -> None:
    with Stack(data, ["kafka"]) as stack:
        bootstrap = stack.addresses["KAFKA_BOOTSTRAP_SERVERS"]
        create_topic(bootstrap, 1)
        produce(bootstrap, b"before")
        stack.kill9("kafka")
        stack.restart("kafka")
        assert stack.addresses["KAFKA_BOOTSTRAP_SERVERS"] == bootstrap
        stack.pause("kafka")
        assert [server.condition for server in stack.status()] == ["paused"]
        threading.Timer(1.0, stack.resume, ["kafka"]).start()
        produce(bootstrap, b"after")
        assert consume(bootstrap, 2) == [b"before", b"after"]


def test_three_brokers_restart_in_turn_while_records_are_committed(data: Path) -> None:
    with Stack(data, ["kafka"], brokers=3) as stack:
        bootstrap = stack.addresses["KAFKA_BOOTSTRAP_SERVERS"]
        assert len(bootstrap.split(",")) == 3
        create_topic(bootstrap, 3)
        for broker in (1, 2, 3):
            stack.stop("kafka", broker=broker)
            produce(bootstrap, b"without %d" % broker)
            stack.restart("kafka", broker=broker)
        assert consume(bootstrap, 3) == [b"without 1", b"without 2", b"without 3"]


def test_the_registry_keeps_ids_and_refuses_what_is_incompatible(data: Path) -> None:
    with Stack(data, ["registry"]) as stack:
        url = stack.addresses["SCHEMA_REGISTRY_URL"]
        first = register(url, '{"type": "record", "name": "A", "fields": []}')
        put(f"{url}/config/{TOPIC}-value", {"compatibility": "FULL_TRANSITIVE"})
        stack.restart("registry")
        assert register(url, '{"type": "record", "name": "A", "fields": []}') == first
        field = '{"type": "record", "name": "A", "fields": [{"name": "f", "type": "string"}]}'
        with pytest.raises(urllib.error.HTTPError) as refused:
            register(url, field)
        assert refused.value.code == 409
        refused.value.close()


def register(url: str, schema: str) -> object:
    return call("POST", f"{url}/subjects/{TOPIC}-value/versions", {"schema": schema})["id"]


def put(url: str, body: dict[str, str]) -> None:
    call("PUT", url, body)


def call(method: str, url: str, body: dict[str, str]) -> dict[str, object]:
    request = urllib.request.Request(url, json.dumps(body).encode(), method=method)
    request.add_header("Content-Type", "application/vnd.schemaregistry.v1+json")
    with urllib.request.urlopen(request, timeout=60) as answer:
        answered: dict[str, object] = json.load(answer)
        return answered


def test_s3_keeps_objects_serves_its_owner_alone_and_moves_off_a_taken_port(data: Path) -> None:
    stack = Stack(data, ["s3"])
    addresses = stack.up()
    bucket = addresses["S3_BUCKET"]
    s3_client(addresses).put_object(Bucket=bucket, Key="vocals.flac", Body=b"fLaC")
    stack.down()
    with socket.create_server((ports.LOOPBACK, int(addresses["S3_ENDPOINT"].rpartition(":")[2]))):
        moved = stack.up()
        assert moved["S3_ENDPOINT"] != addresses["S3_ENDPOINT"]
        assert moved["S3_SECRET_KEY"] == addresses["S3_SECRET_KEY"]
        client = s3_client(moved)
        signed = client.generate_presigned_url(
            "get_object", {"Bucket": bucket, "Key": "vocals.flac"}, ExpiresIn=60
        )
        with urllib.request.urlopen(signed, timeout=60) as answer:
            assert answer.read() == b"fLaC"
        for path in ("", f"/{bucket}", f"/{bucket}/vocals.flac"):
            with pytest.raises(urllib.error.HTTPError) as refused:
                urllib.request.urlopen(moved["S3_ENDPOINT"] + path, timeout=60)
            assert refused.value.code == 403
            refused.value.close()


def s3_client(addresses: dict[str, str]):  # type: ignore[no-untyped-def]
    return boto3.client(
        "s3",
        endpoint_url=addresses["S3_ENDPOINT"],
        aws_access_key_id=addresses["S3_ACCESS_KEY"],
        aws_secret_access_key=addresses["S3_SECRET_KEY"],
        region_name=addresses["S3_REGION"],
        config=Config(
            signature_version="s3v4",
            request_checksum_calculation="when_required",
            s3={"addressing_style": "path"},
        ),
    )


def test_cassandra_keeps_rows_over_kill_and_a_move_of_its_ports(data: Path) -> None:
    stack = Stack(data, ["cassandra"])
    port = int(stack.up()["CASSANDRA_CONTACT_POINTS"].rpartition(":")[2])
    with Cql(port) as cql:
        cql.run(
            "CREATE KEYSPACE m WITH replication = "
            "{'class': 'SimpleStrategy', 'replication_factor': 1}"
        )
        cql.run("CREATE TABLE m.jobs (day text, id int, state text, PRIMARY KEY (day, id))")
        cql.run("CREATE INDEX by_state ON m.jobs (state) USING 'sai'")
        cql.run("INSERT INTO m.jobs (day, id, state) VALUES ('d', 1, 'failed') IF NOT EXISTS")
    stack.kill9("cassandra")
    taken = [socket.create_server((ports.LOOPBACK, used)) for used in all_ports(stack)]
    try:
        moved = int(stack.up()["CASSANDRA_CONTACT_POINTS"].rpartition(":")[2])
        assert moved != port
        with Cql(moved) as cql:
            found = cql.run("SELECT state FROM m.jobs WHERE day = 'd' AND state = 'failed'")
        assert b"failed" in found
    finally:
        for listener in taken:
            listener.close()


def all_ports(stack: Stack) -> list[int]:
    state = json.loads((stack.data_dir / "stack.json").read_text())
    return [port for named in state["ports"].values() for port in named.values()]


class Cql:
    """The two messages of the CQL binary protocol v4 that a test needs (STARTUP, QUERY)."""

    _ERROR = 0

    def __init__(self, port: int) -> None:
        self._connection = socket.create_connection((ports.LOOPBACK, port), 60)
        entries = [_string("CQL_VERSION") + _string("3.0.0")]
        self._send(1, struct.pack(">H", len(entries)) + b"".join(entries))

    def __enter__(self) -> Cql:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def run(self, statement: str) -> bytes:
        """The raw RESULT of a statement at consistency ONE."""
        text = statement.encode()
        return self._send(7, struct.pack(">i", len(text)) + text + struct.pack(">HB", 1, 0))

    def _send(self, opcode: int, body: bytes) -> bytes:
        self._connection.sendall(struct.pack(">BBhBi", 4, 0, 0, opcode, len(body)) + body)
        with self._connection.makefile("rb") as read:
            header = read.read(9)
            answer = read.read(struct.unpack(">i", header[5:])[0])
        assert header[4] != self._ERROR, answer
        return answer


def _string(text: str) -> bytes:
    return struct.pack(">H", len(text)) + text.encode()
