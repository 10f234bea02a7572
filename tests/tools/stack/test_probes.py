"""Probes read what servers answer, and take everything else for no."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator

import pytest

from tools.stack import probes
from tools.stack.ports import LOOPBACK

Server = Callable[[bytes], int]


@pytest.fixture
def answering() -> Iterator[Server]:
    """A port whose listener answers each of its callers with the given bytes, then hangs up."""
    listener = socket.create_server((LOOPBACK, 0))
    threads: list[threading.Thread] = []

    def serve(answer: bytes) -> int:
        def run() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(answer)

        threads.append(threading.Thread(target=run))
        threads[-1].start()
        return int(listener.getsockname()[1])

    yield serve
    for thread in threads:
        thread.join()
    listener.close()


def metadata(*nodes: int, rack: bytes | None = None) -> bytes:
    """A Metadata response, version 4, as the protocol guide lays it out."""
    body = struct.pack(">iii", 1, 0, len(nodes))
    for node in nodes:
        body += (
            struct.pack(">ih", node, len(LOOPBACK)) + LOOPBACK.encode() + struct.pack(">i", 9092)
        )
        body += struct.pack(">h", -1) if rack is None else struct.pack(">h", len(rack)) + rack
    return body + struct.pack(">h", -1) + struct.pack(">ii", 1, 0)


@pytest.mark.parametrize("rack", [None, b"", b"west"])
def test_the_brokers_of_a_metadata_answer(rack: bytes | None) -> None:
    assert probes.broker_ids(metadata(1, 7, 3, rack=rack)) == {1, 3, 7}
    assert probes.broker_ids(metadata()) == set()


def test_brokers_are_asked_over_a_connection(answering: Server) -> None:
    answer = metadata(2, 5)
    assert probes.kafka_brokers(answering(struct.pack(">i", len(answer)) + answer)) == {2, 5}


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\0\0",
        b"\0\0\0\x09short",
        struct.pack(">i", 1 << 30),
        struct.pack(">i", -1),
        struct.pack(">i", 14) + struct.pack(">iii", 1, 0, 5) + b"\0\0",
    ],
)
def test_a_torn_answer_is_no_broker(answering: Server, answer: bytes) -> None:
    assert probes.kafka_brokers(answering(answer)) == set()


@pytest.mark.parametrize(
    ("answer", "ready"),
    [
        (b"\x84\0\0\0\x06\0\0\0\0", True),  # SUPPORTED
        (b"\x84\0\0\0\x00\0\0\0\0", False),  # ERROR
        (b"HTTP/1.1 400", False),
        (b"\x84", False),
    ],
)
def test_only_supported_is_a_cassandra_that_answers(
    answering: Server, answer: bytes, ready: bool
) -> None:
    assert probes.cassandra_answers(answering(answer)) is ready


@pytest.mark.parametrize(
    ("answer", "status"),
    [(b"HTTP/1.1 403 Forbidden\r\n\r\n", 403), (b"\0\1\2\n", None), (b"", None)],
)
def test_http_status(answering: Server, answer: bytes, status: int | None) -> None:
    assert probes.http_status(answering(answer), "/") == status


def test_nobody_there_is_no() -> None:
    with socket.create_server((LOOPBACK, 0)) as listener:
        port = int(listener.getsockname()[1])
    assert probes.kafka_brokers(port) == set()
    assert not probes.cassandra_answers(port)
    assert probes.http_status(port, "/") is None
