"""Finding a track, and saying why nothing of it is published."""

from __future__ import annotations

from gateway.filenames import clean_filename
from gateway.guard.clients import Caller
from gateway.guard.problems import Code, Problem
from gateway.identifiers import MASTER
from gateway.projection.clips import CHANNEL
from gateway.projection.job import Job
from gateway.projection.store import Page
from gateway.projection.track import Track
from gateway.services import Services
from gateway.steps import step_of

_NO_TRACKS = (f"{MASTER}_", f"{CHANNEL}_", "clp_")
"""What is kept as a track and is none: masters, channels of generated songs, their clips."""

_MOST_PAGES = 20
"""Pages of others that one listing looks through before it hands out its cursor."""

RETRY_AFTER_S = 2
"""Asked of a client that polls; it should wait longer each time."""


def find_track(services: Services, caller: Caller, track_id: str) -> Track:
    """A track of the caller's tenant. Raises 404."""
    track = services.store.track(caller.tenant, track_id)
    if track is None or track_id.startswith(_NO_TRACKS):
        raise Problem(Code.TRACK_NOT_FOUND, f"There is no track '{track_id[:64]}'.")
    return track


def karaoke_tracks(
    services: Services,
    caller: Caller,
    *,
    published: bool | None,
    since_ms: int | None,
    cursor: str | None,
    limit: int,
) -> Page[Track]:
    """The caller's tracks, newest first. A page may be short: others may lie between. Raises
    `BadCursor`.
    """
    found: list[Track] = []
    for _ in range(_MOST_PAGES):
        page = services.store.tracks(
            caller.tenant, since_ms=since_ms, cursor=cursor, limit=limit - len(found)
        )
        cursor = page.cursor
        found += [
            track
            for track in page.items
            if not track.track_id.startswith(_NO_TRACKS)
            and published in (None, track.current is not None)
        ]
        if cursor is None or len(found) >= limit:
            break
    return Page(found, cursor)


def file_title(track: Track) -> str:
    """What files of a track are called, without a suffix."""
    return clean_filename(" - ".join(filter(None, (track.artist, track.title))) or track.track_id)


def unfinished(services: Services, track: Track) -> Problem:
    """409 for what needs a published version, while none is."""
    reason = unpublished(services, track)
    if reason.code is Code.TRACK_NOT_READY:
        return Problem(Code.TRACK_UNFINISHED, extra=reason.extra)
    return reason


def unpublished(services: Services, track: Track) -> Problem:
    """Why the track has no published version: 425 while a job may still make one, else 409."""
    about = track.pending or track.last_job
    job = services.store.job(track.tenant, about.job_id) if about is not None else None
    if job is None or not job.ended or job.state == "succeeded":
        return Problem(
            Code.TRACK_NOT_READY,
            _progress_in_words(track, job),
            headers={"Retry-After": str(RETRY_AFTER_S), "Cache-Control": "no-store"},
            extra=_where(job),
        )
    code = Code.TRACK_CANCELED if job.state == "canceled" else Code.TRACK_FAILED
    stage = (job.error.stage if job.error else "") or job.stage
    step = step_of(stage)
    reason = job.error.message if job.error else ""
    how = f"was canceled at {step}" if job.state == "canceled" else f"failed at {step}"
    return Problem(
        code,
        f"Job '{job.job_id}' {how}" + (f": {reason}" if reason else "."),
        extra=_where(job)
        | {
            "step": step,
            "reason": {"code": job.error.code if job.error else job.state, "message": reason},
        },
    )


def _where(job: Job | None) -> dict[str, object]:
    if job is None:
        return {}
    return {
        "jobId": job.job_id,
        "state": job.state,
        "stage": job.stage,
        "progress": round(job.progress, 4),
    }


def _progress_in_words(track: Track, job: Job | None) -> str:
    if job is None:
        return f"Track '{track.track_id}' is queued."
    step = step_of(job.stage)
    return f"Track '{track.track_id}' is {job.state} at {step}, {job.progress:.0%} done."
