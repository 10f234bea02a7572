"""Stages for tests: the event says what to do, in ``work.options["do"]``.

Child processes import them by name, so they live in a module of their own.
"""

import ctypes
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from processors import gpu
from processors.runtime import (
    Made,
    MadeFile,
    Reject,
    Retry,
    RetryPolicy,
    Sla,
    Task,
    stage,
)
from schemas.events import Backend, ImportRequested, ReprocessRequested, Separated

LIGHT = Backend(name="light", model="trial/1", device="cpu")
INPUT = "ab" * 32
Asked = ImportRequested | ReprocessRequested


def _is_my_turn(event: Asked) -> bool:
    if event.work.options.get("do") == "confuse":
        raise ValueError("cannot tell")
    return event.work.options.get("do") != "decline"


@stage(
    name="trial",
    revision=1,
    consumes=(ImportRequested, ReprocessRequested),
    produces=(Separated,),
    accepts=_is_my_turn,
    sla=Sla(base_s=60),
    retry=RetryPolicy(initial_s=5, factor=6, attempts=2),
)
def trial(event: Asked, task: Task) -> Separated:
    note = event.work.options.get("note", "")
    if note:  # who works on it, for tests that kill
        Path(note).write_text(str(os.getpid()))
    reused = _DO[event.work.options.get("do", "work")](event, task)
    return Separated(work=event.work, seconds=task.elapsed(), reused=bool(reused))


@stage(
    name="idle",
    revision=1,
    consumes=(ImportRequested,),
    produces=(Separated,),
    sla=Sla(base_s=60),
)
def idle(event: ImportRequested, task: Task) -> Separated:
    """Nothing, in a process."""
    return Separated(work=event.work)


@stage(
    name="swift",
    revision=1,
    consumes=(ImportRequested, ReprocessRequested),
    produces=(Separated,),
    accepts=_is_my_turn,
    sla=Sla(base_s=60),
    retry=RetryPolicy(initial_s=5, factor=6, attempts=2),
    batch=100,
)
def swift(event: Asked, task: Task) -> Separated:
    """As `trial`, in batches."""
    _DO[event.work.options.get("do", "work")](event, task)
    return Separated(work=event.work, seconds=task.elapsed())


@stage(
    name="hasty",
    revision=1,
    consumes=(ImportRequested,),
    produces=(Separated,),
    sla=Sla(base_s=0.1),
    retry=RetryPolicy(attempts=1),
)
def hasty(event: ImportRequested, task: Task) -> Separated:
    """Killed at 0.3 s; hangs in C, as a decoder would."""
    task.sized(0)
    time.sleep(600)
    return Separated(work=event.work)


@stage(
    name="wrong",
    revision=1,
    consumes=(ImportRequested,),
    produces=(ImportRequested,),
    sla=Sla(base_s=60),
    retry=RetryPolicy(attempts=1),
)
def wrong(event: ImportRequested, task: Task) -> Separated:
    """Returns what it doesn't declare."""
    return Separated(work=event.work)


def _work(event: Asked, task: Task) -> None:
    task.progress(0.5, "half")


def _hang(event: Asked, task: Task) -> None:
    time.sleep(600)


def _segfault(event: Asked, task: Task) -> None:
    os.kill(os.getpid(), signal.SIGSEGV)
    time.sleep(600)


def _killed(event: Asked, task: Task) -> None:
    os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(600)


def _raise(event: Asked, task: Task) -> None:
    raise RuntimeError("broken: https://store.example/a.wav?X-Amz-Signature=5ec2e7")


def _gpu_fails(event: Asked, task: Task) -> None:
    """As CUDA does, in the first try."""
    if task.try_number == 1:
        with gpu.watched():
            raise RuntimeError(
                "CUDA error: an illegal memory access was encountered\nCompile with…"
            )


def _leave(event: Asked, task: Task) -> None:
    sys.exit(3)


def _gated(event: Asked, task: Task) -> None:
    with Path(event.work.options["count"]).open("a") as file:
        file.write(f"{os.getpid()}\n")
    while not Path(event.work.options["gate"]).exists():
        time.sleep(0.01)


def _reject(event: Asked, task: Task) -> None:
    raise Reject("no_audio", "'song.aiff' holds no stream (found: data); upload another file")


def _later(event: Asked, task: Task) -> None:
    if task.try_number == 1:
        raise Retry(20, "not_ready", "the model is being fetched")


def _never(event: Asked, task: Task) -> None:
    raise Retry(20, "not_ready", "the model is being fetched")


def _spam(event: Asked, task: Task) -> None:
    for number in range(20_000):  # far more than a pipe holds
        print("spam", number, "\x00\x00\x00\x10")
    sys.stdout.flush()
    os.write(1, b"\xff" * 100_000)
    os.write(2, b"\x00" * 100_000)
    subprocess.run(["echo", "spam of a grandchild"], check=True)


def _grandchild(event: Asked, task: Task) -> None:
    # In a session of its own it would be out of reach; ffmpeg and espeak-ng do no such thing.
    helper = subprocess.Popen(["sleep", "600"])
    note = Path(event.work.options["note"])
    note.with_suffix(".new").write_text(f"{os.getpid()} {helper.pid}")
    note.with_suffix(".new").rename(note)
    if event.work.options.get("deaf"):
        ctypes.PyDLL(None).sleep(600)  # in C, with the GIL held: no Python code runs any more
    helper.wait()


def _stored(event: Asked, task: Task) -> bool:
    def make(folder: Path) -> Made:
        with Path(event.work.options["count"]).open("a") as file:
            file.write("made\n")
        time.sleep(float(event.work.options.get("seconds", "0")))
        gate = event.work.options.get("gate")
        while gate and not Path(gate).exists():
            time.sleep(0.01)
        path = folder / "out.bin"
        path.write_bytes(b"result")
        return Made((MadeFile("out", path, "application/octet-stream"),))

    return task.result([INPUT], LIGHT, {"song": event.work.options.get("song", "")}, make).reused


_DO = {
    "work": _work,
    "hang": _hang,
    "segfault": _segfault,
    "killed": _killed,
    "raise": _raise,
    "leave": _leave,
    "gpu_fails": _gpu_fails,
    "reject": _reject,
    "later": _later,
    "never": _never,
    "spam": _spam,
    "grandchild": _grandchild,
    "stored": _stored,
    "gated": _gated,
}
