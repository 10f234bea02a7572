"""What the gateway adds to a bare handler that returns the same bytes.

``python -m tests.bench.bench_gateway`` puts 100,000 jobs into a projection, serves ``/ready`` and
``/v1/jobs/{id}`` from it in a process of its own, and a bare Starlette application with the very
bytes that these answered in another, under the same uvicorn. Then it asks both in turns, over
several connections from a third process: requests a second, and how long the slowest hundredth
took; each round is compared in itself, because the machine is not the same from one to the next.
Last, 500 clients follow one job, and one change has to reach them all.

The asking is done by wrk where it is installed (`apt-get install wrk`), which takes next to nothing
of the processors; without it by asyncio, which is slower than the bare application and so hides a
part of the difference.

The gateway is polled as clients poll: mostly nothing has changed. With ``--moving`` something in
the projection changes all the time (20 changes a second).
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import re
import shutil
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from typing import Any

import httpx
import structlog
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.guard.connections import Connection
from gateway.projection.cells import Document, Key
from gateway.server import listen, serve
from tests.gateway.house import CLIENT, House, settings

JOBS = 100_000
CONNECTIONS = 16
SECONDS = 2
ROUNDS = 7
FOLLOWERS = 500

_FORK = multiprocessing.get_context("spawn")


@dataclass(frozen=True)
class Figure:
    """Of one round against one server."""

    per_second: float
    p50_ms: float
    p99_ms: float


def populated(house: House, jobs: int) -> dict[str, str]:
    """A published track with its job, and so many others around them."""
    accepted = house.published()
    following = house.imported()
    document = house.store._document  # the fold's own documents, under other ids
    template = document(Key("job", "default", accepted["jobId"]))
    assert template is not None
    for start in range(0, jobs, 2_000):
        house.store.apply(
            Document(Key("job", "default", f"job_{number:032x}"), template.cells)
            for number in range(start, min(start + 2_000, jobs))
        )
    return {**{k: str(v) for k, v in accepted.items()}, "following": str(following["jobId"])}


def gateway_process(folder: str, jobs: int, moving: bool, pipe: Pipe) -> None:
    """The gateway, until the pipe says otherwise."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(30))
    house = House(Path(folder), settings=settings(ip_binding="off"))
    ids = populated(house, jobs)
    hanging = threading.Event()

    def check() -> None:
        if hanging.is_set():
            time.sleep(5)

    checks: Any = house.services.checks
    checks["log"] = check
    with serve(house.services, port=0) as server:
        house.base_url = server.url
        pipe.send((server.port, ids))
        stop = threading.Event()
        if moving:
            threading.Thread(target=_move, args=(house, stop), daemon=True).start()
        while (order := pipe.recv()) is not None:
            if order == "hang":
                hanging.set()
            else:
                house.progress(ids["following"], order)
            pipe.send(time.monotonic())
        stop.set()
    house.close()


def _move(house: House, stop: threading.Event) -> None:
    job, share = str(house.imported()["jobId"]), 0
    while not stop.wait(0.05):
        share = (share + 1) % 99
        house.progress(job, share / 100)


def bare_process(answers: dict[str, tuple[bytes, dict[str, str]]], pipe: Pipe) -> None:
    """Starlette with the same bytes and headers, under the same server settings."""

    def route(path: str, body: bytes, headers: dict[str, str]) -> Route:
        async def answer(request: Request) -> Response:
            return Response(body, headers=headers)

        return Route(path, answer)

    app = Starlette(routes=[route(path, *each) for path, each in answers.items()])
    listener = listen("127.0.0.1", 0)
    pipe.send(listener.getsockname()[1])
    config = uvicorn.Config(
        app,
        http=Connection,
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
    )
    server = uvicorn.Server(config)
    threading.Thread(target=_stopped_by, args=(pipe, server), daemon=True).start()
    server.run([listener])


def _stopped_by(pipe: Pipe, server: uvicorn.Server) -> None:
    pipe.recv()
    server.should_exit = True


@contextmanager
def process(target: Callable[..., None], *arguments: Any) -> Iterator[Pipe]:
    here, there = _FORK.Pipe()
    started = _FORK.Process(target=target, args=(*arguments, there), daemon=True)
    started.start()
    try:
        yield here
    finally:
        here.send(None)
        started.join(15)
        if started.is_alive():
            started.kill()


class Asking(asyncio.Protocol):
    """One connection that asks the same thing again as soon as it is answered."""

    def __init__(self, request: bytes, until: float, times: list[float], done: Any) -> None:
        self._request, self._until, self._times, self._done = request, until, times, done
        self._left = 0
        self._head = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._ask()

    def _ask(self) -> None:
        self._began = time.perf_counter()
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        if self._left == 0:
            self._head += data
            head, found, rest = self._head.partition(b"\r\n\r\n")
            if not found:
                return
            assert head.startswith(b"HTTP/1.1 200"), head
            length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
            self._left, self._head = int(length), b""
            data = rest
        self._left -= len(data)
        if self._left == 0:
            now = time.perf_counter()
            self._times.append(now - self._began)
            if now < self._until:
                self._ask()
            else:
                self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._done.done():
            self._done.set_result(exc)


def ask(port: int, path: str, seconds: int) -> Figure:
    """So many connections for so long."""
    wrk = shutil.which("wrk")
    return _by_wrk(wrk, port, path, seconds) if wrk else _by_asyncio(port, path, seconds)


def _by_wrk(wrk: str, port: int, path: str, seconds: int) -> Figure:
    headers = [word for name, value in CLIENT.items() for word in ("-H", f"{name}: {value}")]
    said = subprocess.run(
        [wrk, "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--latency", *headers,
         f"http://127.0.0.1:{port}{path}"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert "Non-2xx" not in said, said
    assert "Socket errors" not in said, said

    def found(pattern: str) -> re.Match[str]:
        match = re.search(pattern, said)
        assert match is not None, said
        return match

    def ms(share: int) -> float:
        number, unit = found(rf"{share}%\s+([\d.]+)(us|ms|s)").groups()
        return float(number) * {"us": 0.001, "ms": 1.0, "s": 1000.0}[unit]

    return Figure(float(found(r"Requests/sec:\s+([\d.]+)")[1]), ms(50), ms(99))


def _by_asyncio(port: int, path: str, seconds: int) -> Figure:
    head = "".join(f"{name}: {value}\r\n" for name, value in CLIENT.items())
    request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{head}\r\n".encode()
    times: list[float] = []

    async def run() -> None:
        loop = asyncio.get_running_loop()
        until = time.perf_counter() + seconds
        waits = []
        for _ in range(CONNECTIONS):
            done = loop.create_future()
            waits.append(done)
            await loop.create_connection(
                lambda done=done: Asking(request, until, times, done),  # type: ignore[misc]
                "127.0.0.1",
                port,
            )
        await asyncio.gather(*waits)

    asyncio.run(run())
    times.sort()
    return Figure(
        len(times) / seconds, 1000 * times[len(times) // 2], 1000 * times[int(len(times) * 0.99)]
    )


def compare(gateway: int, bare: int, path: str) -> tuple[float, float]:
    """The ratios of requests a second and of p99, medians over the rounds' own."""
    ask(gateway, path, 1), ask(bare, path, 1)
    ours, theirs = [], []
    for _ in range(ROUNDS):
        ours.append(ask(gateway, path, SECONDS))
        theirs.append(ask(bare, path, SECONDS))

    def median(figures: list[Figure], name: str) -> float:
        return float(statistics.median(getattr(each, name) for each in figures))

    for name, figures in (("gateway", ours), ("bare", theirs)):
        print(
            f"  {name:8} {median(figures, 'per_second'):7.0f} requests/s"
            f"  p50 {median(figures, 'p50_ms'):6.2f} ms  p99 {median(figures, 'p99_ms'):6.2f} ms"
        )
    pairs = list(zip(ours, theirs, strict=True))
    return (
        statistics.median(mine.per_second / other.per_second for mine, other in pairs),
        statistics.median(mine.p99_ms / other.p99_ms for mine, other in pairs),
    )


async def follow(port: int, job: str, change: Callable[[], float]) -> tuple[int, float]:
    """How many of the followers heard of a change, and how long the last one had to wait."""
    heard: list[float] = []
    ready = asyncio.Semaphore(0)

    async def one() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"GET /v1/jobs/{job}/events?clientId=b HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        await reader.readuntil(b"data: ")
        ready.release()
        await reader.readuntil(b"data: ")
        heard.append(time.monotonic())
        writer.close()

    tasks = [asyncio.create_task(one()) for _ in range(FOLLOWERS)]
    for _ in range(FOLLOWERS):
        await ready.acquire()
    changed_s = await asyncio.to_thread(change)
    await asyncio.wait(tasks, timeout=30)
    for task in tasks:
        task.cancel()
    return len(heard), max(heard, default=changed_s) - changed_s


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=JOBS)
    parser.add_argument("--moving", action="store_true", help="the projection changes meanwhile")
    given = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        process(gateway_process, folder, given.jobs, given.moving) as gateway,
    ):
        port, ids = gateway.recv()
        paths = [f"/v1/jobs/{ids['jobId']}", f"/v1/tracks/{ids['trackId']}/ready"]
        answers = {}
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=CLIENT) as http:
            for path in paths:
                answer = http.get(path)
                assert answer.status_code == 200, answer.text
                kept = {k: v for k, v in answer.headers.items() if k != "date"}
                answers[path] = (answer.content, kept)
        with process(bare_process, answers) as bare:
            bare_port = bare.recv()
            who = "wrk" if shutil.which("wrk") else "asyncio"
            print(f"{given.jobs} jobs in the projection, {CONNECTIONS} connections of {who}")
            for name, path in zip(("/v1/jobs/{id}", "/ready"), paths, strict=True):
                print(f"{name} ({len(answers[path][0])} bytes)")
                rate, slow = compare(port, bare_port, path)
                print(f"  ratio    {rate:7.2f} (target >= 0.6)     p99 {slow:.2f} (target <= 3)")

        def change() -> float:
            gateway.send(0.5)
            at: float = gateway.recv()
            return at

        heard, last_s = asyncio.run(follow(port, ids["following"], change))
        gateway.send("hang")
        gateway.recv()
        with httpx.Client(trust_env=False) as http:  # made before: it reads certificates
            http.get(f"http://127.0.0.1:{port}/healthz")
            began = time.monotonic()
            status = http.get(f"http://127.0.0.1:{port}/readyz").status_code
            took_s = time.monotonic() - began
        print(f"{heard} of {FOLLOWERS} followers heard of a change, the last after {last_s:.2f} s")
        print(f"/readyz with a dependency that hangs: {status} after {took_s:.2f} s (<= 1.6)")


if __name__ == "__main__":
    main()
