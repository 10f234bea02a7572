"""Stacks start once, keep their ports, are found again, and stop only what is theirs."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
from pathlib import Path

import pytest

from tests.tools.stack.conftest import MakeStack, Small
from tools.stack import jars, ports, process
from tools.stack.errors import MissingTool, StackError
from tools.stack.service import Recovery
from tools.stack.services import SERVICES
from tools.stack.stack import Stack

pytestmark = pytest.mark.slow


def pids(stack: Stack) -> dict[str, int | None]:
    return {server.name: server.pid for server in stack.status()}


def conditions(stack: Stack) -> dict[str, str]:
    return {server.name: server.condition for server in stack.status()}


def test_up_twice_starts_once_and_another_object_finds_it(make: MakeStack) -> None:
    stack = make(services=["s3", "registry"])
    addresses = stack.up()
    before = pids(stack)
    assert set(addresses) == {"S3", "REGISTRY"}
    assert make(services=["s3", "registry"]).up() == addresses
    assert pids(make()) == before
    assert conditions(stack) == {"registry": "ready", "s3": "ready"}


def test_addresses_are_written_for_those_who_start_later(make: MakeStack) -> None:
    stack = make()
    (name, value), *others = stack.up().items()
    written = stack.data_dir / "stack.env"
    assert written.read_text() == f"{name}={value}\n"
    assert not others
    assert stat.S_IMODE(written.stat().st_mode) == 0o600
    stack.down()
    assert not written.exists()
    assert stack.addresses == {}


def test_a_restart_keeps_ports_and_data(make: MakeStack) -> None:
    stack = make()
    addresses, before = stack.up(), pids(stack)
    stack.down()
    assert conditions(stack) == {"s3": "stopped"}
    assert stack.up() == addresses
    assert pids(stack) != before
    assert (stack.data_dir / "s3" / "data" / "starts").read_text() == "xx"


def test_a_port_that_got_taken_moves(make: MakeStack) -> None:
    stack = make(services=["s3", "registry"])
    before = stack.up()
    stack.down()
    with socket.create_server((ports.LOOPBACK, int(before["S3"]))):
        after = stack.up()
        assert after["S3"] != before["S3"]
        assert after["REGISTRY"] == before["REGISTRY"]
        assert conditions(stack)["s3"] == "ready"


def test_restart_does_not_move_a_taken_port(make: MakeStack) -> None:
    stack = make()
    port = int(stack.up()["S3"])
    stack.stop("s3")
    with (
        socket.create_server((ports.LOOPBACK, port)),
        pytest.raises(StackError, match=f"port {port} of s3 was taken"),
    ):
        stack.restart("s3")


def test_brokers_that_run_forbid_that_another_moves(make: MakeStack) -> None:
    stack = make(services=["kafka"], brokers=3)
    second = int(stack.up()["KAFKA"].split(",")[1])
    stack.kill9("kafka", broker=2)
    with (
        socket.create_server((ports.LOOPBACK, second)),
        pytest.raises(StackError, match="kafka-2 was taken by another process while other brokers"),
    ):
        stack.up()


def test_stacks_side_by_side(make: MakeStack) -> None:
    one, other = make("one"), make("other")
    assert one.up() != other.up()
    one.down()
    assert conditions(other) == {"s3": "ready"}


def test_only_some_services_are_started_stopped_and_kept(make: MakeStack) -> None:
    make().up()
    make(services=["registry"]).up()
    assert set(make().addresses) == {"REGISTRY", "S3"}
    make().down(only=["s3"])
    assert conditions(make()) == {"registry": "ready", "s3": "stopped"}
    assert (make().data_dir / "stack.env").read_text().startswith("REGISTRY=")


def test_kill_pause_resume_restart(make: MakeStack) -> None:
    stack = make(services=["kafka"], brokers=2)
    stack.up()
    first, second = pids(stack).values()
    stack.pause("kafka", broker=2)
    assert conditions(stack) == {"kafka-1": "ready", "kafka-2": "paused"}
    stack.resume("kafka", broker=2)
    assert conditions(stack) == {"kafka-1": "ready", "kafka-2": "ready"}
    stack.kill9("kafka", broker=2)
    assert conditions(stack) == {"kafka-1": "ready", "kafka-2": "stopped"}
    with pytest.raises(StackError, match=r"kafka-2 of .* does not run"):
        stack.kill9("kafka", broker=2)
    stack.restart("kafka", broker=2)
    assert pids(stack)["kafka-1"] == first
    assert pids(stack)["kafka-2"] not in (None, second)


def test_up_resumes_what_was_paused(make: MakeStack) -> None:
    stack = make()
    stack.up()
    before = pids(stack)
    stack.pause("s3")
    stack.up()
    assert (pids(stack), conditions(stack)) == (before, {"s3": "ready"})


def test_a_paused_server_is_stopped(make: MakeStack) -> None:
    stack = make()
    stack.up()
    stack.pause("s3")
    stack.down()
    assert conditions(stack) == {"s3": "stopped"}


def test_down_leaves_a_stranger_with_the_same_pid_alone(make: MakeStack) -> None:
    stack = make()
    stack.up()
    stack.kill9("s3")
    mine = os.getpid()
    (stack.data_dir / "s3" / "pid.json").write_text(json.dumps({"pid": mine, "started": "1@x"}))
    heard: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: heard.append(number))
    try:
        stack.down()
    finally:
        signal.signal(signal.SIGTERM, before)
    assert heard == []


def test_purge_removes_what_the_stack_made_and_nothing_else(make: MakeStack) -> None:
    stack = make(services=["s3", "registry"])
    stack.up()
    foreign = stack.data_dir / "notes.txt"
    foreign.write_text("mine")
    stack.down(purge=True)
    assert list(stack.data_dir.iterdir()) == [foreign]
    foreign.unlink()
    stack.up()
    stack.down(purge=True)
    assert not stack.data_dir.exists()


def test_purging_one_service_keeps_the_others(make: MakeStack) -> None:
    stack = make(services=["s3", "registry"])
    stack.up()
    stack.down(only=["s3"], purge=True)
    assert conditions(stack)["registry"] == "ready"
    assert not (stack.data_dir / "s3").exists()
    assert stack.up()["S3"]


def test_down_where_nothing_ever_was_makes_nothing(make: MakeStack) -> None:
    stack = make("never")
    stack.down()
    assert stack.status() == []
    assert not stack.data_dir.exists()


def test_a_server_that_ends_at_its_start_is_quoted(
    make: MakeStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = "print('INFO fine'); raise SystemExit('ERROR the disk is full')"
    monkeypatch.setitem(SERVICES, "s3", Small("s3", code))
    with pytest.raises(StackError, match=r"s3 ended at its start: ERROR the disk is full \(log: "):
        make().up()


def test_the_words_of_an_earlier_run_are_not_quoted(
    make: MakeStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(SERVICES, "s3", Small("s3", "raise SystemExit('ERROR of the first run')"))
    with pytest.raises(StackError, match="of the first run"):
        make().up()
    monkeypatch.setitem(SERVICES, "s3", Small("s3", "print('quiet')"))
    with pytest.raises(StackError, match="ended at its start: quiet"):
        make().up()


def test_recovery_ends_before_the_server_starts(
    make: MakeStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = "import time; print('fenced it', flush=True); time.sleep(60)"
    recovered = Small("s3", recover=Recovery(["-c", code], done="fenced"))
    monkeypatch.setitem(SERVICES, "s3", recovered)
    stack = make()
    stack.up()
    assert conditions(stack) == {"s3": "ready"}
    assert (stack.data_dir / "s3" / "recovery.log").read_text() == "fenced it\n"


def test_a_recovery_that_has_nothing_to_do_holds_nobody_up(
    make: MakeStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tools.stack.launch._RECOVERY_TIMEOUT_S", 0.5)
    code = "import time; time.sleep(60)"
    monkeypatch.setitem(SERVICES, "s3", Small("s3", recover=Recovery(["-c", code], done="fenced")))
    assert make().up()


def test_a_server_that_never_answers_is_named(
    make: MakeStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = "import time; print('loading', flush=True); time.sleep(60)"
    monkeypatch.setitem(SERVICES, "s3", Small("s3", code))
    with pytest.raises(StackError, match="s3 is not ready after 1 s: loading"):
        make().up(timeout_s=1)
    assert conditions(make()) == {"s3": "starting"}


def test_leaving_a_with_block_stops_the_servers(make: MakeStack) -> None:
    with make() as stack:
        running = process.recall(stack.data_dir / "s3" / "pid.json")
        assert running is not None
    assert not running.is_alive()


def test_a_failed_with_block_leaves_nothing_behind(
    make: MakeStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(SERVICES, "s3", Small("s3", "raise SystemExit('ERROR')"))
    stack = make(services=["registry", "s3"])
    with pytest.raises(StackError, match="s3 ended"), stack:
        pass
    assert set(conditions(stack).values()) == {"stopped"}


def test_the_number_of_brokers_is_fixed_at_the_first_start(make: MakeStack) -> None:
    make(services=["kafka"], brokers=2).up()
    with pytest.raises(StackError, match=r"made for 2 Kafka broker\(s\), not 3"):
        make(services=["kafka"], brokers=3).up()
    assert len(make(services=["kafka"]).up()["KAFKA"].split(",")) == 2


def test_prepare_chooses_ports_and_starts_nothing(make: MakeStack) -> None:
    stack = make()
    stack.prepare()
    (server,) = stack.status()
    assert server.condition == "stopped"
    assert stack.up()["S3"] == server.address.rpartition(":")[2]


def test_missing_tools_are_said_before_anything_is_made_or_started(
    make: MakeStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jars, "is_fetched", lambda coordinates, cache: coordinates.service == "s3")
    monkeypatch.setenv("PATH", str(tmp_path))
    stack = make(services=["s3", "registry"])
    with pytest.raises(MissingTool, match="no `mvn` on PATH"):
        stack.up()
    assert stack.status() == []


def test_a_log_that_grew_large_gives_way(make: MakeStack, monkeypatch: pytest.MonkeyPatch) -> None:
    stack = make()
    stack.up()
    stack.down()
    monkeypatch.setattr("tools.stack.launch._LOG_LIMIT_BYTES", 1)
    stack.up()
    assert (stack.data_dir / "s3" / "server.log.1").stat().st_size > 1


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"services": ["kfka"]}, "no service 'kfka'"),
        ({"settings": {"redis": {}}}, "no service 'redis'"),
        ({"brokers": 0}, "0 brokers are not 1 to 9"),
        ({"brokers": 10}, "10 brokers are not 1 to 9"),
    ],
)
def test_what_makes_no_sense_is_refused(
    make: MakeStack, given: dict[str, object], said: str
) -> None:
    with pytest.raises(StackError, match=said):
        make(**given)
