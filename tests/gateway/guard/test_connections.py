"""Raw sockets against a running gateway: slow heads, slow bodies, large headers, garbage."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.guard.connections import MOST_HEADER_BYTES, MOST_HEADERS, Connection
from gateway.server import Server, serve
from tests.gateway.house import CLIENT, House, settings

HEAD = b"POST /v1/tracks/import HTTP/1.1\r\nHost: x\r\nX-Client-Id: a\r\n"


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A gateway whose patience is short, so that tests need little of their own."""
    monkeypatch.setattr(Connection, "head_s", 0.4)
    monkeypatch.setattr(Connection, "unread_s", 0.4)
    house = House(tmp_path, settings=settings(body_timeout_seconds=0.4))
    with serve(house.services, port=0) as running:
        house.base_url = running.url
        running.house = house  # type: ignore[attr-defined]
        yield running
    house.close()


def dial(server: Server) -> socket.socket:
    return socket.create_connection((server.host, server.port), timeout=10)


def to_the_end(connection: socket.socket) -> bytes:
    """Everything until the gateway closes. Raises TimeoutError if it does not."""
    received = b""
    while True:
        try:
            data = connection.recv(65536)
        except ConnectionResetError:
            return received
        if not data:
            return received
        received += data


def dribble(connection: socket.socket, data: bytes, over: threading.Event) -> None:
    """A byte now and then, as long as anybody listens."""
    for byte in data:
        if over.wait(0.02):
            return
        try:
            connection.send(bytes([byte]))
        except OSError:
            return


def problem_of(answer: bytes) -> dict[str, Any]:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"application/problem+json" in head, answer
    found: dict[str, Any] = json.loads(body)
    assert found["traceId"]
    assert found["traceId"].encode() in head
    return found


def slowly(server: Server, first: bytes, rest: bytes) -> bytes:
    over = threading.Event()
    with dial(server) as connection:
        connection.sendall(first)
        thread = threading.Thread(target=dribble, args=(connection, rest, over))
        thread.start()
        try:
            return to_the_end(connection)
        finally:
            over.set()
            thread.join()


def test_a_connection_that_says_nothing_is_closed(server: Server) -> None:
    with dial(server) as connection:
        assert to_the_end(connection) == b""


def test_a_head_that_dribbles_is_ended(server: Server) -> None:
    answer = slowly(server, b"GET /v1/jobs HTTP/1.1\r\n", b"X-Slow: " + b"a" * 10_000)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert problem_of(answer)["code"] == "request_too_slow"


def test_a_body_that_dribbles_is_ended(server: Server) -> None:
    head = HEAD + b"Content-Type: application/json\r\nContent-Length: 10000\r\n\r\n"
    answer = slowly(server, head, b" " * 10_000)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert problem_of(answer)["code"] == "request_too_slow"
    assert b"connection: close" in answer.lower()


def test_a_chunked_body_that_dribbles_is_ended(server: Server) -> None:
    head = HEAD + b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    answer = slowly(server, head, b"1\r\n \r\n" * 1_000)
    assert problem_of(answer)["code"] == "request_too_slow"


def test_a_part_that_dribbles_is_ended(server: Server) -> None:
    made = httpx.post(
        f"{server.url}/v1/uploads",
        headers=CLIENT,
        json={"filename": "a.wav", "contentType": "audio/wav", "sizeBytes": 100_000},
        trust_env=False,
    ).json()
    target = httpx.URL(made["parts"][0]["url"]).raw_path
    head = b"PUT " + target + b" HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n"
    answer = slowly(server, head, b"x" * 100_000)
    assert problem_of(answer)["code"] == "request_too_slow"


def test_a_body_that_nobody_reads_is_not_listened_to_for_ever(server: Server) -> None:
    head = b"GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 10000\r\n\r\n"
    answer = slowly(server, head, b"x" * 10_000)
    assert answer.startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    "headers",
    [
        b"X-Large: " + b"a" * (MOST_HEADER_BYTES + 1) + b"\r\n\r\n",
        b"X-Endless: " + b"a" * (4 * MOST_HEADER_BYTES),
        b"".join(b"X-%d: a\r\n" % number for number in range(MOST_HEADERS + 1)) + b"\r\n",
    ],
    ids=["long", "endless", "many"],
)
def test_headers_have_a_limit(server: Server, headers: bytes) -> None:
    with dial(server) as connection:
        with contextlib.suppress(OSError):  # it may be refused before all of it is out
            connection.sendall(b"GET /v1/jobs HTTP/1.1\r\nHost: x\r\n" + headers)
        answer = to_the_end(connection)
    assert answer.startswith(b"HTTP/1.1 431 "), answer[:100]
    assert problem_of(answer)["code"] == "headers_too_large"


def test_a_line_has_a_limit(server: Server) -> None:
    with dial(server) as connection:
        with contextlib.suppress(OSError):
            connection.sendall(b"GET /" + b"a" * (2 * MOST_HEADER_BYTES) + b" HTTP/1.1\r\n\r\n")
        assert problem_of(to_the_end(connection))["code"] == "headers_too_large"


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # TLS to a port that speaks HTTP
        b"GET /v1/jobs HTTP/9.9\r\n\r\n",
        b"GET /v1/jobs HTTP/1.1\r\nHost: x\r\nX-Bad\x00: a\r\n\r\n",
        b"GET /v1/jobs HTTP/1.1\r\nHost : x\r\n\r\n",
        HEAD + b"Content-Length: -5\r\n\r\n",
        HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"NONSENSE\r\n\r\n",
    ],
)
def test_what_is_no_http_is_said_so(server: Server, garbage: bytes) -> None:
    with dial(server) as connection:
        connection.sendall(garbage)
        answer = to_the_end(connection)
    assert answer.startswith(b"HTTP/1.1 4"), answer
    assert b"Traceback" not in answer


def test_a_client_that_does_not_read_is_let_go(server: Server) -> None:
    house: House = server.house  # type: ignore[attr-defined]
    song = bytes(20_000_000)  # more than sockets hold
    house.base_url = server.url
    stored = house.artifacts.put("results/test/large", song, "audio/flac")
    url = house.artifacts.sign_get(stored.uri, ttl_s=60, ip="127.0.0.1", filename="a").url
    with dial(server) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.sendall(b"GET " + httpx.URL(url).raw_path + b" HTTP/1.1\r\nHost: x\r\n\r\n")
        for _ in range(100):  # until the gateway has cut it; nothing is read meanwhile
            if not server._uvicorn.server_state.connections:
                break
            time.sleep(0.05)
        assert not server._uvicorn.server_state.connections


def test_others_are_served_meanwhile(server: Server) -> None:
    slow = [dial(server) for _ in range(50)]
    for connection in slow:
        connection.sendall(b"GET /v1/jobs HTTP/1.1\r\nX-Slow: ")
    answer = httpx.get(f"{server.url}/healthz", trust_env=False, timeout=60)
    assert answer.status_code == 200
    for connection in slow:
        connection.close()
