"""The whole product as its users start it: the ``melisma`` command in a process of its own.

Each product leads a session (setsid), and everything that it starts stays in it; so what was left
behind is read from the kernel's process table and not from what the product says.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx

from gateway.client import Client
from schemas.events import Event
from tests import planted
from tests.songs import Song
from topics.codec import Codec, Envelope
from topics.log.embedded import EmbeddedLog

MELISMA = Path(sys.executable).with_name("melisma")

LONG_S = 120.0
"""Longest wait for anything: a slow machine shared with other tests, not a claim about speed."""

_KEPT = ("PATH", "HOME", "LANG", "XDG_CACHE_HOME", "LD_LIBRARY_PATH", "PYTHONPATH")

TAIL_LINES = 40
"""Of stderr, shown with a failure."""

Json = dict[str, Any]

Seen = TypeVar("Seen")

_to_live: dict[int, Running] = {}
"""What must not end by itself, by pid."""


class Ended(AssertionError):
    """A process that should be at work has ended by itself."""


def all_live() -> None:
    """Assert that everything that should be at work is: raise `Ended` with what it said last."""
    for running in list(_to_live.values()):
        running.must_live()


def nap(seconds: float) -> None:
    """Pause, and see that nothing ended meanwhile: how waiting clients of a test sleep."""
    time.sleep(seconds)
    all_live()


def environment(folder: Path, **settings: str) -> dict[str, str]:
    """Nothing of the developer's own settings; scratch and temporary files inside ``folder``."""
    temporary = folder / "tmp"
    temporary.mkdir(parents=True, exist_ok=True)
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    own = {
        "TMPDIR": str(temporary),
        "SCRATCH_DIR": str(folder / "scratch"),
        "OMP_NUM_THREADS": "1",
        "PYTHONWARNINGS": "error::ResourceWarning",
        # Shown to gateways that ask for none; it must not turn up anywhere (`tests.planted`).
        "MELISMA_API_KEY": planted.KEY,
    }
    return kept | own | settings


class Running:
    """A ``melisma`` command at work, its stdout and stderr in files of ``folder``."""

    def __init__(
        self,
        folder: Path,
        arguments: Iterable[str],
        *,
        program: Iterable[str] = (str(MELISMA),),
        **settings: str,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._arguments = [*arguments]
        self._stdout = folder / "stdout.txt"
        self._stderr = folder / "stderr.txt"
        with self._stdout.open("ab") as out, self._stderr.open("ab") as err:
            self._from = out.tell(), err.tell()
            self._process = subprocess.Popen(
                [*program, *self._arguments],
                cwd=folder,  # no .env of the repository is read
                env=environment(folder, **settings),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )
        self.pid = self._process.pid

    @property
    def stdout(self) -> str:
        """What this run has printed."""
        return self._stdout.read_bytes()[self._from[0] :].decode()

    @property
    def stderr(self) -> str:
        """What this run has logged and said to people."""
        return self._stderr.read_bytes()[self._from[1] :].decode()

    @property
    def last_words(self) -> str:
        """The end of stderr."""
        return "\n".join(self.stderr.splitlines()[-TAIL_LINES:])

    def to_live(self) -> Self:
        """From now on every wait of the tests fails at once when it has ended by itself."""
        _to_live[self.pid] = self
        return self

    def must_live(self) -> None:
        """Raise `Ended` when it has ended."""
        if self._process.poll() is not None:
            _to_live.pop(self.pid, None)  # told once
            what, status = " ".join(self._arguments), self._process.returncode
            raise Ended(f"`melisma {what}` ended by itself with {status}:\n{self.last_words}")

    def url(self) -> str:
        """The address that it tells programs, once it listens."""

        def told() -> str | None:
            line, end, _ = self.stdout.partition("\n")
            if not end:
                self.must_live()
            return line if end else None

        return until(told, "the address on stdout")

    def processes(self) -> set[int]:
        """Living processes of its session, itself included."""
        return set(_session(self.pid))

    def children(self) -> set[int]:
        """Stage children and what they started."""
        return self.processes() - {self.pid}

    def send_signal(self, number: int) -> None:
        """Send the command itself a signal, as a terminal's user or a supervisor would."""
        if number not in (signal.SIGSTOP, signal.SIGCONT):
            _to_live.pop(self.pid, None)
        self._process.send_signal(number)

    def wait(self, timeout_s: float = LONG_S) -> int:
        """Its exit status."""
        return self._process.wait(timeout_s)

    def end(self, number: int = signal.SIGTERM, timeout_s: float = LONG_S) -> int:
        """Ask it to stop; its exit status, once none of its processes is left."""
        before = self.processes()
        if self._process.poll() is None:
            self.send_signal(number)
        _to_live.pop(self.pid, None)
        status = self.wait(timeout_s)
        self.must_be_gone(before)
        return status

    def kill9(self) -> None:
        """Kill the command alone, and see that the kernel and the guards take the rest along."""
        before = self.processes()
        self.send_signal(signal.SIGKILL)
        self.wait()
        self.must_be_gone(before)

    def must_be_gone(self, known: Collection[int] = ()) -> None:
        """Assert that no process of the session lives; ``known`` are named when one does."""

        def gone() -> bool:
            return not _session(self.pid)

        try:
            until(gone, "no process left behind", timeout_s=10.0)
        except AssertionError:
            left = {pid: _command(pid) for pid in _session(self.pid)}
            raise AssertionError(f"left behind of {sorted(known)}: {left}") from None

    def discard(self) -> None:
        """Whatever a failed test left running."""
        _to_live.pop(self.pid, None)
        for pid in _session(self.pid):
            with suppress(FileNotFoundError, ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.kill()
        self._process.wait()


@dataclass
class Product:
    """``melisma up`` on a free port over a folder of its own; starts again on the same data."""

    folder: Path
    settings: Mapping[str, str] = field(default_factory=dict)
    base_url: str = ""
    running: Running | None = None

    @property
    def data(self) -> Path:
        """The data folder."""
        return self.folder / "data"

    @property
    def up(self) -> Running:
        """The command at work."""
        assert self.running is not None
        return self.running

    def start(self, **settings: str) -> Self:
        """Start it and wait until everything that it needs answers."""
        # Secrets that nothing here needs.
        unused = {"S3_ACCESS_KEY": "planted", **planted.SETTINGS}
        self.settings = {**unused, **self.settings, **settings}
        arguments = ("up", "--port", "0", "--data", str(self.data))
        self.running = Running(self.folder, arguments, **self.settings)
        self.base_url = self.up.to_live().url()
        until(self._ready, "/readyz")
        return self

    def _ready(self) -> bool:
        return httpx.get(f"{self.base_url}/readyz", trust_env=False).status_code == 200

    def kill9(self) -> None:
        """kill -9 of the whole product; its children go with it."""
        self.up.kill9()

    def restart(self, **settings: str) -> Self:
        """Start again on the same data, once the last run has ended."""
        return self.start(**settings)

    def stop(self) -> None:
        """SIGTERM: it ends with status 0 and leaves no process."""
        status = self.up.end()
        assert status == 0, f"exit status {status}:\n{self.up.last_words}"

    def client(self) -> Client:
        """A client of the REST API. Close it."""
        return Client(self.base_url, client_id="tests", sleep=nap)

    def http(self) -> httpx.Client:
        """Bare HTTP with the client id set. Close it."""
        return httpx.Client(
            base_url=self.base_url, headers={"X-Client-Id": "tests"}, trust_env=False, timeout=30
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self.running is not None:
            if kind is not None:  # pytest shows it under the failed test
                print(self.running.last_words)
            self.running.discard()


def accept(client: Client, song: Song, *, with_lyrics: bool = True) -> Json:
    """Upload and import a test song: ``{jobId, trackId, version}``."""
    return client.import_track(
        client.upload(song.path),
        lyrics=song.lyrics_text if with_lyrics else None,
        language=song.language,
        title=song.name,
    )


def finish(client: Client, job_id: str, timeout_s: float = LONG_S) -> Json:
    """Wait for a job that has to succeed."""
    job = client.wait_for_job(job_id, timeout_s=timeout_s)
    assert job["state"] == "succeeded", job.get("error")
    return job


def step(job: Json, name: str) -> dict[str, Any]:
    """One step of a job."""
    found: dict[str, Any] = next(each for each in job["steps"] if each["step"] == name)
    return found


def events(data: Path, kind: type[Event]) -> list[Envelope]:
    """Every event of a kind on the log of a product, running or not."""
    codec = Codec()
    log = EmbeddedLog(data / "log.db")
    try:
        reader = log.reader([codec.on_log(kind.topic)])
        found: list[Envelope] = []
        while not reader.caught_up():
            found.extend(codec.decode(record) for record in reader.poll(0.05))
        reader.close()
        return found
    finally:
        log.close()


def until(
    look: Callable[[], Seen | None], what: str, *, timeout_s: float = LONG_S, pause_s: float = 0.02
) -> Seen:
    """What ``look`` sees, once it sees something; at once `Ended` when a part has ended."""
    deadline = time.monotonic() + timeout_s
    while True:
        seen = look()
        if seen:
            return seen
        all_live()
        assert time.monotonic() < deadline, f"waited {timeout_s:.0f} s for {what}"
        time.sleep(pause_s)


def gone(pid: int) -> bool:
    """Whether a process has ended; one that nobody reaped yet has."""
    handle = -1
    try:
        handle = os.pidfd_open(pid)
        return bool(select.select([handle], [], [], 0)[0])
    except ProcessLookupError:
        return True
    finally:
        if handle >= 0:
            os.close(handle)


def stage_children(running: Running) -> dict[int, int]:
    """Leaders of the stage children's groups and the CPU clock ticks that each has used."""
    found: dict[int, int] = {}
    for pid in running.children():
        with suppress(FileNotFoundError, ProcessLookupError):
            fields = _stat(pid)
            if int(fields[2]) == pid:  # pgrp, proc(5)
                found[pid] = int(fields[11]) + int(fields[12])  # utime + stime
    return found


def _session(leader: int) -> list[int]:
    found: list[int] = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with suppress(FileNotFoundError, ProcessLookupError):
                state, _, _, session = _stat(int(entry.name))[:4]
                if int(session) == leader and state not in "ZX":
                    found.append(int(entry.name))
    return found


def _stat(pid: int) -> list[str]:
    """proc(5): the fields of /proc/pid/stat behind the command's name, from the state on."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _command(pid: int) -> str:
    with suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    return "gone since"
