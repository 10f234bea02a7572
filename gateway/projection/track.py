"""A track as its events tell it: versions and the jobs that make them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from gateway.identifiers import VIDEO
from gateway.projection.cells import Cell, Document, Json
from gateway.projection.job import Failure, JobKind
from schemas.events import Artifact, Backend, Video

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
    needs_review: bool = False
    """Below the quality bar, and nobody has looked at it yet."""
    reasons: Sequence[str] = ()
    """Why it is below the bar, in sentences."""
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
class TrackVideo:
    """A video of the track. Its id is that of the job that renders it."""

    video_id: str
    version: int = 0
    """The published version that it shows; 0 while its request has not been seen."""
    wanted: Video | None = None
    state: Literal["open", "failed", "canceled", "succeeded"] = "open"
    error: Failure | None = None
    artifact: Artifact | None = None
    """The MP4, once it is made."""
    created_ms: int = 0
    made_ms: int | None = None


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
    """Those that make versions."""
    videos: Sequence[TrackVideo] = ()
    last_song: Mapping[str, Any] = field(default_factory=dict)
    """Of a channel of generated songs: its newest one."""
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


def track_of(document: Document) -> Track:
    """The track that a document's cells describe."""
    cells = document.cells
    jobs = _jobs(cells)
    asked = {job_id: cell.value for name, cell in cells.items() if (job_id := _named(name, "job/"))}
    drafts, published = _numbered(cells, "draft"), _numbered(cells, "published")
    # Before any version exists the lyrics are what the import said of them.
    requested: LyricsOrigin = next(
        (asked[job.job_id]["lyrics"] for job in jobs if job.job_id in asked), ""
    )
    versions: dict[int, Version] = {}
    for number in sorted(drafts.keys() | published.keys()):
        draft, made = drafts.get(number), published.get(number)
        version = _draft(number, draft) if draft else Version(number=number, state="draft")
        if made:
            version = _made(version, made)
        origin = asked.get(version.job_id, {}).get("lyrics", "kept")
        if origin == "kept":
            origin = "edited" if draft else _inherited(version, versions, requested)
        versions[number] = replace(version, lyrics_origin=origin)
    about = cells["about"].value if "about" in cells else {}
    newest = versions[max(versions)] if versions else None
    return Track(
        tenant=document.key.tenant,
        track_id=document.key.id,
        title=about.get("title", ""),
        artist=about.get("artist", ""),
        language=(newest.language if newest else "") or about.get("language", ""),
        duration_ms=about.get("durationMs", 0),
        lyrics_origin=newest.lyrics_origin if newest else requested,
        versions=tuple(versions.values()),
        jobs=jobs,
        videos=_videos(cells),
        last_song=cells["last"].value if "last" in cells else {},
        created_ms=cells["first"].value if "first" in cells else 0,
        updated_ms=cells["updated"].value if "updated" in cells else 0,
    )


def _named(name: str, prefix: str) -> str:
    return name.removeprefix(prefix) if name.startswith(prefix) else ""


def _numbered(cells: Mapping[str, Cell], kind: str) -> dict[int, Any]:
    """The values of ``version/<n>/<kind>`` by n."""
    parts = ((name.split("/"), cell.value) for name, cell in cells.items())
    return {int(p[1]): value for p, value in parts if p[0] == "version" and p[2] == kind}


def _jobs(cells: Mapping[str, Cell]) -> tuple[TrackJob, ...]:
    jobs = []
    for name, cell in cells.items():
        job_id = _named(name, "end/")
        if not job_id or _is_video(job_id):
            continue
        asked = cells[f"job/{job_id}"].value if f"job/{job_id}" in cells else {}
        why = cell.value.get("why")
        jobs.append(
            TrackJob(
                job_id=job_id,
                version=asked.get("version", 0),
                kind=asked.get("kind", ""),
                from_stage=asked.get("fromStage", ""),
                attempt=cell.value["attempt"],
                state=cell.value["state"],
                error=Failure(why["code"], why["message"], why["stage"]) if why else None,
                created_ms=asked.get("createdMs", 0),
            )
        )
    # Oldest first. Versions are given out in order, so they tell the order better than clocks do.
    return tuple(sorted(jobs, key=lambda job: (job.version, job.created_ms, job.job_id)))


def _is_video(job_id: str) -> bool:
    return job_id.startswith(f"{VIDEO}_")


def _videos(cells: Mapping[str, Cell]) -> tuple[TrackVideo, ...]:
    """Oldest first."""
    videos = []
    for name, cell in cells.items():
        video_id = _named(name, "end/")
        if not _is_video(video_id):
            continue
        asked, made = (
            cells[f"video/{video_id}/{part}"].value if f"video/{video_id}/{part}" in cells else {}
            for part in ("asked", "made")
        )
        why = cell.value.get("why")
        videos.append(
            TrackVideo(
                video_id=video_id,
                version=asked.get("version", 0),
                wanted=Video.from_wire(asked["video"]) if asked else None,
                state=cell.value["state"],
                error=Failure(why["code"], why["message"], why["stage"]) if why else None,
                artifact=_artifact(made.get("artifact")),
                created_ms=asked.get("createdMs", 0),
                made_ms=made.get("atMs"),
            )
        )
    return tuple(sorted(videos, key=lambda video: (video.created_ms, video.video_id)))


def _draft(number: int, draft: Json) -> Version:
    return Version(
        number=number,
        state="draft",
        parent=draft["parent"] or None,
        language=draft["language"],
        lyrics=_artifact(draft["lyrics"]),
        edited_ms=draft["atMs"],
    )


def _made(version: Version, made: Json) -> Version:
    artifacts = [Artifact.from_wire(artifact) for artifact in made["artifacts"]]
    return replace(
        version,
        state="published",
        parent=made["parent"] or version.parent,
        job_id=made["jobId"],
        language=made["language"] or version.language,
        lyrics=_artifact(made["lyrics"]) or version.lyrics,
        artifacts={artifact.name: artifact for artifact in artifacts},
        score=made["score"],
        needs_review=made.get("needsReview", False),
        reasons=tuple(made.get("reasons", ())),
        backends={stage: Backend.from_wire(wire) for stage, wire in made["backends"].items()},
        duration_ms=made["durationMs"],
        published_ms=made["atMs"],
    )


def _inherited(
    version: Version, older: Mapping[int, Version], requested: LyricsOrigin
) -> LyricsOrigin:
    """Where kept lyrics come from: the parent, or the version before where none is named, or what
    the import said where there is none (the first version was held back, then published).
    """
    from_version = older.get(version.parent) if version.parent else None
    if from_version is None and older:
        from_version = older[max(older)]
    return from_version.lyrics_origin if from_version else requested


def _artifact(wire: Json) -> Artifact | None:
    return None if wire is None else Artifact.from_wire(wire)
