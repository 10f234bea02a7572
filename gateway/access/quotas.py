"""What a tenant may have at once: jobs in work, a song's length, bytes kept.

Each is a setting for every tenant, with exceptions by name in ``QUOTAS``; 0 is no limit. Admins are
not held up by any.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from gateway.guard.clients import Caller
from gateway.guard.problems import Code, Problem
from gateway.projection.job import JobState
from gateway.projection.store import ProjectionStore
from gateway.settings import GatewaySettings
from schemas.work import SONG_SECONDS

RETRY_BUSY_S = 30
"""What a tenant with too many open jobs waits: a song of four minutes takes about 20 s."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a caller may have; None is no limit."""

    jobs: int | None = None
    song_s: float | None = None
    stored_bytes: int | None = None


def allowance(settings: GatewaySettings, caller: Caller) -> Allowance:
    """The caller's own, or everybody's."""
    if not caller.limited:
        return Allowance()
    own = settings.quotas.get(caller.tenant)
    jobs, song_s, stored = (
        (settings.quota_concurrent_jobs, settings.quota_song_seconds, settings.quota_stored_bytes)
        if own is None
        else (own.concurrent_jobs, own.song_seconds, own.stored_bytes)
    )
    return Allowance(jobs or None, song_s or None, stored or None)


def job_options(settings: GatewaySettings, caller: Caller) -> dict[str, str]:
    """What a job carries of the caller's allowance, for the stages that decode its song."""
    most_s = allowance(settings, caller).song_s
    return {} if most_s is None else {SONG_SECONDS: str(most_s)}


class Admissions:
    """Lets jobs in one at a time where a tenant may only have so many."""

    def __init__(self, settings: GatewaySettings, store: ProjectionStore) -> None:
        self._settings = settings
        self._store = store
        self._counting = threading.Lock()
        self._tenants: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)

    @contextmanager
    def job(self, caller: Caller, *, known: bool = False) -> Iterator[None]:
        """Accept a job in the block. ``known``: it was accepted by an earlier try. Raises 429.

        The tenant's lock is held until the job can be counted by the next one. Between gateways
        the quota can be passed by a job for each of them: it is about fairness, not safety.
        """
        most = allowance(self._settings, caller).jobs
        if most is None or known:
            yield
            return
        with self._counting:
            lock = self._tenants[caller.tenant]
        with lock:
            if self._open_jobs(caller.tenant, most) >= most:
                raise Problem(
                    Code.QUOTA_CONCURRENT_JOBS,
                    f"{most} jobs of this tenant are open, as many as it may have.",
                    headers={"Retry-After": str(RETRY_BUSY_S)},
                    extra={"quota": "concurrentJobs", "limit": most},
                )
            yield

    def _open_jobs(self, tenant: str, most: int) -> int:
        states: tuple[JobState, ...] = ("queued", "running")
        return sum(len(self._store.jobs(tenant, state=state, limit=most).items) for state in states)


def song_too_long(settings: GatewaySettings, caller: Caller, name: str, seconds: float) -> Problem:
    """The refusal of a song that is longer than its tenant may have."""
    most = allowance(settings, caller).song_s or 0
    return Problem(
        Code.QUOTA_SONG_LENGTH,
        f"'{name}' is {seconds:.0f} s long; songs of this tenant may have {most:g} s."
        " The object was removed.",
        extra={"quota": "songSeconds", "limit": most},
    )


def store_full(settings: GatewaySettings, caller: Caller, kept: int, size: int) -> Problem:
    """The refusal of an upload that the tenant has no room for."""
    most = allowance(settings, caller).stored_bytes or 0
    return Problem(
        Code.QUOTA_STORED_BYTES,
        f"The tenant keeps {kept} of {most} bytes; {size} more do not fit.",
        extra={"quota": "storedBytes", "limit": most, "kept": kept},
    )
