"""Tells waiting requests that the projection moved: one thread looks, any number of them wait."""

from __future__ import annotations

import asyncio
import threading

import structlog

from gateway.projection.store import ProjectionStore, StoreError

_LOOK_S = 0.2
"""Longest look at the store in one piece, so that closing is quick."""

_log = structlog.get_logger("gateway")


class Changes:
    """Wakes requests when anything was folded, by this process or another."""

    def __init__(self, store: ProjectionStore) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._waiting: set[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = set()
        self._thread: threading.Thread | None = None
        self._closed = threading.Event()
        self._mark = -1

    @property
    def closed(self) -> bool:
        """True once the gateway is going down: streams end."""
        return self._closed.is_set()

    def mark(self) -> int:
        """Where the projection stands. Take it before reading, give it to `wait` after."""
        with self._lock:
            if self._thread is None and not self.closed:
                self._thread = threading.Thread(target=self._watch, name="changes", daemon=True)
                self._thread.start()
            return self._mark

    async def wait(self, mark: int, timeout_s: float) -> None:
        """Return once anything changed behind ``mark``, after ``timeout_s``, or on closing."""
        ticket = (asyncio.get_running_loop(), asyncio.Event())
        with self._lock:
            if self.closed or self._mark != mark:
                return
            self._waiting.add(ticket)
        try:
            async with asyncio.timeout(timeout_s):
                await ticket[1].wait()
        except TimeoutError:
            pass
        finally:
            with self._lock:
                self._waiting.discard(ticket)

    def _watch(self) -> None:
        seen = -1
        while not self.closed:
            try:
                now = self._store.sequence() if seen < 0 else self._store.wait(seen, _LOOK_S)
            except StoreError as error:
                if not self.closed:
                    _log.warning("the projection cannot be watched", failure=repr(error))
                self._closed.wait(_LOOK_S)
                continue
            if now != seen:
                seen = now
                self._wake(now)

    def _wake(self, mark: int) -> None:
        with self._lock:
            self._mark = mark
            waiting, self._waiting = self._waiting, set()
        for loop, event in waiting:
            if not loop.is_closed():
                loop.call_soon_threadsafe(event.set)

    def close(self) -> None:
        """Wake everybody for the last time."""
        self._closed.set()
        self._wake(-1)
        if self._thread is not None:
            self._thread.join()
