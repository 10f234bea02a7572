"""A receiver of webhooks that behaves as it is told: on a real socket, in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class Received:
    """A request as it came."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]


@dataclass(frozen=True, slots=True)
class Reply:
    """What is answered. ``hang``: nothing; ``reset``: the connection is cut."""

    status: int = 204
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    hang: bool = False
    reset: bool = False
    drip_s: float = 0.0
    """A byte of the body each so many seconds, for ever."""


OK = Reply()


class Receiver:
    """Listens on 127.0.0.1 (or another loopback address) and keeps what it was sent."""

    def __init__(self, reply: Callable[[Received], Reply] = lambda _: OK) -> None:
        self.reply = reply
        self.got: list[Received] = []
        self.taken: list[Received] = []  # answered with a 2xx
        self._changed = threading.Condition()
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0

    def url(self, path: str = "/hook") -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def wait(self, done: Callable[[], bool], timeout_s: float = 20.0) -> None:
        """Until ``done``, looked at after every request."""
        with self._changed:
            assert self._changed.wait_for(done, timeout_s), f"{len(self.got)} requests came"

    def ids(self) -> set[str]:
        return {each.id for each in self.taken}

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(5)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(
            asyncio.start_server(self._connected, "127.0.0.1", 0, backlog=1024)
        )
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()
        server.close()
        for writer in self._writers:
            writer.transport.abort()
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self._loop.run_until_complete(asyncio.sleep(0.01))  # connections close in callbacks
        self._loop.close()

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Known before its task runs: a connection of the last moment is closed like any other.
        self._writers.add(writer)
        task = self._loop.create_task(self._client(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                await self._request(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass  # canceled: the test is over
        finally:
            writer.close()
            self._writers.discard(writer)

    async def _request(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {
            name.lower(): value.strip()
            for name, _, value in (line.partition(":") for line in head[1:] if line)
        }
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        request = Received(head[0].split(" ")[1], headers, body)
        with self._changed:
            reply = self.reply(request)
            self.got.append(request)
            if 200 <= reply.status < 300 and not (reply.hang or reply.reset or reply.drip_s):
                self.taken.append(request)
            self._changed.notify_all()
        if reply.hang:
            await asyncio.sleep(3600)
        if reply.reset:
            writer.transport.abort()
            raise ConnectionAbortedError
        length = "" if reply.drip_s else f"Content-Length: {len(reply.body)}\r\n"
        more = "".join(f"{name}: {value}\r\n" for name, value in reply.headers)
        writer.write(f"HTTP/1.1 {reply.status} X\r\n{length}{more}\r\n".encode() + reply.body)
        await writer.drain()
        while reply.drip_s:
            writer.write(b".")
            await writer.drain()
            await asyncio.sleep(reply.drip_s)
