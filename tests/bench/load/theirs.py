"""The first design under the same load: Celery workers and Redis, the same extraction in them.

Celery and Redis live outside the product: ``--celery`` names their virtual environment, ``--redis``
a redis-server. The tasks import the product's extraction, so only what is around it differs. Celery
is set up to lose as little as it can: acknowledged late, rejected when a worker is lost, nothing
prefetched. It is sent to directly; the first design's HTTP server would only add to its times.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sysconfig
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench.load.runs import Item, Order, Run
from tests.bench.load.watching import Watch

REPOSITORY = Path(__file__).parents[3]
_LONGEST_S = 900.0
_SILENCE_S = 60.0
_LOST = (
    f"what is counted as lost had not come back after {_SILENCE_S:.0f} s of silence; Redis gives a"
    " message of a killed worker out again after its visibility timeout, an hour by default"
)

_APP = r"""
import os, time
from pathlib import Path
from celery import Celery

app = Celery("first", broker=os.environ["CELERY_BROKER_URL"],
             backend=os.environ["CELERY_RESULT_BACKEND"])
app.conf.update(task_acks_late=True, task_reject_on_worker_lost=True,
                worker_prefetch_multiplier=1, broker_connection_retry_on_startup=True)

@app.task(name="process")
def process(path, extractors, out):
    from processors.extraction.extracting import Options, extract_file
    try:
        extract_file(Path(path), extractors, Options(), Path(out))
    except Exception:
        return {"ended": time.time(), "ok": False}
    return {"ended": time.time(), "ok": True}
"""

_DRIVER = r"""
import json, sys, threading, time, uuid
from first import process

given = json.load(sys.stdin)
lock, sent, results = threading.Lock(), [], []
began = time.time()

def send(order):
    time.sleep(max(0.0, began + order["after"] - time.time()))
    at = time.time()
    for path in order["files"]:
        result = process.delay(path, given["extractors"], given["out"] + "/" + uuid.uuid4().hex)
        with lock:
            results.append((order["client"], at, result))

threads = [threading.Thread(target=send, args=(order,)) for order in given["orders"]]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
items, told, last = [None] * len(results), 0, time.time()
while None in items and time.time() - last < given["silence"]:
    for number, (client, at, result) in enumerate(results):
        if items[number] is None and result.ready():
            got = result.result if result.successful() else {"ended": time.time(), "ok": False}
            items[number] = [client, at - began, got["ended"] - began, got["ok"]]
            last = time.time()
    done = sum(item is not None for item in items)
    if done != told:
        told = done
        print(done, flush=True)
    time.sleep(0.1)
for number, (client, at, result) in enumerate(results):
    if items[number] is None:
        items[number] = [client, at - began, None, False]
print(json.dumps(items), flush=True)
"""


@dataclass(frozen=True, slots=True)
class Outside:
    """Where Celery and Redis are."""

    celery: Path
    redis: Path

    @property
    def python(self) -> str:
        """Of the virtual environment."""
        return str(self.celery / "bin" / "python")


class Celery:
    """Redis and a worker with as many processes as asked for."""

    def __init__(self, outside: Outside, folder: Path, concurrency: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._outside = outside
        self._folder = folder
        self._concurrency = concurrency
        (folder / "first.py").write_text(_APP)
        (folder / "driver.py").write_text(_DRIVER)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        address = f"redis://127.0.0.1:{self._port}"
        paths = [str(folder), str(REPOSITORY), sysconfig.get_paths()["purelib"]]
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": os.environ.get("HOME", "/"),
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": os.pathsep.join(paths),
            "CELERY_BROKER_URL": f"{address}/0",
            "CELERY_RESULT_BACKEND": f"{address}/1",
        }
        self.redis = self._start(
            str(outside.redis), "--port", str(self._port), "--save", "", "--dir", str(folder)
        )
        self.worker = self.work()

    def work(self) -> subprocess.Popen[bytes]:
        """A worker."""
        return self._start(
            self._outside.python, "-m", "celery", "-A", "first", "worker",
            "--concurrency", str(self._concurrency), "--loglevel", "WARNING",
            "-n", f"w{time.time()}",
        )  # fmt: skip

    def _start(self, *command: str) -> subprocess.Popen[bytes]:
        with (self._folder / "log.txt").open("ab") as log:
            return subprocess.Popen(
                command,
                env=self._environment,
                cwd=self._folder,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def drive(
        self,
        orders: Sequence[Order],
        extractors: Sequence[str] | None,
        *,
        kill_at: int | None = None,
        silence_s: float = _LONGEST_S,
    ) -> list[list[Any]]:
        """Send the orders and wait for their results."""
        given = {
            "orders": [
                {"client": o.client, "after": o.after_s, "files": [str(f) for f in o.files]}
                for o in orders
            ],
            "extractors": None if extractors is None else list(extractors),
            "out": str(self._folder / "out"),
            "silence": silence_s,
        }
        driver = subprocess.Popen(
            [self._outside.python, str(self._folder / "driver.py")],
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert driver.stdin is not None
        assert driver.stdout is not None
        driver.stdin.write(json.dumps(given).encode())
        driver.stdin.close()
        found: list[list[Any]] = []
        for line in driver.stdout:
            said = json.loads(line)
            if isinstance(said, list):
                found = said
            elif kill_at is not None and said >= kill_at:
                self.kill()
                self.worker = self.work()
                kill_at = None
        driver.wait()
        return found

    def kill(self) -> None:
        """kill -9 of the worker and its pool."""
        os.killpg(self.worker.pid, signal.SIGKILL)
        self.worker.wait()

    def stop(self) -> None:
        """End everything."""
        for process in (self.worker, self.redis):
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@contextmanager
def celery(
    outside: Outside, folder: Path, concurrency: int, warm: Sequence[Path]
) -> Iterator[Celery]:
    """Workers that have loaded everything they need."""
    made = Celery(outside, folder, concurrency)
    try:
        made.drive([Order("warm", warm)], None)
        yield made
    finally:
        made.stop()


def run(
    made: Celery,
    title: str,
    orders: Sequence[Order],
    concurrency: int,
    *,
    extractors: Sequence[str] | None = None,
    kill_at: int | None = None,
) -> Run:
    """Send the orders, follow them to their end."""
    with Watch([made.redis.pid, made.worker.pid]) as watch:
        silence_s = _SILENCE_S if kill_at is not None else _LONGEST_S
        items = made.drive(orders, extractors, kill_at=kill_at, silence_s=silence_s)
    return Run(
        system="Celery + Redis",
        title=title,
        concurrency=concurrency,
        items=[Item(client, sent, ended, ok) for client, sent, ended, ok in items],
        cpu_s=watch.cpu_s,
        peak_mib=watch.peak_mib,
        notes=(_LOST,) if kill_at is not None else (),
    )
