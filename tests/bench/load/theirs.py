"""The first design under the same load: FastAPI, Celery workers and Redis, the same extraction.

Celery and Redis live outside the product: ``--celery`` names their virtual environment, ``--redis``
a redis-server. The tasks import the product's extraction, so only what is around it differs. It is
built as well as its design allows: acknowledged late, rejected when a worker is lost, nothing
prefetched; what ended is a set in Redis, so that a status costs one request however long its batch.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sysconfig
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.bench.load.driving import LONGEST_S, drive
from tests.bench.load.runs import Item, Order, Run
from tests.e2e.product import until

REPOSITORY = Path(__file__).parents[3]
_SILENCE_S = 60.0
_LOST = (
    f"what is counted as lost had not come back after {_SILENCE_S:.0f} s of silence; Redis gives a"
    " message of a killed worker out again after its visibility timeout, an hour by default"
)

_WORKER = r"""
import os, time
from pathlib import Path
import redis
from celery import Celery

app = Celery("first", broker=os.environ["CELERY_BROKER_URL"],
             backend=os.environ["CELERY_RESULT_BACKEND"])
app.conf.update(task_acks_late=True, task_reject_on_worker_lost=True,
                worker_prefetch_multiplier=1, broker_connection_retry_on_startup=True)
counts = redis.Redis.from_url(os.environ["CELERY_RESULT_BACKEND"])

@app.task(name="process", bind=True)
def process(self, batch, path, extractors, out):
    from processors.extraction.extracting import Options, extract_file
    try:
        extract_file(Path(path), extractors, Options(), Path(out))
        ok = True
    except Exception:
        ok = False
    counts.sadd("ended:" + batch, self.request.id)
    return {"ended": time.time(), "ok": ok}
"""

_API = r"""
import os, uuid
from fastapi import FastAPI
from pydantic import BaseModel
from first import counts, process

api = FastAPI()

class Batch(BaseModel):
    items: list[str]
    extractors: list[str] | None = None
    out: str

@api.get("/healthz")
def healthz():
    counts.ping()

@api.post("/batch")
def batch(given: Batch):
    task_id = uuid.uuid4().hex
    for path in given.items:
        out = given.out + "/" + uuid.uuid4().hex
        task = process.delay(task_id, path, given.extractors, out)
        counts.rpush("items:" + task_id, task.id)
    return {"task_id": task_id}

@api.get("/status/{task_id}")
def status(task_id: str):
    return {"ended": counts.scard("ended:" + task_id)}

@api.get("/results/{task_id}")
def results(task_id: str):
    ids = [each.decode() for each in counts.lrange("items:" + task_id, 0, -1)]
    found = [process.AsyncResult(each) for each in ids]
    return [each.result if each.successful() else None for each in found]
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
    """Redis, the API, and a worker with as many processes as asked for."""

    def __init__(self, outside: Outside, folder: Path, concurrency: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._outside = outside
        self._folder = folder
        self._concurrency = concurrency
        (folder / "first.py").write_text(_WORKER)
        (folder / "api.py").write_text(_API)
        port, redis_port = _free_port(), _free_port()
        self._url = f"http://127.0.0.1:{port}"
        address = f"redis://127.0.0.1:{redis_port}"
        paths = [str(folder), str(REPOSITORY), sysconfig.get_paths()["purelib"]]
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": os.environ.get("HOME", "/"),
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": os.pathsep.join(paths),
            "CELERY_BROKER_URL": f"{address}/0",
            "CELERY_RESULT_BACKEND": f"{address}/1",
        }
        redis = [str(outside.redis), "--port", str(redis_port), "--bind", "127.0.0.1"]
        api = [outside.python, "-m", "uvicorn", "api:api", "--port", str(port)]
        self._others = [
            self._start(*redis, "--save", "", "--dir", str(folder)),
            self._start(*api, "--log-level", "warning"),
        ]
        self._worker = self._work()

    def roots(self) -> list[int]:
        """Of every process."""
        return [each.pid for each in (*self._others, self._worker)]

    def http(self, client: str) -> httpx.Client:
        """A client of the API; it does not tell one from another."""
        return httpx.Client(base_url=self._url, trust_env=False, timeout=60)

    def send(self, http: httpx.Client, order: Order, extractors: Sequence[str] | None) -> str:
        """Ask for a batch; its task."""
        body = {
            "items": [str(file) for file in order.files],
            "extractors": None if extractors is None else list(extractors),
            "out": str(self._folder / "out"),
        }
        task: str = http.post("/batch", json=body).raise_for_status().json()["task_id"]
        return task

    def ended(self, http: httpx.Client, task: str) -> int:
        """How many of its items are done or failed."""
        ended: int = http.get(f"/status/{task}").raise_for_status().json()["ended"]
        return ended

    def answers(self) -> bool:
        """Whether the API and Redis do."""
        with suppress(httpx.TransportError), self.http("") as http:
            return http.get("/healthz").status_code == 200
        return False

    def items(self, task: str, order: Order, sent_s: float, began_s: float) -> list[Item]:
        """Every item with its end, as its result has it."""
        with self.http("") as http:
            results = http.get(f"/results/{task}").raise_for_status().json()
        return [
            Item(order.client, sent_s - began_s, each["ended"] - began_s, each["ok"])
            if each
            else Item(order.client, sent_s - began_s, None, False)
            for each in results
        ]

    def kill_a_worker(self) -> None:
        """kill -9 of the worker and its pool, and another one in its place."""
        os.killpg(self._worker.pid, signal.SIGKILL)
        self._worker.wait()
        self._worker = self._work()

    def stop(self) -> None:
        """End everything."""
        for process in (self._worker, *self._others):
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def _work(self) -> subprocess.Popen[bytes]:
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


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


@contextmanager
def celery(
    outside: Outside, folder: Path, concurrency: int, warm: Sequence[Path]
) -> Iterator[Celery]:
    """Workers that have loaded everything they need."""
    made = Celery(outside, folder, concurrency)
    try:
        until(made.answers, "the first design", timeout_s=LONGEST_S)
        drive(made, [Order("warm", [*warm] * 4)])  # so that none of its processes gets none
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
    silence_s = _SILENCE_S if kill_at is not None else LONGEST_S
    found = drive(made, orders, extractors, kill_at=kill_at, silence_s=silence_s)
    items = [
        item
        for task, (order, sent_s) in found.tasks.items()
        for item in made.items(task, order, sent_s, found.began_s)
    ]
    notes = (_LOST,) if kill_at is not None else ()
    return found.run("Celery + Redis", title, concurrency, items, notes)
