"""A track as its events tell it: versions and the jobs that make them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from gateway.projection.job import Failure, JobKind
from schemas.events import Artifact, Backend

LyricsOrigin = Literal["given", "transcribed", "edited", ""]


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """One version of a track. A published one never changes."""

    number: int
    state: Literal["draft", "published"]
    parent: int | None = None
    """The version it was made from, where an event says so."""
    job_id: str = ""
    """The job that published it; empty for a draft."""
    language: str = ""
    """BCP 47; empty when unknown."""
    lyrics: Artifact | None = None
    """The lyrics document (lyrics/1)."""
    lyrics_origin: LyricsOrigin = ""
    artifacts: Mapping[str, Artifact] = field(default_factory=dict)
    """By name: karaoke, minus, vocals, mix, … Empty for a draft."""
    score: float | None = None
    """Quality from 0 to 1; None for a draft."""
    backends: Mapping[str, Backend] = field(default_factory=dict)
    """By stage. Empty for a draft."""
    duration_ms: int = 0
    edited_ms: int | None = None
    """When a person made the draft, Unix time."""
    published_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackJob:
    """A job of the track: open until it ended. Its details are in the job's own document."""

    job_id: str
    version: int = 0
    """The version it reserved."""
    kind: JobKind = ""
    from_stage: str = ""
    attempt: int = 1
    state: Literal["open", "failed", "canceled", "succeeded"] = "open"
    error: Failure | None = None
    created_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """A track with all its versions and jobs, oldest first."""

    tenant: str
    track_id: str
    title: str = ""
    artist: str = ""
    language: str = ""
    duration_ms: int = 0
    """0 until a version is published."""
    lyrics_origin: LyricsOrigin = ""
    """Where the newest version's lyrics come from."""
    versions: Sequence[Version] = ()
    jobs: Sequence[TrackJob] = ()
    created_ms: int = 0
    updated_ms: int = 0

    @property
    def current(self) -> Version | None:
        """The greatest published version."""
        return next((v for v in reversed(self.versions) if v.state == "published"), None)

    @property
    def newest(self) -> Version | None:
        """The greatest version, drafts included: what If-Match compares with."""
        return self.versions[-1] if self.versions else None

    @property
    def pending(self) -> TrackJob | None:
        """The open job with the greatest reserved version."""
        waiting = [job for job in self.jobs if job.state == "open"]
        return max(waiting, key=lambda job: (job.version, job.job_id)) if waiting else None

    @property
    def last_job(self) -> TrackJob | None:
        """The job that was asked for last."""
        return self.jobs[-1] if self.jobs else None

    @property
    def highest(self) -> int:
        """The greatest version number seen, reserved ones included: a floor for the next one."""
        return max(
            [*(version.number for version in self.versions), *(job.version for job in self.jobs)],
            default=0,
        )

    def version(self, number: int) -> Version | None:
        """The version of that number."""
        return next((v for v in self.versions if v.number == number), None)
