"""What became of items, read beside the requests: releases, endings, cancels."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator

from topics.log import LogError, Reader, Record

_POLL_S = 0.5
_RECORDS = 1000
_JOIN_S = 5.0


class Follower:
    """A thread that reads topics whole and hands over what it finds. `wake` is called for it."""

    def __init__(self, reader: Reader, wake: Callable[[], None]) -> None:
        self._reader = reader
        self._wake = wake
        self._found: queue.SimpleQueue[Record | LogError] = queue.SimpleQueue()
        self._over = threading.Event()
        self._known = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="admission reader", daemon=True)
        self._thread.start()

    @property
    def known(self) -> bool:
        """True once everything that was written before this began is handed over or waits to be."""
        return self._known.is_set()

    def records(self) -> Iterator[Record]:
        """What came since the last call. Raises `LogError` when nothing more can be read."""
        while True:
            try:
                found = self._found.get_nowait()
            except queue.Empty:
                return
            if isinstance(found, LogError):
                raise found
            yield found

    def close(self) -> None:
        """Stop and let go."""
        self._over.set()
        self._reader.wake()
        self._thread.join(_JOIN_S)
        self._reader.close()

    def _follow(self) -> None:
        try:
            while not self._over.is_set():
                records = self._reader.poll(_POLL_S if self.known else 0.05, _RECORDS)
                for record in records:
                    self._found.put(record)
                fresh = not self.known and self._reader.caught_up()
                if fresh:
                    self._known.set()
                if records or fresh:
                    self._wake()
        except LogError as error:
            self._found.put(error)
            self._wake()
