"""The product under load: a gateway, a projector, an admission and two workers, as processes."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from schemas.events import ExtractionRequested, FeaturesExtracted, JobFailed
from tests.bench.load.files import names
from tests.bench.load.runs import Item, Order, Run
from tests.bench.load.watching import Watch
from tests.e2e.product import Running, events, until

WORKERS = 2
_LOOK_S = 0.2
_LONGEST_S = 900.0


@dataclass(frozen=True, slots=True)
class Seen:
    """A status as a client saw it: asked at, and how many items had ended."""

    asked_s: float
    ended: int


class Product:
    """The processes, over a folder of their own."""

    def __init__(self, folder: Path, media: Path, concurrency: int) -> None:
        self.data = folder / "data"
        self._folder = folder
        slots = max(1, concurrency // WORKERS)
        self._settings = {
            "EXTRACTION_ROOTS": str(media),
            "SLOTS": json.dumps({"extraction": slots}),
            "ADMISSION_IN_FLIGHT": str(slots * WORKERS + WORKERS),
            # Workers of a machine share its cores, and find each other by this.
            "SCRATCH_DIR": str(folder / "scratch"),
        }
        self.workers: list[Running] = []
        self.others: list[Running] = []
        self.url = ""

    def start(self) -> None:
        """Start all of it and wait until it answers."""
        gateway = self._run("gateway", "gateway", "--port", "0")
        self.others = [gateway]
        self.url = gateway.url()
        self.others += [self._run("projector", "projector")]
        self.others += [self._run("admission", "worker", "admission")]
        self.workers = [self.worker(number) for number in range(WORKERS)]

    def worker(self, number: int) -> Running:
        """One more worker."""
        return self._run(f"worker-{number}", "worker", "extraction")

    def pids(self) -> list[int]:
        """Of every process."""
        return [each.pid for each in (*self.others, *self.workers)]

    def _run(self, name: str, *arguments: str) -> Running:
        return Running(
            self._folder / name, [*arguments, "--data", str(self.data)], **self._settings
        )

    def stop(self) -> None:
        """End every process."""
        for each in (*self.workers, *self.others):
            each.discard()

    def http(self, client: str) -> httpx.Client:
        """A client of the API."""
        headers = {"X-Client-Id": client}
        return httpx.Client(base_url=self.url, headers=headers, trust_env=False, timeout=60)


@contextmanager
def product(folder: Path, media: Path, concurrency: int, warm: Sequence[Path]) -> Iterator[Product]:
    """A product that has loaded everything it needs."""
    made = Product(folder, media, concurrency)
    with ExitStack() as parts:
        parts.callback(made.stop)
        made.start()
        with made.http("warm") as http:
            until(lambda: http.get("/readyz").status_code == 200, "/readyz")
            task = _send(http, Order("warm", warm, concurrency=concurrency), None)
            until(lambda: _ended(http, task) == len(warm), "the warm-up", timeout_s=_LONGEST_S)
        yield made


def run(
    made: Product,
    title: str,
    orders: Sequence[Order],
    concurrency: int,
    *,
    extractors: Sequence[str] | None = None,
    kill_at: int | None = None,
) -> Run:
    """Send the orders, follow them to their end; ``kill_at``: items done when a worker is killed
    (-9) and another started."""
    seen: list[Seen] = []
    tasks: dict[str, tuple[Order, float]] = {}
    began_s = time.time()
    roots = made.pids()
    with Watch(roots) as watch, ExitStack() as clients:
        lock = threading.Lock()

        def send(order: Order) -> None:
            time.sleep(max(0.0, began_s + order.after_s - time.time()))
            with made.http(order.client) as http:
                sent_s = time.time()
                task = _send(http, order, extractors)
                with lock:
                    tasks[task] = (order, sent_s)

        senders = [threading.Thread(target=send, args=(order,)) for order in orders]
        for sender in senders:
            sender.start()
        http = clients.enter_context(made.http("watcher"))
        total = sum(len(order.files) for order in orders)
        deadline_s = began_s + _LONGEST_S
        while time.time() < deadline_s:
            asked_s = time.time()
            with lock:
                known = list(tasks)
            ended = sum(_ended(http, task) for task in known)
            seen.append(Seen(asked_s, ended))
            if kill_at is not None and ended >= kill_at:
                made.workers[0].send_signal(signal.SIGKILL)
                made.workers[0].wait()
                made.workers[0] = made.worker(WORKERS)
                roots.append(made.workers[0].pid)
                kill_at = None
            if ended >= total:
                break
            time.sleep(_LOOK_S)
        for sender in senders:
            sender.join()
    items, ends = _items(made.data, tasks, began_s)
    return Run(
        system="melisma",
        title=title,
        concurrency=concurrency,
        items=items,
        cpu_s=watch.cpu_s,
        peak_mib=watch.peak_mib,
        stale_s=_stale_s(seen, ends),
    )


def _send(http: httpx.Client, order: Order, extractors: Sequence[str] | None) -> str:
    more: dict[str, Any] = {} if extractors is None else {"extractors": list(extractors)}
    items = [{"input_uri": name, **more} for name in names(order.files)]
    body = {"items": items, "concurrency": order.concurrency, "use_gpu": order.use_gpu}
    answer = http.post("/v1/batch", json=body)
    answer.raise_for_status()
    task: str = answer.json()["task_id"]
    return task


def _ended(http: httpx.Client, task: str) -> int:
    counts = http.get(f"/v1/status/{task}", params={"limit": 0}).json()["counts"]
    ended: int = counts["completed"] + counts["failed"]
    return ended


def _items(
    data: Path, tasks: dict[str, tuple[Order, float]], began_s: float
) -> tuple[list[Item], list[float]]:
    """Every item with its end, as the log has it; and all ends, Unix seconds."""
    ended: dict[str, tuple[float, bool]] = {}
    for kind in (FeaturesExtracted, JobFailed):
        for envelope in events(data, kind):
            event = envelope.event
            if isinstance(event, FeaturesExtracted):
                found = event.work.job_id, event.status == "completed"
            else:
                assert isinstance(event, JobFailed)
                found = event.job_id, False
            ended.setdefault(found[0], (envelope.time_ms / 1000, found[1]))
    items, ends = [], []
    for envelope in events(data, ExtractionRequested):
        event = envelope.event
        assert isinstance(event, ExtractionRequested)
        if event.work.track_id not in tasks:
            continue
        order, sent_s = tasks[event.work.track_id]
        at_s, ok = ended.get(event.work.job_id, (None, False))
        if at_s is not None:
            ends.append(at_s)
        items.append(
            Item(
                client=order.client,
                sent_s=sent_s - began_s,
                ended_s=None if at_s is None else at_s - began_s,
                ok=ok,
            )
        )
    return items, sorted(ends)


def _stale_s(seen: Sequence[Seen], ends: Sequence[float]) -> float:
    """How long ago the first item ended that a status did not show yet, at worst."""
    worst_s = 0.0
    for status in seen:
        if status.ended < len(ends):
            worst_s = max(worst_s, status.asked_s - ends[status.ended])
    return worst_s
