"""Tracks: import, poll, follow, fetch."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field, field_validator
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse

from gateway.api import lyrics, track_list, versions, video
from gateway.api.dependencies import ServicesDep, Wire, accepted_job, once
from gateway.api.given import LYRICS_FORMAT, LYRICS_TIMES, LyricsFormat, LyricsTimes, given
from gateway.api.job_views import JobView, job_snapshot, job_view
from gateway.api.jobs import EVENT_STREAM, JobAccepted, LastEventId
from gateway.api.media import Link, link
from gateway.api.track_list import PendingJob
from gateway.api.versions import VersionView, version_view
from gateway.guard.clients import Caller, CallerDep
from gateway.guard.idempotency import Attempt, IdempotencyKey
from gateway.guard.preconditions import etag
from gateway.guard.problems import Code, Problem
from gateway.guard.responses import documented
from gateway.importing import Import, import_track
from gateway.projection.reservations import Answer
from gateway.projection.track import Track, Version
from gateway.services import Services
from gateway.streaming import Snapshot, stream
from gateway.tracks import file_title, find_track, unfinished, unpublished
from schemas.documents.karaoke import KaraokeDocument, Quality

LANGUAGE = r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$"
"""BCP 47 as far as its shape goes."""

MAX_WAIT_S = 30
"""Longest held poll; proxies commonly cut at 60 s."""

_NO_STORE = {"Cache-Control": "no-store"}


class ImportRequest(Wire):
    """A track to make."""

    asset_id: str = Field(
        min_length=1, max_length=128, examples=["ast_0a1b2c3d4e5f60718293a4b5c6d7e8f9"]
    )
    lyrics: str | None = Field(
        default=None,
        description="One line a line; without lyrics they are recognised.",
        examples=["Twinkle, twinkle, little star\nHow I wonder what you are"],
    )
    lyrics_format: LyricsFormat = LYRICS_FORMAT
    lyrics_times: LyricsTimes = LYRICS_TIMES
    language: str | None = Field(default=None, pattern=LANGUAGE, examples=["en"])
    title: str | None = Field(default=None, max_length=300, examples=["The Star"])
    artist: str | None = Field(default=None, max_length=300, examples=["Jane Taylor"])
    callback_url: str | None = Field(
        default=None, description="https address that is told of track.ready and job.failed."
    )

    @field_validator("title", "artist")
    @classmethod
    def _one_line(cls, value: str | None) -> str | None:
        return " ".join(value.split()) if value is not None else None


class TrackReady(Wire):
    """A published version with everything that a player needs."""

    track_id: str
    version: int
    minus_url: str
    vocals_url: str
    expires_at: str | None = Field(default=None, description="Until when the URLs work.")
    lyrics: KaraokeDocument
    qc: Quality
    needs_review: bool = Field(
        default=False, description="Below the quality bar; qc.reasons says why in words."
    )
    backends: dict[str, str] = Field(
        default_factory=dict, description="Which backend did each step: light, full or given."
    )
    pending: PendingJob | None = None


class Assets(Wire):
    """The media of the published version."""

    track_id: str
    version: int
    minus: Link
    vocals: Link
    mix: Link


class TrackView(Wire):
    """A track at a glance."""

    track_id: str
    title: str | None = None
    artist: str | None = None
    language: str | None = None
    duration_ms: int | None = None
    version: int | None = Field(default=None, description="The published version.")
    newest_version: int | None = Field(default=None, description="Drafts included.")
    needs_review: bool | None = Field(
        default=None, description="The published version is below the quality bar."
    )
    reasons: list[str] | None = Field(default=None, description="Why it is below the bar.")
    versions: list[VersionView] = Field(default_factory=list)
    job: JobView | None = Field(default=None, description="The job in work, or the last one.")


router = APIRouter(tags=["tracks"])
router.include_router(track_list.router)
router.include_router(lyrics.router)
router.include_router(versions.router)
router.include_router(video.router)


@router.post(
    "/tracks/import",
    status_code=202,
    response_model=JobAccepted,
    summary="Make a karaoke track",
    responses=documented(
        Code.ASSET_NOT_FOUND,
        Code.UPLOAD_NOT_AUDIO,
        Code.LYRICS_WITHOUT_WORDS,
        Code.LYRICS_TOO_LONG,
        Code.LYRICS_UNREADABLE,
        Code.CALLBACK_REFUSED,
        Code.IDEMPOTENCY_KEY_REUSED,
        Code.IDEMPOTENCY_IN_FLIGHT,
        Code.MALFORMED_JSON,
    ),
)
def start(
    request: Request,
    body: ImportRequest,
    services: ServicesDep,
    caller: CallerDep,
    idempotency_key: IdempotencyKey = None,
) -> JSONResponse:
    """Separates the song, aligns its lyrics (recognising them first when none are given), checks
    the result and publishes version 1.
    """

    def work(attempt: Attempt) -> Answer:
        wanted = Import(
            asset_id=body.asset_id,
            lyrics=given(body.lyrics, body.lyrics_format, body.lyrics_times),
            language=body.language or "",
            title=body.title or "",
            artist=body.artist or "",
            callback_url=body.callback_url or "",
        )
        made = import_track(services, caller, wanted, attempt)
        return accepted_job(made.job_id, trackId=made.track_id, version=made.version)

    return once(request, services, caller, idempotency_key, body, work)


@router.head("/tracks/{track_id}", include_in_schema=False)
@router.get(
    "/tracks/{track_id}",
    response_model=TrackView,
    response_model_exclude_none=True,
    summary="See a track",
    responses=documented(Code.TRACK_NOT_FOUND),
)
def look(track_id: str, services: ServicesDep, caller: CallerDep, response: Response) -> TrackView:
    """Its versions and the job that is making the next one."""
    response.headers.update(_NO_STORE)
    return _view(services, find_track(services, caller, track_id))


@router.head("/tracks/{track_id}/ready", include_in_schema=False)
@router.get(
    "/tracks/{track_id}/ready",
    response_model=TrackReady,
    summary="Get the published version, or wait for the first",
    responses=documented(
        Code.TRACK_NOT_READY, Code.TRACK_FAILED, Code.TRACK_CANCELED, Code.TRACK_NOT_FOUND
    ),
)
async def ready(
    track_id: str,
    services: ServicesDep,
    caller: CallerDep,
    wait: Annotated[
        float, Query(ge=0, le=MAX_WAIT_S, description="Hold the answer up to so many seconds.")
    ] = 0,
) -> Response:
    """425 with Retry-After until the first version is published. Poll ever less often, or wait."""
    clock = asyncio.get_running_loop().time
    deadline = clock() + wait
    while True:
        mark = services.changes.mark()
        try:
            return await run_in_threadpool(_ready, services, caller, track_id)
        except Problem as problem:
            left = deadline - clock()
            if problem.code is not Code.TRACK_NOT_READY or left <= 0 or services.changes.closed:
                raise
            await services.changes.wait(mark, left)


@router.head("/tracks/{track_id}/assets", include_in_schema=False)
@router.get(
    "/tracks/{track_id}/assets",
    response_model=Assets,
    response_model_exclude_none=True,
    summary="Get links to the stems",
    responses=documented(Code.TRACK_NOT_FOUND, Code.TRACK_UNFINISHED, Code.TRACK_FAILED),
)
def assets(track_id: str, services: ServicesDep, caller: CallerDep, response: Response) -> Assets:
    """Short-lived links to the backing track, the vocals and the mix of the published version."""
    track = find_track(services, caller, track_id)
    version = _published(services, track)
    response.headers.update(_NO_STORE | {"ETag": etag(version.number)})
    title = file_title(track)
    return Assets(
        track_id=track_id,
        version=version.number,
        **{
            name: link(services, caller, version.artifacts[name], title)
            for name in ("minus", "vocals", "mix")
        },
    )


@router.get(
    "/tracks/{track_id}/events",
    response_class=Response,
    summary="Follow a track",
    responses=EVENT_STREAM | documented(Code.TRACK_NOT_FOUND),
)
async def events(
    track_id: str, services: ServicesDep, caller: CallerDep, last_event_id: LastEventId = None
) -> Response:
    """The track's versions and job now and after each change. The stream stays open: a person may
    edit the lyrics at any time.
    """

    def read() -> Snapshot:
        return _snapshot(services, find_track(services, caller, track_id))

    return await stream(
        read,
        services.changes,
        last_event_id=last_event_id,
        heartbeat_s=services.settings.sse_heartbeat_seconds,
    )


def _ready(services: Services, caller: Caller, track_id: str) -> Response:
    track = find_track(services, caller, track_id)
    version = track.current
    if version is None:
        raise unpublished(services, track)
    document = services.documents.karaoke(version.artifacts["karaoke"])
    title = file_title(track)
    minus = link(services, caller, version.artifacts["minus"], title)
    vocals = link(services, caller, version.artifacts["vocals"], title)
    pending = track.pending
    answer: dict[str, Any] = {
        "trackId": track_id,
        "version": version.number,
        "minusUrl": minus.url,
        "vocalsUrl": vocals.url,
        "lyrics": document.model_dump(mode="json"),
        "qc": document.qc.model_dump(mode="json"),
        "needsReview": document.qc.needs_review,
        "backends": {name: backend.name for name, backend in version.backends.items()},
    }
    if minus.expires_at is not None:
        answer["expiresAt"] = minus.expires_at
    if pending is not None:
        answer["pending"] = {"jobId": pending.job_id, "version": pending.version}
    # The links are the caller's own: nothing between may keep the answer.
    return JSONResponse(answer, headers=_NO_STORE | {"ETag": etag(version.number)})


def _published(services: Services, track: Track) -> Version:
    if track.current is None:
        raise unfinished(services, track)
    return track.current


def _view(services: Services, track: Track) -> TrackView:
    about = track.pending or track.last_job
    job = services.store.job(track.tenant, about.job_id) if about else None
    return TrackView(
        track_id=track.track_id,
        title=track.title or None,
        artist=track.artist or None,
        language=track.language or None,
        duration_ms=track.duration_ms or None,
        version=track.current.number if track.current else None,
        newest_version=track.newest.number if track.newest else None,
        needs_review=track.current.needs_review if track.current else None,
        reasons=list(track.current.reasons) or None if track.current else None,
        versions=[version_view(version) for version in track.versions],
        job=job_view(job, services.clock_ms()) if job else None,
    )


def _snapshot(services: Services, track: Track) -> Snapshot:
    view = _view(services, track)
    about = track.pending or track.last_job
    job = services.store.job(track.tenant, about.job_id) if about else None
    lasting = view.model_copy(update={"job": None}).model_dump_json()
    basis = lasting + (job_snapshot(job, job.updated_ms).basis if job else "")
    return Snapshot(event="track", data=view.wire(), basis=basis)
