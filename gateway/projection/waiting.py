"""Threads that wait for a store to change."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from gateway.projection.store import StoreError


class Waiting:
    """Waits for a number to grow: own writes wake at once, those of other processes are looked for.

    Safe to share between threads.
    """

    def __init__(self, look_s: float) -> None:
        """``look_s`` is how often other processes' writes are looked for, in seconds."""
        self._look_s = look_s
        self._changed = threading.Condition()
        self._woken = 0
        self._closed = False

    def wake(self) -> None:
        """This process wrote: whoever waits looks now."""
        with self._changed:
            self._woken += 1
            self._changed.notify_all()

    def close(self) -> None:
        """Nobody waits any longer."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def until(self, sequence: Callable[[], int], after: int, timeout_s: float) -> int:
        """Block until ``sequence`` answers more than ``after``, the time is over or `close`; its
        last answer. Raises what it raises, but for a `StoreError` of a store that was closed.
        """
        deadline = time.monotonic() + timeout_s
        now = -1
        while True:
            woken = self._woken  # before looking: what is written after the look raises it
            try:
                now = max(now, sequence())
            except StoreError:
                if not self._closed:
                    raise
            left_s = deadline - time.monotonic()
            if now > after or left_s <= 0 or self._sleep(woken, min(left_s, self._look_s)):
                return now

    def _sleep(self, woken: int, timeout_s: float) -> bool:
        """True when it is over."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._woken != woken, timeout_s)
            return self._closed
