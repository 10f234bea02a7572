"""Whether a server answers as one that is ready: the smallest exchange that its protocol has.

Every probe takes at most ``TIMEOUT_S`` and answers no instead of raising. None needs a client
library, because a port that accepts proves little: a broker listens long before it is unfenced.
"""

from __future__ import annotations

import http.client
import socket
import struct

from tools.stack.ports import LOOPBACK

TIMEOUT_S = 2.0

_METADATA, _METADATA_VERSION = 3, 4  # version 4 is the first that can leave topics uncreated
_LARGEST_ANSWER_BYTES = 1 << 20
_CQL_OPTIONS, _CQL_SUPPORTED, _CQL_VERSION = 5, 6, 4


def kafka_brokers(port: int) -> set[int]:
    """Ids of the brokers that the one on ``port`` knows to be in service (unfenced)."""
    client = b"melisma"
    body = struct.pack(">hhih", _METADATA, _METADATA_VERSION, 1, len(client)) + client
    body += struct.pack(">i?", 0, False)  # no topics, and create none
    try:
        with socket.create_connection((LOOPBACK, port), TIMEOUT_S) as connection:
            connection.sendall(struct.pack(">i", len(body)) + body)
            (size,) = struct.unpack(">i", _exactly(connection, 4))
            if not 0 < size <= _LARGEST_ANSWER_BYTES:
                return set()
            return broker_ids(_exactly(connection, size))
    except (OSError, EOFError, struct.error):
        return set()


def broker_ids(answer: bytes) -> set[int]:
    """The node ids of a Metadata response, version 4.

    Layout (Kafka protocol guide): correlation id, throttle time, then an array of
    (node id, host, port, rack), strings led by their length as int16, -1 for null.

    Raises:
        struct.error: the bytes end too early.
    """
    (count,) = struct.unpack_from(">i", answer, 8)
    at, ids = 12, set()
    for _ in range(count):
        (node,) = struct.unpack_from(">i", answer, at)
        (host,) = struct.unpack_from(">h", answer, at + 4)
        at += 4 + 2 + host + 4
        (rack,) = struct.unpack_from(">h", answer, at)
        at += 2 + max(rack, 0)
        ids.add(node)
    return ids


def cassandra_answers(port: int) -> bool:
    """Whether the node answers OPTIONS of the CQL binary protocol v4 (section 4.1.3)."""
    try:
        with socket.create_connection((LOOPBACK, port), TIMEOUT_S) as connection:
            connection.sendall(struct.pack(">BBhBi", _CQL_VERSION, 0, 0, _CQL_OPTIONS, 0))
            return _exactly(connection, 9)[4] == _CQL_SUPPORTED
    except (OSError, EOFError):
        return False


def http_status(port: int, path: str) -> int | None:
    """The status of a GET, None when there is no answer."""
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def _exactly(connection: socket.socket, size: int) -> bytes:
    got = bytearray()
    while len(got) < size:
        part = connection.recv(size - len(got))
        if not part:
            raise EOFError
        got += part
    return bytes(got)
