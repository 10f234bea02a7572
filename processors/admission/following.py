"""What became of items, read beside the requests: releases, endings, cancels."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator

from topics.log import LogError, Reader, Record

_POLL_S = 0.5
_BEGINNING_S = 0.05
_RECORDS = 1000
_JOIN_S = 5.0
_AHEAD = 5000  # records that wait to be taken in; a successor may have millions to read
_FULL_S = 0.1


class Follower:
    """A thread that reads topics whole and hands over what it finds. `wake` is called for it."""

    def __init__(self, reader: Reader, wake: Callable[[], None]) -> None:
        self._reader = reader
        self._wake = wake
        self._found: queue.Queue[Record | LogError] = queue.Queue(_AHEAD)
        self._over = threading.Event()
        self._known = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="admission reader", daemon=True)
        self._thread.start()

    @property
    def known(self) -> bool:
        """True once everything that was written before this began is handed over."""
        return self._known.is_set() and self._found.empty()

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
                known = self._known.is_set()
                records = self._reader.poll(_POLL_S if known else _BEGINNING_S, _RECORDS)
                for record in records:
                    self._put(record)
                fresh = not known and self._reader.caught_up()
                if fresh:
                    self._known.set()
                if records or fresh:
                    self._wake()
        except LogError as error:
            self._put(error)
            self._wake()

    def _put(self, found: Record | LogError) -> None:
        while not self._over.is_set():
            try:
                self._found.put(found, timeout=_FULL_S)
            except queue.Full:
                self._wake()
            else:
                return
