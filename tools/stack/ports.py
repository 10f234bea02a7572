"""Ports of the loopback for servers that must find them again after a restart."""

from __future__ import annotations

import random
import socket
from collections.abc import Collection, Iterator

from tools.stack.errors import StackError

LOOPBACK = "127.0.0.1"

# Below the range that Linux takes the near end of outgoing connections from
# (net.ipv4.ip_local_port_range, 32768 up), so that no client sits on a stopped server's port.
_RANGE = range(20_000, 32_000)


def is_free(port: int) -> bool:
    """Whether a server could listen on the port now."""
    with socket.socket() as probe:
        # As servers do: a connection in TIME_WAIT does not count, a listener does.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def choose(rng: random.Random, taken: Collection[int]) -> Iterator[int]:
    """Free ports, each once and none of ``taken``, in an order that ``rng`` gives.

    Raises:
        StackError: there is no further one.
    """
    for port in rng.sample(_RANGE, len(_RANGE)):
        if port not in taken and is_free(port):
            yield port
    raise StackError(f"no port of {LOOPBACK} from {_RANGE.start} to {_RANGE.stop - 1} is free")
