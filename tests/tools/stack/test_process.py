"""A process is known by pid and start time, and nobody else is ever signalled."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tools.stack import process
from tools.stack.process import Running

ENV = {"PATH": "/usr/bin:/bin"}
DEAF = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True)\n"
Starter = Callable[[str], Running]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Starter]:
    begun: list[Running] = []

    def run(code: str) -> Running:
        command = [sys.executable, "-c", code]
        begun.append(process.start(command, env=ENV, log=tmp_path / "log"))
        return begun[-1]

    yield run
    for running in begun:
        process.kill(running)


SLEEP = "import time; time.sleep(60)"


def test_a_process_is_found_again_by_its_pid_file(start: Starter, tmp_path: Path) -> None:
    running = start(SLEEP)
    process.remember(running, tmp_path / "pid.json")
    assert process.recall(tmp_path / "pid.json") == running
    process.kill(running)
    assert process.recall(tmp_path / "pid.json") is None


def test_the_pid_of_a_stranger_is_nobodys(start: Starter, tmp_path: Path) -> None:
    stranger = start(SLEEP)
    mistaken = replace(stranger, started="1@before-the-reboot")
    process.remember(mistaken, tmp_path / "pid.json")
    assert process.recall(tmp_path / "pid.json") is None
    process.stop([mistaken], grace_s=5)
    process.kill(mistaken)
    assert stranger.is_alive()


@pytest.mark.parametrize("kept", ["", "{}", "[]", '{"pid": "x", "started": 1}', "null"])
def test_a_torn_pid_file_is_no_process(tmp_path: Path, kept: str) -> None:
    (tmp_path / "pid.json").write_text(kept)
    assert process.recall(tmp_path / "pid.json") is None


def test_output_is_appended_to_the_log_and_the_session_is_its_own(
    start: Starter, tmp_path: Path
) -> None:
    (tmp_path / "log").write_text("before\n")
    code = "import os, sys; print(os.getsid(0) == os.getpid()); print('err', file=sys.stderr)"
    assert start(code).wait_gone(30)
    assert set((tmp_path / "log").read_text().split()) == {"before", "True", "err"}


def test_an_ended_child_is_gone_and_no_zombie_stays(start: Starter) -> None:
    running = start("pass")
    assert running.wait_gone(30)
    with pytest.raises(ChildProcessError):  # it was waited for
        os.waitpid(running.pid, os.WNOHANG)
    assert running.rss_bytes() == 0
    assert not running.send(signal.SIGTERM)


def test_a_child_of_another_that_nobody_waits_for_counts_as_gone() -> None:
    code = "import os, time\npid = os.fork()\nif pid: print(pid, flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        try:
            assert Running(pid, process.started(pid) or "gone").wait_gone(30)
        finally:
            parent.kill()


def test_stop_asks_first(start: Starter, tmp_path: Path) -> None:
    code = (
        "import signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: (print('bye', flush=True), sys.exit()))\n"
        "print('up', flush=True)\ntime.sleep(60)"
    )
    running = start(code)
    said_in(tmp_path / "log", "up")
    process.stop([running], grace_s=30)
    assert not running.is_alive()
    assert "bye" in (tmp_path / "log").read_text()


def test_stop_kills_who_does_not_listen_and_who_is_paused(start: Starter, tmp_path: Path) -> None:
    deaf = start(DEAF + SLEEP)
    said_in(tmp_path / "log", "deaf")
    paused = start(SLEEP)
    paused.pause()
    assert paused.is_paused()
    process.stop([deaf, paused], grace_s=0.2)
    assert not deaf.is_alive()
    assert not paused.is_alive()


def said_in(log: Path, word: str) -> None:
    end = time.monotonic() + 30
    while word not in log.read_text():
        assert time.monotonic() < end
        time.sleep(0.02)
