"""Ports are free, distinct, and below those of outgoing connections."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterator
from itertools import islice

import pytest

from tools.stack import ports
from tools.stack.errors import StackError


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server((ports.LOOPBACK, 0)) as server:
        yield server


def test_a_port_with_a_listener_is_not_free(listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    assert not ports.is_free(port)
    listener.close()
    assert ports.is_free(port)


def test_chosen_ports_differ_and_avoid_what_is_taken() -> None:
    first = list(islice(ports.choose(random.Random(1), ()), 5))
    second = list(islice(ports.choose(random.Random(1), first), 5))
    assert len({*first, *second}) == 10
    assert all(port < 32_768 for port in first)


def test_a_port_that_is_in_use_is_passed_over(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    used = listener.getsockname()[1]
    monkeypatch.setattr(ports, "_RANGE", range(used, used + 1))
    with pytest.raises(StackError, match=f"no port of 127.0.0.1 from {used} to {used} is free"):
        next(ports.choose(random.Random(1), ()))
