"""Fan-out of webhooks beside a bare async client to the same receiver, in one run.

Both POST the same bodies to the same process on this machine, as many at once; ours reads what is
owed from the log, signs, and writes down how each went. Rounds take turns, and the ratio is of the
medians. Run: ``python -m tests.bench.bench_delivery [--events 1500] [--rounds 3]``.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import multiprocessing
import tempfile
import time
from collections.abc import Sequence
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from statistics import median
from typing import Any

import httpx
import structlog

from processors.delivery.service import Deliveries
from schemas.webhooks import body_of
from tests.processors.delivery.post import Post, settings

ENDPOINTS = 8
AT_ONCE = 64
TARGET = 0.5
"""Of the bare client's rate (issue 9)."""


def receive(port: Any, count: Synchronized[int]) -> None:
    """A receiver that does next to nothing, in a process of its own."""

    class Hook(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            assert isinstance(transport, asyncio.Transport)
            self.transport = transport
            self.pending = b""

        def data_received(self, data: bytes) -> None:
            self.pending += data
            while (end := self.pending.find(b"\r\n\r\n")) >= 0:
                head = self.pending[:end].lower()
                length = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
                if len(self.pending) < end + 4 + length:
                    return
                self.pending = self.pending[end + 4 + length :]
                count.value += 1
                self.transport.write(b"HTTP/1.1 204 No Content\r\n\r\n")

    async def serve() -> None:
        server = await asyncio.get_running_loop().create_server(Hook, "127.0.0.1", 0, backlog=1024)
        port.put(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(serve())


async def bare(url: str, bodies: Sequence[bytes]) -> float:
    """Seconds of an async client that only posts."""
    limits = httpx.Limits(max_connections=AT_ONCE, max_keepalive_connections=AT_ONCE)
    waiting = list(bodies)
    async with httpx.AsyncClient(limits=limits, trust_env=False) as client:

        async def work() -> None:
            while waiting:
                answer = await client.post(url, content=waiting.pop())
                assert answer.status_code == 204

        begun = time.perf_counter()
        await asyncio.gather(*(work() for _ in range(AT_ONCE)))
        return time.perf_counter() - begun


def ours(folder: Path, url: str, events: int, count: Synchronized[int]) -> float:
    """Seconds from the notifications on the log to the last request at the receiver."""
    post = Post(folder)
    for number in range(ENDPOINTS):
        post.endpoint(number, f"{url}{number}")
    chosen = settings(
        folder, webhook_timeout_seconds=30.0, webhook_concurrency=AT_ONCE,
        webhook_endpoint_concurrency=AT_ONCE,
    )  # fmt: skip
    worker = Deliveries(
        chosen, log=post.log, artifacts=post.artifacts, keys=post.keys, name="bench"
    )
    with worker:
        time.sleep(1.0)  # as a running product: the group is formed, nothing is owed
        goal = count.value + events
        notices = post.notices(events // ENDPOINTS)
        begun = time.perf_counter()
        post.write(*notices)
        while count.value < goal:
            time.sleep(0.002)
        took = time.perf_counter() - begun
    post.close()
    return took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1600, help="requests of a round")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    events = options.events // ENDPOINTS * ENDPOINTS
    context = multiprocessing.get_context("spawn")
    port, count = context.Queue(), context.Value("i", 0)
    receiver = context.Process(target=receive, args=(port, count), daemon=True)
    receiver.start()
    url = f"http://127.0.0.1:{port.get()}/hook"
    times: dict[str, list[float]] = {"bare": [], "ours": []}
    try:
        with tempfile.TemporaryDirectory() as folder:
            for number in range(options.rounds + 1):  # the first one warms up
                (Path(folder) / str(number)).mkdir()
                post_folder = Path(folder) / str(number)
                mine = ours(post_folder, url, events, count)
                post = Post(post_folder)
                bodies = [body_of(each).encode() for each in post.notices(events)]
                post.close()
                theirs = asyncio.run(bare(url, bodies))
                if number:
                    times["ours"].append(mine)
                    times["bare"].append(theirs)
    finally:
        receiver.terminate()
        receiver.join()
    rates = {name: events / median(seconds) for name, seconds in times.items()}
    ratio = rates["ours"] / rates["bare"]
    print(f"{events} requests to {ENDPOINTS} endpoints, {AT_ONCE} at once, {options.rounds} rounds")
    print(f"bare httpx loop   {rates['bare']:8.0f} /s")
    print(f"deliveries        {rates['ours']:8.0f} /s")
    print(f"ratio             {ratio:8.2f}   (target {TARGET}: {ratio >= TARGET})")


if __name__ == "__main__":
    main()
