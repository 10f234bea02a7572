"""The process that does the work of one slot: ``python -m processors.runtime.child FD LOG PARENT``.

It is started by `slots.Slot`, leads a process group of its own and lives as long as its worker
wants. Its stdin is a pipe that nobody writes to: when the worker is gone, however it went, the
pipe ends and the guard kills the whole group, so that no grandchild (ffmpeg, espeak) survives.
"""

from __future__ import annotations

import base64
import contextlib
import ctypes
import faulthandler
import os
import pickle
import signal
import socket
import sys
import time
from pathlib import Path

import structlog

from processors.runtime.conversation import (
    Begin,
    Failed,
    Hello,
    Line,
    Progress,
    Ready,
    Returned,
    Sign,
    returned,
    unpacked,
)
from processors.runtime.declaration import Stage, imported
from processors.runtime.jobs import job_of
from processors.runtime.outcomes import (
    Crashed,
    Failure,
    Overdue,
    Postponed,
    Rejected,
    of_exception,
)
from processors.runtime.task import Task
from processors.settings import StageSettings
from topics import logs, trace
from topics.artifacts.protocol import ArtifactStore

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_OFTEN_S = 0.1  # progress comes no denser: the worker passes on one a second

_log = logs.get("processors.runtime.child")  # __name__ is __main__ here


def main(arguments: list[str]) -> int:
    """Serve one worker until it hangs up."""
    end, log, parent = (int(argument) for argument in arguments)
    _guard()
    _die_with(parent)
    faulthandler.enable()
    os.set_inheritable(end, False)
    os.set_inheritable(log, False)
    line = Line(socket.socket(fileno=end))
    hello = line.hear()
    if not isinstance(hello, Hello):
        return 2
    began = time.monotonic()
    settings = pickle.loads(base64.b64decode(hello.settings))  # noqa: S301  (from our own parent)
    assert isinstance(settings, StageSettings)
    logs.configure(
        settings.bus.log_format,
        settings.bus.log_level,
        os.fdopen(log, "w", buffering=1, encoding="utf-8"),
    )
    try:
        stage = imported(hello.origin)
        store = settings.bus.open_artifacts()
    except BaseException as error:
        _log.exception("the stage cannot be loaded", stage=hello.origin)
        line.say(_said(of_exception(error)))
        return 1
    line.say(Ready(time.monotonic() - began))
    while isinstance(message := line.hear(), Begin):
        line.say(_work(stage, settings, store, line, message))
    return 0


def _guard() -> None:
    """Fork the process that waits for the worker's end. Before any thread exists."""
    if os.fork() == 0:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        os.closerange(1, os.sysconf("SC_OPEN_MAX"))
        with contextlib.suppress(OSError):
            os.read(0, 1)
        os.killpg(os.getpgrp(), signal.SIGKILL)
        os._exit(0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)


def _die_with(parent: int) -> None:
    """Be killed by the kernel when the worker dies, even where the guard was killed before."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(0)  # it died before the line above


def _work(
    stage: Stage, settings: StageSettings, store: ArtifactStore, line: Line, begin: Begin
) -> Returned | Failed:
    try:
        event = unpacked(begin.topic, begin.event)
        job = job_of(event)
        structlog.contextvars.bind_contextvars(
            stage=stage.name,
            job_id=job.job_id if job else "",
            trace_id=trace.trace_id(begin.traceparent),
            **{"try": begin.try_number},
        )
        task = Task(
            stage=stage,
            job=job,
            settings=settings,
            store=store,
            folder=Path(begin.folder),
            tell=_Teller(line).tell,
            try_number=begin.try_number,
        )
        return returned(stage(event, task))
    except BaseException as error:
        failure = of_exception(error)
        if isinstance(failure, Crashed):
            _log.exception("the handler crashed")
        elif isinstance(failure, Postponed):
            _log.warning("the handler asked for another try", code=failure.code, error=str(error))
        return _said(failure)
    finally:
        structlog.contextvars.clear_contextvars()


class _Teller:
    """Passes signs on, progress not more often than it is of use."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._last_s = float("-inf")
        self._note = ""

    def tell(self, sign: Sign) -> None:
        if isinstance(sign, Progress):
            now = time.monotonic()
            if now - self._last_s < _OFTEN_S and sign.note == self._note and sign.share < 1:
                return
            self._last_s, self._note = now, sign.note
        self._line.say(sign)


def _said(failure: Failure) -> Failed:
    match failure:
        case Rejected():
            return Failed("rejected", failure.code, failure.message)
        case Postponed():
            return Failed("postponed", failure.code, failure.message, failure.after_s)
        case Crashed():
            return Failed(
                "crashed", failure.code, failure.message, kind=failure.kind, detail=failure.detail
            )
        case Overdue():
            raise AssertionError("only the worker finds a try overdue")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
