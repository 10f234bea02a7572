"""A server as a process that outlives who started it: started, found again, signalled, ended.

A pid alone is no identity: after a reboot or a long run it is somebody else's. So the pid file
also keeps when the process started, and nothing is ever sent to a process that differs.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_POLL_S = 0.05
_PAUSE_TIMEOUT_S = 10.0


@dataclass(frozen=True)
class Running:
    """One living process: its pid and the moment it started, as the system tells it."""

    pid: int
    started: str

    def is_alive(self) -> bool:
        """Whether just this process still runs (stopped by a signal counts, a zombie doesn't)."""
        _reap(self.pid)
        return started(self.pid) == self.started

    def is_paused(self) -> bool:
        try:
            return self.is_alive() and psutil.Process(self.pid).status() == psutil.STATUS_STOPPED
        except psutil.NoSuchProcess:
            return False

    def rss_bytes(self) -> int:
        """Resident memory; 0 when it is gone."""
        try:
            return int(psutil.Process(self.pid).memory_info().rss) if self.is_alive() else 0
        except psutil.NoSuchProcess:
            return 0

    def send(self, number: signal.Signals) -> bool:
        """Send a signal; False when the process is gone."""
        if not self.is_alive():
            return False
        try:
            os.kill(self.pid, number)
        except ProcessLookupError:
            return False
        return True

    def pause(self) -> None:
        """SIGSTOP, and wait until every thread stands still."""
        self.send(signal.SIGSTOP)
        end = time.monotonic() + _PAUSE_TIMEOUT_S
        while self.is_alive() and not self.is_paused() and time.monotonic() < end:
            time.sleep(_POLL_S)

    def resume(self) -> None:
        """SIGCONT."""
        self.send(signal.SIGCONT)

    def wait_gone(self, timeout_s: float) -> bool:
        """Wait until the process is gone; False when it is not within the time."""
        end = time.monotonic() + timeout_s
        while self.is_alive():
            if time.monotonic() >= end:
                return False
            time.sleep(_POLL_S)
        return True


def start(command: Sequence[str], *, env: Mapping[str, str], log: Path) -> Running:
    """Start a process in a session of its own, its output appended to ``log``."""
    append = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    # Not Popen: that object wants to be waited for, and a server outlives whoever starts it.
    pid = os.posix_spawn(
        command[0],
        list(command),
        dict(env),
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, os.fspath(log), append, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
    )
    return Running(pid, started(pid) or "gone")


def stop(processes: Collection[Running], *, grace_s: float) -> None:
    """SIGTERM to all at once, and SIGKILL to those still there when the grace is over."""
    for process in processes:
        process.send(signal.SIGTERM)
        process.send(signal.SIGCONT)  # a paused process hears nothing else
    end = time.monotonic() + grace_s
    for process in processes:
        if not process.wait_gone(end - time.monotonic()):
            kill(process)


def kill(process: Running) -> None:
    """SIGKILL, and wait until the system has taken the process away."""
    process.send(signal.SIGKILL)
    process.wait_gone(10.0)


def started(pid: int) -> str | None:
    """When the process with this pid started; None when there is none, or only its zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text("ascii", "replace").rpartition(")")[2].split()
        # A killed process is a zombie while its other threads still hold its files and ports.
        if fields[0] in "ZX" and len(os.listdir(f"/proc/{pid}/task")) <= 1:
            return None
        # Ticks since boot (proc_pid_stat(5), field 22): unlike the wall clock, nobody sets them.
        return f"{fields[19]}@{_BOOT_ID.read_text('ascii').strip()}"
    except (FileNotFoundError, ProcessLookupError):
        if _BOOT_ID.exists():
            return None
    try:  # no /proc: macOS
        process = psutil.Process(pid)
        zombie = process.status() == psutil.STATUS_ZOMBIE
        return None if zombie else f"{process.create_time():.3f}"
    except psutil.NoSuchProcess:
        return None


def remember(process: Running, path: Path) -> None:
    """Write the pid file; it is there whole or not at all."""
    draft = path.with_suffix(".new")
    draft.write_text(json.dumps({"pid": process.pid, "started": process.started}), "utf-8")
    draft.replace(path)


def recall(path: Path) -> Running | None:
    """The process of a pid file if that very process is alive."""
    try:
        kept = json.loads(path.read_text("utf-8"))
        process = Running(int(kept["pid"]), str(kept["started"]))
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
    return process if process.is_alive() else None


def _reap(pid: int) -> None:
    """Take a child that ended off the system's table; others' children are none of ours."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
