"""A worker's side of a child process: start, hear, kill."""

from __future__ import annotations

import base64
import contextlib
import os
import pickle
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass

from processors.runtime.conversation import (
    Begin,
    Broken,
    Failed,
    Hello,
    Line,
    Message,
    Returned,
    made_by,
)
from processors.runtime.declaration import Stage
from processors.runtime.outcomes import (
    Crashed,
    Finished,
    Outcome,
    Postponed,
    Rejected,
    crashed,
    out_of_memory,
)
from processors.settings import StageSettings
from topics import logs

_TAIL = 4096  # bytes of the last output, for the log entry of a crash
_STILL_S = 30.0  # a child that stops in mid-message for this time is broken
_LAST_S = 2.0  # between the end of the line and the end of the process

_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
"""A child computes in one thread unless the environment says otherwise: stages and slots are what
runs side by side. Spinning BLAS threads of several children on 2 cores made an alignment of 0.5 s
take 8 to 20 s."""

_log = logs.get(__name__)


@dataclass(frozen=True, slots=True)
class Ended:
    """The child is gone, and everything that it started with it."""

    returncode: int  # negative: the signal that killed it
    output: str  # the end of what it printed


@dataclass(frozen=True, slots=True)
class Heard:
    """Something from the child of a slot."""

    slot: Slot
    message: Message | Ended


class Slot:
    """Room for one try at a time, in a child process that is started on demand and stays warm.

    All methods belong to the worker's thread: the kernel kills a child when the *thread* that
    started it ends. What the child says is handed to ``post`` on another thread.
    """

    def __init__(
        self, stage: Stage, settings: StageSettings, number: int, post: Callable[[Heard], None]
    ) -> None:
        self.number = number
        self._stage = stage
        self._settings = settings
        self._post = post
        self._child: _Child | None = None
        self.dying = False
        """Killed, but not yet gone: what it held (a GPU's memory) is not free."""
        self.idle_since_s: float = 0.0
        """Monotonic time of its last outcome, kept by the worker."""

    @property
    def warm(self) -> bool:
        """Whether a child runs."""
        return self._child is not None

    @property
    def pid(self) -> int | None:
        """The child's process id, which is its group's too."""
        return self._child.pid if self._child else None

    def begin(self, begin: Begin) -> None:
        """Give the child a try to work on; start it where there is none."""
        if self._child is None:
            self._child = _Child(self._stage, self._settings, self._heard)
        # A child that is just dying cannot be told; its end is heard like any other.
        with contextlib.suppress(OSError):
            self._child.line.say(begin)

    def kill(self) -> None:
        """Kill the child and everything it started; `Ended` follows."""
        if self._child is not None:
            self.dying = True
            self._child.kill()

    def gone(self) -> None:
        """`Ended` was heard: the next try gets a new child."""
        self._child = None
        self.dying = False

    def join(self, timeout_s: float) -> bool:
        """Wait until the child is reaped. False when it is not in time."""
        return self._child is None or self._child.join(timeout_s)

    def _heard(self, message: Message | Ended) -> None:
        self._post(Heard(self, message))


class _Child:
    """A process group and the thread that hears it."""

    def __init__(
        self, stage: Stage, settings: StageSettings, heard: Callable[[Message | Ended], None]
    ) -> None:
        ours, theirs = socket.socketpair()
        # The same stderr as ours for log lines; what libraries print is caught in a pipe.
        log = os.dup(2)
        with theirs:
            try:
                self._process = subprocess.Popen(
                    [
                        sys.executable,
                        "-P",  # not what happens to lie in the working directory
                        "-m",
                        "processors.runtime.child",
                        str(theirs.fileno()),
                        str(log),
                        str(os.getpid()),
                    ],
                    stdin=subprocess.PIPE,  # never written to: its end is our end
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    pass_fds=(theirs.fileno(), log),
                    process_group=0,
                    env={**_ONE_THREAD, **os.environ},
                )
            finally:
                os.close(log)
        self.pid = self._process.pid
        self._ended = os.pidfd_open(self.pid)
        self._reaping = threading.Lock()
        self._reaped = False
        self._heard = heard
        self._output = bytearray()
        ours.settimeout(_STILL_S)
        self.line = Line(ours)
        with contextlib.suppress(OSError):  # it died at once: its end is heard
            packed_settings = base64.b64encode(pickle.dumps(settings)).decode()
            self.line.say(Hello(stage.origin, packed_settings))
        self._thread = threading.Thread(
            target=self._listen, name=f"{stage.name} child {self.pid}", daemon=True
        )
        self._thread.start()

    def kill(self) -> None:
        """Kill the group, unless it is gone."""
        with self._reaping:
            if not self._reaped:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self.pid, signal.SIGKILL)

    def join(self, timeout_s: float) -> bool:
        """Wait for the listening thread, which ends behind the child."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _listen(self) -> None:
        try:
            self._converse()
        except Broken as error:
            _log.error("the child process broke off the conversation", error=str(error))
        returncode = self._reap()
        self._heard(Ended(returncode, self._output.decode(errors="replace")))

    def _converse(self) -> None:
        assert self._process.stdout is not None
        output = self._process.stdout.fileno()
        os.set_blocking(output, False)
        poller = select.poll()
        for fd in (self.line.fileno(), self._ended, output):
            poller.register(fd, select.POLLIN)
        while True:
            ready = {fd for fd, _ in poller.poll()}
            if output in ready and not self._catch(output):
                poller.unregister(output)
            if self.line.fileno() in ready:
                message = self.line.hear()
                if message is None:
                    return
                self._heard(message)
            elif self._ended in ready:
                return

    def _catch(self, output: int) -> bool:
        """Keep the end of what there is to read; False behind the last of it."""
        piece = os.read(output, 65536)
        self._output += piece
        del self._output[:-_TAIL]
        return bool(piece)

    def _catch_rest(self, output: int) -> None:
        # A process that left the group may hold the pipe open, and even write on: read what a
        # pipe can hold (pipe(7)), no more.
        with contextlib.suppress(BlockingIOError):
            for _ in range(16):
                if not self._catch(output):
                    return

    def _reap(self) -> int:
        ended = select.poll()
        ended.register(self._ended, select.POLLIN)
        if not ended.poll(_LAST_S * 1000):
            self.kill()
            ended.poll()
        # The group is killed while its leader is still a zombie, so that its number is ours.
        with self._reaping:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
            returncode = self._process.wait()
            self._reaped = True
        assert self._process.stdout is not None
        self._catch_rest(self._process.stdout.fileno())
        self._process.stdout.close()
        assert self._process.stdin is not None
        self._process.stdin.close()
        os.close(self._ended)
        self.line.close()
        return returncode


def outcome_of(message: Returned | Failed) -> Outcome:
    """The outcome that a child reports."""
    if isinstance(message, Returned):
        try:
            return Finished(made_by(message))
        except Broken as error:
            return crashed("Broken", str(error))
    match message.outcome:
        case "rejected":
            return Rejected(message.code, message.message)
        case "postponed":
            return Postponed(message.after_s, message.code, message.message)
        case _:
            return Crashed(message.code, message.message, message.kind, message.detail)


def outcome_of_end(ended: Ended) -> Crashed:
    """What it means that the child went away in the middle of its work, unasked."""
    if ended.returncode >= 0:
        return crashed(f"exit {ended.returncode}", ended.output)
    try:
        name = signal.Signals(-ended.returncode).name
    except ValueError:
        name = f"signal {-ended.returncode}"
    if name == "SIGKILL":
        # Nobody of ours sent it, so the kernel did: it is how Linux ends what ate its memory.
        return out_of_memory(name, ended.output)
    return crashed(name, ended.output)
