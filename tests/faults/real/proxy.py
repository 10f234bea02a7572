"""A TCP proxy that loses, delays and resets what goes through it."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

_RESET = struct.pack("ii", 1, 0)  # SO_LINGER with no time: close() sends RST


class Proxy:
    """Listens on a free port of the loopback and passes on to another. Close it."""

    def __init__(self) -> None:
        self.target = ("127.0.0.1", 0)
        self.delay_s = 0.0
        """Of every piece, in each direction."""
        self.open = True
        """False: what comes in is kept, new connections are not answered."""
        self.passed_bytes = 0
        self.connections = 0
        self.resets = 0
        self._writers: set[asyncio.StreamWriter] = set()
        self._flow = asyncio.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._thread.start()
        self._server = self._run(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self._loop.call_soon_threadsafe(self._flow.set)
        self.port = int(self._server.sockets[0].getsockname()[1])

    def cut(self) -> None:
        """Pass nothing on in either direction; connections stay as they are."""
        self.open = False
        self._loop.call_soon_threadsafe(self._flow.clear)

    def mend(self) -> None:
        """Pass on again, what was kept first."""
        self.open = True
        self._loop.call_soon_threadsafe(self._flow.set)

    def reset(self) -> int:
        """Break every connection with RST; how many."""
        broken: int = self._run(self._reset())
        return broken

    def close(self) -> None:
        """Break everything and stop."""
        self._run(self._reset())
        self._loop.call_soon_threadsafe(self._server.close)
        self._run(self._cancel())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def _run(self, act: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(act, self._loop).result(20)

    async def _cancel(self) -> None:
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _reset(self) -> int:
        broken = list(self._writers)
        self._writers.clear()
        for writer in broken:
            with suppress(OSError):
                writer.get_extra_info("socket").setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, _RESET
                )
            writer.transport.abort()
        self.resets += len(broken) // 2
        return len(broken) // 2

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        await self._flow.wait()
        try:
            to_reader, to_writer = await asyncio.open_connection(*self.target)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, to_writer}
        pumps = (self._pump(reader, to_writer), self._pump(to_reader, writer))
        try:
            await asyncio.gather(*pumps)
        finally:
            for each in (writer, to_writer):
                self._writers.discard(each)
                each.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(1 << 16):
                await asyncio.sleep(self.delay_s)
                await self._flow.wait()
                writer.write(data)
                await writer.drain()
                self.passed_bytes += len(data)
            writer.write_eof()
