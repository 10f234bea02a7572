"""One change of a track at a time, so that a check and its act stay together.

Within a process a lock does it. Between gateways a claim does: a conditional row of the
reservations that names what only one request may do, such as editing version 3 of a track. Who
comes second waits until the first change can be read, and is then judged by it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar
from zlib import crc32

import structlog

from gateway.guard.problems import Code, Problem
from gateway.projection.reservations import Answer, InFlight, Mine, Reservations, Reserved
from gateway.projection.store import StoreError
from gateway.projection.track import Track
from topics.log import Doubtful

_STRIPES = 64
"""Tracks that share a stripe wait for each other; with the pool's 40 threads that is rare."""

_PATIENCE_S = 5.0
"""Longest wait for another gateway's change: a change takes tens of milliseconds."""

_PAUSE_S = 0.05
_HOLDER = "holder"

_log = structlog.get_logger("gateway")

Done = TypeVar("Done")


class Taken(Exception):
    """Another request claimed this, and what it did cannot be read yet."""


class TrackLocks:
    """Changes of tracks, one at a time. Safe to share between threads and between gateways."""

    def __init__(
        self,
        reservations: Reservations,
        clock_ms: Callable[[], int],
        *,
        monotonic_s: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._reservations = reservations
        self._clock_ms = clock_ms
        self._monotonic_s = monotonic_s
        self._sleep = sleep
        self._locks = tuple(threading.Lock() for _ in range(_STRIPES))

    @contextmanager
    def holding(self, tenant: str, track_id: str) -> Iterator[None]:
        """Hold a track's lock in this process. Not reentrant."""
        with self._locks[crc32(f"{tenant}/{track_id}".encode()) % _STRIPES]:
            yield

    def change(self, tenant: str, track_id: str, act: Callable[[], Done]) -> Done:
        """Read, check and change a track: ``act``, again from its start when a claim in it was
        taken by another gateway. Raises 409 when that one's change does not come to an end.
        """
        deadline_s = self._monotonic_s() + _PATIENCE_S
        while True:
            try:
                with self.holding(tenant, track_id):
                    return act()
            except Taken:
                if self._monotonic_s() >= deadline_s:
                    raise Problem(
                        Code.TRACK_CHANGING,
                        f"Another change of track '{track_id}' has not come to an end.",
                        headers={"Retry-After": "5"},
                    ) from None
            self._sleep(_PAUSE_S)

    @contextmanager
    def claiming(self, tenant: str, track_id: str, what: str, seed: str) -> Iterator[None]:
        """Accept, in the block, what only one request may do to a track. Raises `Taken`.

        ``seed`` tells the tries of one request from other requests. The claim of a gateway that
        died, or of which nobody knows whether it was accepted, lapses after
        `gateway.projection.reservations.LAPSE_MS`; the projection shows by then what became of it.
        """
        key = f"claim:{track_id}:{what}"
        claimed = self._reservations.reserve(tenant, key, what, {_HOLDER: seed}, self._clock_ms())
        if not isinstance(claimed, Mine) and _holder(claimed) != seed:
            raise Taken(what)
        try:
            yield
        except Doubtful:
            raise  # it may have been accepted
        except Exception:
            self._reservations.release(tenant, key)
            raise
        try:
            done = Answer(200, {_HOLDER: seed})
            self._reservations.complete(tenant, key, done, self._clock_ms())
        except StoreError as error:  # it is accepted all the same; the claim lapses instead
            _log.warning("a claim was not settled", claim=key, failure=repr(error))

    @contextmanager
    def excluding(self, tenant: str, track_id: str, what: str, seed: str) -> Iterator[None]:
        """Do something in the block that leaves the claim to others, but not at the same time.
        Raises `Taken` when somebody has claimed it.
        """
        key = f"claim:{track_id}:{what}"
        claimed = self._reservations.reserve(tenant, key, what, {_HOLDER: seed}, self._clock_ms())
        if not isinstance(claimed, Mine) and _holder(claimed) != seed:
            raise Taken(what)
        try:
            yield
        finally:
            try:
                self._reservations.release(tenant, key)
            except StoreError as error:  # it lapses
                _log.warning("a claim was not released", claim=key, failure=repr(error))


def _holder(claimed: Reserved) -> str | None:
    """Whose claim it is. An earlier try of the same request, of which nobody knows whether it was
    accepted, does not stand in the way of the next: both make the same ids.
    """
    match claimed:
        case Answer():
            holder = claimed.body[_HOLDER]
        case InFlight():
            holder = claimed.ids.get(_HOLDER)
        case _:
            return None
    return holder if isinstance(holder, str) else None


def edit_of(version: int) -> str:
    """The claim to be the edit of a version: a second one would never have seen the first."""
    return f"edit {version}"


def work_on(track: Track | None, version: int) -> str:
    """The claim to work on a version next, after every try that the track shows: two jobs must not
    publish one version, and one job must not be retried twice.
    """
    jobs = track.jobs if track is not None else ()
    return f"work {version} after {sum(job.attempt for job in jobs if job.version == version)}"
