"""Where the projection is kept: job and track documents that the events alone determine.

Nothing but events may be written here, so the store can be emptied and rebuilt at any time. What
the gateway decides itself (uploads, version counters, …) is in `reservations`.

The protocol asks no more than Cassandra gives: documents by key, lists by tenant in order of
creation, no joins, no transaction over several documents.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from gateway.projection.cells import Document, Key
from gateway.projection.extraction import Batch
from gateway.projection.job import Job, JobState
from gateway.projection.track import Track

Item = TypeVar("Item")


class StoreError(Exception):
    """The store could not do what was asked; the message names what and what to do."""

    code = "store_unavailable"


class BadCursor(StoreError):
    """The cursor is none that this store gave out."""

    code = "bad_cursor"


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    """Some items, newest first. ``cursor`` continues behind them, None at the end."""

    items: Sequence[Item]
    cursor: str | None


@dataclass(frozen=True, slots=True)
class Applied:
    """A document that an `ProjectionStore.apply` changed."""

    key: Key
    sequence: int
    before: Document | None
    after: Document


class ProjectionStore(Protocol):
    """Documents by key. Safe to share between threads; processes may open the same store."""

    def apply(self, changes: Iterable[Document]) -> Sequence[Applied]:
        """Merge changes into their documents, each document atomically, and say what changed.

        Idempotent: a change already contained is not written and not returned. Once it returns,
        every reader of the store sees the changes. Raises `StoreError`, after which any part of
        the batch may have been applied: apply it again.
        """

    def job(self, tenant: str, job_id: str) -> Job | None:
        """A job of this tenant."""

    def jobs(
        self,
        tenant: str,
        *,
        state: JobState | None = None,
        stage: str | None = None,
        since_ms: int | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> Page[Job]:
        """Jobs of a tenant, newest first: those in ``state``, at ``stage``, created at or after
        ``since_ms``. Raises `BadCursor`.
        """

    def track(self, tenant: str, track_id: str) -> Track | None:
        """A track of this tenant."""

    def tracks(
        self,
        tenant: str,
        *,
        since_ms: int | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> Page[Track]:
        """Tracks of a tenant, newest first. Raises `BadCursor`."""

    def batch(self, tenant: str, task_id: str) -> Batch | None:
        """A batch of this tenant, as it was asked for."""

    def items(
        self,
        tenant: str,
        task_id: str,
        *,
        state: JobState | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> Page[Job]:
        """Items of a batch in their order: those in ``state``. Raises `BadCursor`."""

    def tally(self, tenant: str, task_id: str) -> Mapping[JobState, int]:
        """How many items of a batch are in each state; states without any are left out."""

    def sequence(self) -> int:
        """The sequence of the newest change in this store; 0 when it is empty. Never falls."""

    def wait(self, after: int, timeout_s: float) -> int:
        """Block until something changed behind ``after`` (by any process) or the time is over;
        the sequence now. For a thread, not for an event loop.
        """

    def clear(self) -> None:
        """Remove every document, before a rebuild. The sequence goes on."""

    def dump(self) -> bytes:
        """Every document in canonical form: equal projections, equal bytes."""

    def check(self) -> None:
        """Raise `StoreError` unless the store can be read and written now."""

    def close(self) -> None:
        """Let go of everything. `wait` returns."""
