"""What a stack remembers survives, and is its owner's alone."""

from __future__ import annotations

import random
import socket
import stat
import uuid
from pathlib import Path

import pytest

from tools.stack import ports
from tools.stack import state as states
from tools.stack.errors import StackError

PURPOSES = ("client", "storage")


def test_a_state_comes_back_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "stack.json"
    assert states.load(path) is None
    state = states.new(3).with_ports("kafka-1", PURPOSES, random.Random(1), keep=False)
    states.save(state, path)
    assert states.load(path) == state
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_two_stacks_share_no_credentials() -> None:
    one, other = states.new(1), states.new(1)
    assert one.secret_key != other.secret_key
    assert one.access_key != other.access_key
    assert one.cluster_id != other.cluster_id


def test_no_cluster_id_looks_like_an_option(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = iter([uuid.UUID(bytes=b"\xf8" * 16), uuid.UUID(bytes=b"\x01" * 16)])
    monkeypatch.setattr(uuid, "uuid4", lambda: next(drawn))
    assert states.new(1).cluster_id == "AQEBAQEBAQEBAQEBAQEBAQ"


@pytest.mark.parametrize("kept", ["", "{}", "[]", '{"format": 99}', '{"format": 1, "odd": 2}'])
def test_an_unreadable_state_is_named(tmp_path: Path, kept: str) -> None:
    path = tmp_path / "stack.json"
    path.write_text(kept)
    with pytest.raises(StackError, match=r"stack\.json is not readable"):
        states.load(path)


def test_ports_stay_while_nobody_takes_them() -> None:
    state = states.new(1).with_ports("s3", PURPOSES, random.Random(1), keep=False)
    assert state.with_ports("s3", PURPOSES, random.Random(2), keep=False) is state


def test_a_port_that_was_taken_moves_alone() -> None:
    state = states.new(1).with_ports("s3", PURPOSES, random.Random(1), keep=False)
    before = state.ports["s3"]
    with socket.create_server((ports.LOOPBACK, before["client"])):
        after = state.with_ports("s3", PURPOSES, random.Random(1), keep=False).ports["s3"]
        assert after["client"] != before["client"]
        assert after["storage"] == before["storage"]


def test_the_ports_of_a_running_server_are_its_own() -> None:
    state = states.new(1).with_ports("s3", PURPOSES, random.Random(1), keep=False)
    with socket.create_server((ports.LOOPBACK, state.ports["s3"]["client"])):
        assert state.with_ports("s3", PURPOSES, random.Random(2), keep=True) is state


def test_processes_share_no_port() -> None:
    rng = random.Random(1)
    state = states.new(3)
    for number in (1, 2, 3):
        state = state.with_ports(f"kafka-{number}", PURPOSES, rng, keep=False)
    assert len(state.taken()) == 6
