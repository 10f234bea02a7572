"""Which job an event belongs to, for events that carry their work and for those that name it."""

from __future__ import annotations

from dataclasses import dataclass

from schemas.events import Event, Work


@dataclass(frozen=True, slots=True)
class Job:
    """Identity of one attempt at a job."""

    job_id: str
    track_id: str
    tenant: str
    attempt: int
    length_s: float = 0.0  # of the material; 0 while nobody knows
    force: bool = False
    version: int = 0
    callback_id: str = ""
    replay_id: str = ""

    def fields(self) -> dict[str, str | int]:
        """The fields that every event about a job begins with."""
        return {
            "job_id": self.job_id,
            "track_id": self.track_id,
            "tenant": self.tenant,
            "attempt": self.attempt,
        }

    def told(self) -> dict[str, str | int]:
        """What those who tell of its end need to know besides, wherever its request is by then."""
        return {
            "version": self.version,
            "callback_id": self.callback_id,
            "replay_id": self.replay_id,
        }


def job_of(event: Event) -> Job | None:
    """The job of an event; None for events that belong to none (an upload, an edit)."""
    work = getattr(event, "work", None)
    if isinstance(work, Work):
        return Job(
            job_id=work.job_id,
            track_id=work.track_id,
            tenant=work.tenant,
            attempt=work.attempt,
            length_s=work.duration_ms / 1000,
            force=work.force,
            version=work.version,
            callback_id=work.callback_id,
            replay_id=work.replay_id,
        )
    job_id = getattr(event, "job_id", "")
    if not job_id:
        return None
    return Job(
        job_id=job_id,
        track_id=getattr(event, "track_id", ""),
        tenant=getattr(event, "tenant", "default"),
        attempt=getattr(event, "attempt", 1),
    )
