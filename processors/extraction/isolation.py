"""A process for extractors, on a leash: who hangs in it or eats too much is ended with it.

The process stays warm from file to file. It says which extractor is at work; when that one takes
far longer than it said, when the process grows over its memory, or when it dies, the one at work
is the guilty one. The caller begins again without it, so that the others' results are kept.

What this starts belongs to the process group of the stage's child and is killed with it.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import pickle
import select
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from processors.extraction.notice import Memory, Notice, Turn
from processors.extraction.orders import Order
from processors.gpu import MIB, GpuFailed
from processors.settings import StageSettings
from schemas.documents.audio_manifest import ErrorCode
from topics import logs

_LOOK_S = 0.05  # between two looks at the clock and at the memory of one that says nothing
_START_S = 60.0  # imports on a busy machine
_MARGIN = 20.0
"""How much longer than it says an extractor may take: costs are for one core that is not shared."""
_KEPT_BYTES = 64 * MIB
_ALLOCATOR = {
    "MALLOC_TRIM_THRESHOLD_": str(_KEPT_BYTES),
    "MALLOC_MMAP_THRESHOLD_": str(_KEPT_BYTES),
}
"""For glibc's malloc: arrays of some MB come and go with each block of a file, and given back to
the kernel each time they cost a page fault for every 4 KiB, 5,000 a file, and 3 % of the time."""
_LONGEST_LINE = 1 << 20

_log = logs.get(__name__)


@dataclass(frozen=True, slots=True)
class Guilty:
    """The extractor that has to be left out, and why."""

    name: str
    code: ErrorCode
    message: str


class FileRefused(Exception):
    """The file holds no sound to be had; nothing of an extractor."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


@dataclass(frozen=True, slots=True)
class Told:
    """Who hears how it goes: progress 0 to 1, the file's seconds, waiting for others."""

    progress: Callable[[float], None]
    sized: Callable[[float], None]
    waits: Callable[[bool, str], None]


class Laboratory:
    """Starts the process on demand. Belongs to one thread."""

    def __init__(
        self, settings: StageSettings, *, monotonic_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._settings = settings
        self._now = monotonic_s
        self._process: subprocess.Popen[bytes] | None = None
        self._answers = -1
        self._notice: Notice | None = None
        self._memory: Memory | None = None
        self._rest = b""
        self._versions: Mapping[str, str] = {}
        self._usual: tuple[str, ...] = ()

    def known(self) -> Mapping[str, str]:
        """Version of each extractor that there is, by name."""
        self._ready()
        return self._versions

    def usual(self) -> tuple[str, ...]:
        """What is run when nobody names any."""
        self._ready()
        return self._usual

    @property
    def pid(self) -> int | None:
        """Of the process, if it runs."""
        return self._process.pid if self._process else None

    def extract(self, order: Order, told: Told) -> Guilty | None:
        """Extract into the order's folder; the one to blame when that was not possible.

        Raises `FileRefused`, ``OSError`` for the folder, ``MemoryError`` where no extractor is to
        blame, `GpuFailed`, ``RuntimeError`` when the process dies of something else.
        """
        self._ready()
        assert self._process is not None
        assert self._process.stdin is not None
        turn = self._turn()
        since_s, last = self._now(), ""
        try:
            self._process.stdin.write(json.dumps(asdict(order)).encode() + b"\n")
            self._process.stdin.flush()
            while True:
                said = self._heard(_LOOK_S)
                before, turn = turn, self._turn()
                if turn.number != before.number:
                    since_s, last = self._now(), before.name or last
                guilty = None
                if said is None:
                    guilty = self._over(turn, since_s) or self._grown(turn.name or last)
                elif "grown" in said:
                    guilty = self._grown(str(said["grown"]))
                elif "done" in said:
                    return None
                else:
                    _pass_on(said, told)
                if guilty is not None:
                    self.close()
                    return guilty
        except (EOFError, BrokenPipeError):
            return self._died(self._turn().name)
        except BaseException as error:
            if not isinstance(error, (FileRefused, OSError)):
                self.close()
            raise

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for pipe in (self._process.stdin, self._process.stderr):
                if pipe is not None:
                    with contextlib.suppress(OSError):
                        pipe.close()
            os.close(self._answers)
            self._process, self._rest = None, b""
        if self._notice is not None:
            self._notice.close()
            self._notice = None
        if self._memory is not None:
            self._memory.close()
            self._memory = None

    # What ends it.

    def _over(self, turn: Turn, since_s: float) -> Guilty | None:
        allowed_s = self._settings.extractor_timeout_seconds + _MARGIN * max(turn.cost_s, 0.0)
        limit_s = allowed_s - turn.spent_s
        if not turn.name or self._now() - since_s <= limit_s:
            return None
        took = f"it was stopped because it took longer than {max(limit_s, 0):.0f} seconds"
        return Guilty(turn.name, "timed_out", f"{turn.name}: {took}")

    def _grown(self, name: str) -> Guilty | None:
        """Blame ``name`` when the process is over its memory."""
        limit = self._settings.extraction_memory_limit
        assert self._memory is not None
        if self._memory.resident() <= limit * MIB:
            return None
        if not name:
            raise MemoryError
        eaten = f"it was stopped because the file's extraction took more than {limit} MiB of memory"
        return Guilty(name, "out_of_memory", f"{name}: {eaten}")

    def _died(self, at: str) -> Guilty:
        assert self._process is not None
        code = self._process.wait()
        self.close()
        _log.warning("the process of the extractors died", extractor=at, status=code)
        if not at:
            raise RuntimeError(f"the process of the extractors ended with status {code}")
        if code == -9:  # nobody of ours sent it, so the kernel did
            return Guilty(at, "out_of_memory", f"{at}: it needed more memory than there is")
        return Guilty(at, "crashed", f"{at}: its process died in the middle of it")

    # The conversation.

    def _turn(self) -> Turn:
        assert self._notice is not None
        return self._notice.read()

    def _ready(self) -> None:
        if self._process is not None and self._process.poll() is None:
            return
        self.close()
        reading, writing = os.pipe()
        self._notice, page = Notice.made()
        program = [sys.executable, "-P", "-m", "processors.extraction.isolated"]
        try:
            self._process = subprocess.Popen(
                [*program, str(writing), str(page)],
                stdin=subprocess.PIPE,
                pass_fds=(writing, page),
                env={**os.environ, **_ALLOCATOR},
            )
        finally:
            os.close(writing)
            os.close(page)
        self._answers, self._memory = reading, Memory(self._process.pid)
        os.set_blocking(reading, False)
        assert self._process.stdin is not None
        self._process.stdin.write(base64.b64encode(pickle.dumps(self._settings)) + b"\n")
        self._process.stdin.flush()
        until_s = self._now() + _START_S
        try:
            said = None
            while said is None and self._now() < until_s:
                said = self._heard(_LOOK_S)
        except EOFError:
            said = None
        if said is None:
            self.close()
            raise RuntimeError("the process of the extractors does not start")
        self._versions = {str(name): str(each) for name, each in said["known"].items()}
        self._usual = tuple(str(name) for name in said["usual"])

    def _heard(self, timeout_s: float) -> dict[str, Any] | None:
        """The next word; None when there is none in time. Raises ``EOFError`` behind the last."""
        while b"\n" not in self._rest:
            if not select.select([self._answers], [], [], timeout_s)[0]:
                return None
            piece = os.read(self._answers, 1 << 16)
            if not piece or len(self._rest) > _LONGEST_LINE:
                raise EOFError
            self._rest += piece
        line, _, self._rest = self._rest.partition(b"\n")
        said: dict[str, Any] = json.loads(line)
        return said


def _pass_on(said: Mapping[str, Any], told: Told) -> None:
    """Tell how it goes, and raise what ended it."""
    if "share" in said:
        told.progress(float(said["share"]))
    elif "seconds" in said:
        told.sized(float(said["seconds"]))
    elif "waits" in said:
        told.waits(bool(said["waits"]), str(said["what"]))
    elif "refused" in said:
        raise FileRefused(str(said["refused"]), str(said["message"]))
    elif "gpu" in said:
        raise GpuFailed(str(said["gpu"]))
    elif "memory" in said:
        raise MemoryError
    elif "os" in said:
        raise OSError(int(said["os"]), str(said["message"]))
