"""The product under load: a gateway, a projector, an admission and two workers, as processes."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx

from schemas.events import ExtractionRequested, FeaturesExtracted, JobFailed
from tests.bench.load.driving import LONGEST_S, drive
from tests.bench.load.files import names
from tests.bench.load.runs import Item, Order, Run
from tests.e2e.product import Running, events, until

WORKERS = 2


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

    def roots(self) -> list[int]:
        """Of every process."""
        return [each.pid for each in (*self.others, *self.workers)]

    def kill_a_worker(self) -> None:
        """kill -9 of one, and another one in its place."""
        self.workers[0].send_signal(signal.SIGKILL)
        self.workers[0].wait()
        self.workers[0] = self.worker(WORKERS)

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

    def send(self, http: httpx.Client, order: Order, extractors: Sequence[str] | None) -> str:
        """Ask for a batch; its task."""
        more: dict[str, Any] = {} if extractors is None else {"extractors": list(extractors)}
        items = [{"input_uri": name, **more} for name in names(order.files)]
        body = {"items": items, "concurrency": order.concurrency, "use_gpu": order.use_gpu}
        answer = http.post("/v1/batch", json=body)
        answer.raise_for_status()
        task: str = answer.json()["task_id"]
        return task

    def ended(self, http: httpx.Client, task: str) -> int:
        """How many of its items are done or failed."""
        counts = http.get(f"/v1/status/{task}", params={"limit": 0}).json()["counts"]
        ended: int = counts["completed"] + counts["failed"]
        return ended


@contextmanager
def product(folder: Path, media: Path, concurrency: int, warm: Sequence[Path]) -> Iterator[Product]:
    """A product that has loaded everything it needs."""
    made = Product(folder, media, concurrency)
    with ExitStack() as parts:
        parts.callback(made.stop)
        made.start()
        with made.http("warm") as http:
            until(lambda: http.get("/readyz").status_code == 200, "/readyz")
            task = made.send(http, Order("warm", warm, concurrency=concurrency), None)
            done = len(warm)
            until(lambda: made.ended(http, task) == done, "the warm-up", timeout_s=LONGEST_S)
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
    found = drive(made, orders, extractors, kill_at=kill_at)
    items = _items(made.data, found.tasks, found.began_s)
    return found.run("melisma", title, concurrency, items)


def _items(data: Path, tasks: Mapping[str, tuple[Order, float]], began_s: float) -> list[Item]:
    """Every item with its end, as the log has it."""
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
    items = []
    for envelope in events(data, ExtractionRequested):
        event = envelope.event
        assert isinstance(event, ExtractionRequested)
        if event.work.track_id not in tasks:
            continue
        order, sent_s = tasks[event.work.track_id]
        at_s, ok = ended.get(event.work.job_id, (None, False))
        items.append(
            Item(
                client=order.client,
                sent_s=sent_s - began_s,
                ended_s=None if at_s is None else at_s - began_s,
                ok=ok,
            )
        )
    return items
