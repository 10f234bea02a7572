"""Start one process of a stack and wait until it serves."""

from __future__ import annotations

import shlex
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tools.stack import process
from tools.stack.errors import StackError
from tools.stack.java import Java
from tools.stack.service import Place
from tools.stack.services import SERVICES

READY_TIMEOUT_S = 180.0  # Cassandra takes 5 to 20 s alone, far more on a busy machine

_PROBE_EVERY_S = 0.2
_RECOVERY_TIMEOUT_S = 30.0  # ten times what it takes
_RECOVERY_GRACE_S = 10.0
_LOG_LIMIT_BYTES = 16 << 20  # at a start, a larger log gives way to a new one
_LOG_TAIL_BYTES = 64 << 10
_COMMAND = "$ "  # begins the line of a log after which another run's words follow

Say = Callable[[str], None]


def start(place: Place, runtime: Java, jars: Path, *, say: Say) -> None:
    """Configure, format when that is due, and start; the pid file says what was started.

    Raises:
        StackError: it could not be formatted.
    """
    service = SERVICES[place.service]
    place.folder.mkdir(parents=True, exist_ok=True)
    place.data.mkdir(exist_ok=True)
    place.log.touch(mode=0o600)
    if place.log.stat().st_size > _LOG_LIMIT_BYTES:
        place.log.replace(place.log.with_suffix(".log.1"))
    service.configure(place)
    environment = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(place.folder),
        "JAVA_HOME": str(runtime.home),
        # glibc's arena for each thread is memory that a small server never fills.
        "MALLOC_ARENA_MAX": "2",
    }
    if (arguments := service.format_arguments(place, jars)) is not None:
        say(f"formatting {place.name}")
        _format(place, [str(runtime.binary), *arguments], environment)
    if (recovery := service.recovery(place, jars)) is not None:
        say(f"recovering {place.name} from a crash")
        _recover(place, [str(runtime.binary), *recovery.arguments], environment, recovery.done)
    command = [str(runtime.binary), *service.arguments(place, jars)]
    say(f"starting {place.name}")
    _note(place.log, command)
    process.remember(process.start(command, env=environment, log=place.log), place.pid_file)


def _format(place: Place, command: Sequence[str], env: Mapping[str, str]) -> None:
    _note(place.log, command)
    with place.log.open("a", encoding="utf-8") as log:
        done = subprocess.run(
            command, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=False
        )
    if done.returncode != 0:
        raise StackError(f"{place.name} could not be formatted: {last_complaint(place.log)}")


def _recover(place: Place, command: Sequence[str], env: Mapping[str, str], done: str) -> None:
    """Run a command until its log says ``done``; when it never does, the server starts all the
    same: then there was nothing to recover from.
    """
    log = place.folder / "recovery.log"
    log.unlink(missing_ok=True)
    running = process.start(command, env=env, log=log)
    process.remember(running, place.pid_file)
    end = time.monotonic() + _RECOVERY_TIMEOUT_S
    while running.is_alive() and done not in log.read_text("utf-8", "replace"):
        if time.monotonic() > end:
            break
        time.sleep(_PROBE_EVERY_S)
    process.stop([running], grace_s=_RECOVERY_GRACE_S)


def _note(log: Path, command: Sequence[str]) -> None:
    with log.open("a", encoding="utf-8") as file:
        file.write(f"{_COMMAND}{shlex.join(command)}\n")


def wait_ready(places: Sequence[Place], timeout_s: float, *, say: Say) -> None:
    """Wait until every one of them serves clients.

    Raises:
        StackError: one ended, or is not ready in time; quotes its log.
    """
    began = time.monotonic()
    waiting = list(places)
    while True:
        for place in tuple(waiting):
            if process.recall(place.pid_file) is None:
                said = last_complaint(place.log)
                raise StackError(f"{place.name} ended at its start: {said} (log: {place.log})")
            if SERVICES[place.service].is_ready(place):
                waiting.remove(place)
                say(f"{place.name} is ready after {time.monotonic() - began:.1f} s")
        if not waiting:
            return
        if time.monotonic() - began > timeout_s:
            raise StackError(
                f"{waiting[0].name} is not ready after {timeout_s:.0f} s: "
                f"{last_complaint(waiting[0].log)} (log: {waiting[0].log})"
            )
        time.sleep(_PROBE_EVERY_S)


def last_complaint(log: Path) -> str:
    """The last line of the newest run that speaks of an error, else its last line."""
    try:
        with log.open("rb") as read:
            read.seek(max(0, log.stat().st_size - _LOG_TAIL_BYTES))
            lines = read.read().decode("utf-8", "replace").splitlines()
    except FileNotFoundError:
        lines = []
    newest = max((at for at, ln in enumerate(lines) if ln.startswith(_COMMAND)), default=-1)
    lines = [line.strip() for line in lines[newest + 1 :] if line.strip()]
    told = [ln for ln in lines if not ln.startswith("at ") and _speaks_of_an_error(ln)]
    return next(reversed(told or lines), "it said nothing")


def _speaks_of_an_error(line: str) -> bool:
    return any(word in line for word in ("ERROR", "FATAL", "Exception", "Error:"))
