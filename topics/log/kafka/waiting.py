"""A bound on calls that may never return."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Hung(Exception):
    """The call did not return in time. It may still be running, on its own thread."""


class Call(Generic[T]):
    """Work on its way; ``done`` is set when it has returned or raised."""

    def __init__(self, work: Callable[[], T]) -> None:
        self.work = work
        self.done = threading.Event()
        self.result: T | None = None
        self.error: BaseException | None = None


class Caller:
    """Runs calls on one thread of its own, one after another, and waits for each so long.

    ``send_offsets_to_transaction`` does not keep to its time-out while the group's coordinator is
    away (librdkafka #5456, #5511), and the thread that polls must not stand still for that.
    """

    def __init__(self, name: str) -> None:
        self._calls: queue.SimpleQueue[Call[Any] | None] = queue.SimpleQueue()
        threading.Thread(target=self._serve, name=name, daemon=True).start()

    def _serve(self) -> None:
        while (call := self._calls.get()) is not None:
            try:
                call.result = call.work()
            except BaseException as error:
                call.error = error
            call.done.set()

    def begin(self, work: Callable[[], T]) -> Call[T]:
        """Have ``work`` done when those before it are."""
        call = Call(work)
        self._calls.put(call)
        return call

    def result(self, call: Call[T], timeout_s: float) -> T:
        """What its work returns or raises; `Hung` after ``timeout_s``, and then no more calls."""
        if not call.done.wait(timeout_s):
            self.close()
            raise Hung
        if call.error is not None:
            raise call.error
        return call.result  # type: ignore[return-value]

    def run(self, work: Callable[[], T], timeout_s: float) -> T:
        """Have ``work`` done and wait for it: see `result`."""
        return self.result(self.begin(work), timeout_s)

    def close(self) -> None:
        """End the thread after the call that it is in."""
        self._calls.put(None)
