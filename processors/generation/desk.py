"""What a move towards the provider works with: everything that is not the event."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from processors.generation import timing
from processors.generation.fetching import Fetcher
from processors.generation.marks import Marks
from processors.generation.provider import Provider
from processors.generation.tickets import Tickets
from schemas.events import GenerationUpdated, Work
from topics.artifacts.protocol import ArtifactStore


@dataclass(frozen=True, slots=True)
class Desk:
    """Provider, store, clock and chance."""

    provider: Provider
    account: str
    store: ArtifactStore
    tickets: Tickets
    fetcher: Fetcher
    folder: Path
    now_ms: Callable[[], int]
    rng: random.Random
    default_model: str
    time_ms: int = 600_000
    """What a job has from its request: ten minutes, the first service's promise."""

    def is_over(self, requested_ms: int) -> bool:
        """Whether the time of a job is over."""
        return timing.over(requested_ms, self.now_ms(), self.time_ms)

    def marks(self, work: Work) -> Marks:
        """The marks of a job."""
        return Marks(self.store, work.tenant, work.job_id, work.attempt)


def updated(
    work: Work,
    channel_id: str,
    stage: int,
    *,
    sequence: int = 0,
    task_id: str = "",
    code: str = "",
    detail: str = "",
    status: str = "",
    next_ms: int = 0,
    sends: int = 0,
    reads: int = 0,
    callback: bool = False,
) -> GenerationUpdated:
    """Where the job of ``work`` stands."""
    return GenerationUpdated(
        job_id=work.job_id,
        track_id=work.track_id,
        tenant=work.tenant,
        attempt=work.attempt,
        channel_id=channel_id,
        stage=stage,
        sequence=sequence,
        task_id=task_id,
        code=code,
        detail=detail,
        status=status,
        next_ms=next_ms,
        sends=sends,
        reads=reads,
        callback=callback,
    )
