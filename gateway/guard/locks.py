"""One change of a track at a time in this process, so that a check and its act stay together."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from zlib import crc32

_STRIPES = 64
"""Tracks that share a stripe wait for each other; with the pool's 40 threads that is rare."""


class TrackLocks:
    """Locks by track.

    They hold within one process. Between gateways the log keeps what matters: version numbers are
    reserved by conditional writes, and a published version never changes.
    """

    def __init__(self) -> None:
        self._locks = tuple(threading.Lock() for _ in range(_STRIPES))

    @contextmanager
    def holding(self, tenant: str, track_id: str) -> Iterator[None]:
        """Hold a track's lock. Not reentrant."""
        with self._locks[crc32(f"{tenant}/{track_id}".encode()) % _STRIPES]:
            yield
