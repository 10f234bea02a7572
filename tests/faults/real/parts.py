"""The product on real servers, each of its parts a process of its own that can be killed alone."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx

from gateway.client import Client, Refused, Unreachable
from schemas.work import DELIVERY, STAGES
from tests import songs
from tests.e2e.product import (
    MELISMA,
    Json,
    Running,
    all_live,
    environment,
    nap,
    stage_children,
    until,
)
from tools.stack.stack import Stack

Choice = TypeVar("Choice")

ROUNDS = int(os.environ.get("MELISMA_FAULT_ROUNDS", "3"))
"""10 is the whole matrix (`make test-faults`), less is a seeded third of it (CI)."""

WHOLE = ROUNDS >= 10

SEED = int(os.environ.get("MELISMA_FAULT_SEED", "928"))
"""Of what is chosen, of when, and of random bytes. The default third touches the most different
things: stages, gateway, broker, a group's member, the store's disk, a job's life, bytes."""

OUTAGE_S = float(os.environ.get("MELISMA_OUTAGE_SECONDS", "60" if WHOLE else "10"))
"""How long a server is away."""

PATIENCE_S = 600.0
"""Longest wait for a job: seven processes and four servers share the machine with other tests, and
a part that ended by itself is noticed before."""

PARTS = ("gateway", "projector", *STAGES)

SETTINGS = {
    # A dead worker's lease is waited for: not as long as in production.
    "LEASE_SECONDS": "3",
    "HEARTBEAT_SECONDS": "1",
}


def chosen(faults: Sequence[Choice], of: str) -> list[Choice]:
    """The faults of a matrix for this run in an order of the seed: all of them, or a third."""
    chance = random.Random(SEED + zlib.crc32(of.encode()))
    count = len(faults) if WHOLE else -(-len(faults) // 3)
    return chance.sample(faults, count)


@dataclass
class Parts:
    """A gateway, a projector and one worker for each stage, on one stack and prefix of topics."""

    folder: Path
    servers: Mapping[str, str]
    """Addresses of the real servers, as settings."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """What all parts are told besides."""
    running: dict[str, Running] = field(default_factory=dict)
    base_url: str = ""
    kills: int = 0

    @property
    def environment(self) -> dict[str, str]:
        data = {"DATA_DIR": str(self.folder / "data")}
        return {**SETTINGS, **data, **self.servers, **self.settings}

    def provision(self) -> Self:
        """Topics and schemas, as an operator makes them."""
        if "SCHEMA_REGISTRY_URL" not in self.servers:
            return self  # the parts make topics as they start
        told = environment(self.folder, **self.environment)
        done = subprocess.run(
            [MELISMA, "topics", "apply"],
            env=told,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return self

    def start(self, *names: str, **settings: str) -> Self:
        """Start parts, all of them when none is named; returns once the gateway listens."""
        for name in names or PARTS:
            self.running[name] = self._run(name, **settings)
        if "gateway" in (names or PARTS):
            self.base_url = self.running["gateway"].url()
        return self

    def another(self, stage: str, number: int = 2, **settings: str) -> Running:
        """One more worker of a stage."""
        name = f"{stage}-{number}"
        self.running[name] = self._run(name, **settings)
        return self.running[name]

    def misbehave(self, how: str) -> Running:
        """A bad deploy in place of the separation (`tests.faults.real.misbehaving`)."""
        self.running["separation"] = running = Running(
            self.folder / "separation",
            ["-c", "from tests.faults.real import misbehaving; misbehaving.main()"],
            program=[sys.executable],
            **{**self.environment, "MISBEHAVE": how},
        )
        return running

    def another_gateway(self) -> str:
        """One more gateway; its address."""
        running = self.running["gateway-2"] = self._run("gateway-2")
        return running.url()

    def _run(self, name: str, **settings: str) -> Running:
        kind = name.partition("-")[0]
        if kind == "gateway":
            # The same address when it comes back, so that clients find it again.
            port = httpx.URL(self.base_url).port if self.base_url and name == kind else 0
            words: tuple[str, ...] = (kind, "--port", str(port))
        elif kind in ("projector", DELIVERY):
            words = (kind,)
        else:
            words = ("worker", kind)
        return Running(self.folder / name, words, **{**self.environment, **settings}).to_live()

    def kill9(self, name: str) -> None:
        """kill -9 of a part."""
        self.running[name].kill9()
        self.kills += 1

    def end(self, name: str) -> None:
        """SIGTERM; the part leaves with status 0."""
        running = self.running.pop(name)
        status = running.end()
        assert status == 0, f"{name} ended with {status}:\n{running.last_words}"

    def stop(self) -> None:
        """SIGTERM to every part; each leaves with status 0 and no process behind."""
        all_live()
        for running in self.running.values():
            running.send_signal(signal.SIGTERM)  # all at once; a second one would end them hard
        for name, running in self.running.items():
            status = running.wait()
            assert status == 0, f"{name} ended with {status}:\n{running.last_words}"
            running.must_be_gone()
        self.running.clear()

    def client(self, base_url: str = "") -> Client:
        """A client of the REST API. Close it."""
        return Client(base_url or self.base_url, client_id="tests", sleep=nap)

    def at_work(self, stage: str) -> bool:
        """Whether a worker's child is using the processor now."""
        before = stage_children(self.running[stage])
        for _ in range(10 if before else 0):  # others may have the processor for a while
            time.sleep(0.02)
            after = stage_children(self.running[stage])
            if any(after[pid] - ticks >= 2 for pid, ticks in before.items() if pid in after):
                return True
        return False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for name, running in self.running.items():
            if kind is not None:  # pytest shows it under the failed test
                print(f"--- {name}\n{running.last_words}")
            running.discard()


def song(number: int) -> songs.Song:
    """An 8 s song; a job of one costs about 2 s of a processor. Another number is another song, so
    that no stage takes up what it made for an earlier one.
    """
    return songs.make("short", number)


def accept_all(client: Client, numbers: Sequence[int], *, with_lyrics: bool = True) -> list[Json]:
    """Upload songs, then import all of them, so that their work is side by side."""
    given = [song(number) for number in numbers]
    assets = [client.upload(each.path) for each in given]
    return [
        client.import_track(
            asset, lyrics=each.lyrics_text if with_lyrics else None, language=each.language
        )
        for asset, each in zip(assets, given, strict=True)
    ]


def ended(client: Client, jobs: Sequence[Json], timeout_s: float = PATIENCE_S) -> list[Json]:
    """Wait until each job has succeeded."""
    found = []
    deadline = time.monotonic() + timeout_s
    for each in jobs:
        job = wait_for(client, each["jobId"], deadline - time.monotonic())
        assert job["state"] == "succeeded", job
        found.append(job)
    return found


def wait_for(client: Client, job_id: str, timeout_s: float = PATIENCE_S) -> Json:
    """A job once it has ended, however the gateway is doing in between."""
    shown: dict[str, Any] = {}

    def over() -> bool:
        try:
            shown.update(client.job(job_id))
        except (Unreachable, Refused) as error:  # a 503 while a server is away
            shown["unanswered"] = repr(error)
            return False
        return shown["state"] in ("succeeded", "failed", "canceled")

    try:
        until(over, "the end of a job", timeout_s=max(timeout_s, 1), pause_s=0.1)
    except AssertionError:
        raise AssertionError(f"stuck: {shown}") from None
    return shown


@contextmanager
def away(stack: Stack, service: str, seconds: float) -> Iterator[None]:
    """Kill a server, and start it again behind the block, ``seconds`` after its end at least."""
    stack.kill9(service)
    until_s = time.monotonic() + seconds
    yield
    time.sleep(max(0.0, until_s - time.monotonic()))
    stack.restart(service)


def landed(parts: Parts) -> int:
    """How many versions the log has as published."""
    from tests.faults.real.audit import read

    return len(read(parts.environment).events["published"])
