"""The list of tracks."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import Field

from gateway.api.dependencies import ServicesDep, Wire, instant
from gateway.guard.clients import CallerDep
from gateway.guard.responses import documented
from gateway.projection.track import Track
from gateway.tracks import karaoke_tracks


class PendingJob(Wire):
    """A job that will publish a newer version."""

    job_id: str
    version: int


class TrackEntry(Wire):
    """A track in a list; `GET /v1/tracks/{trackId}` says more."""

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
    created_at: str | None
    pending: PendingJob | None = None


class TrackPage(Wire):
    """Tracks, newest first."""

    tracks: list[TrackEntry]
    cursor: str | None = Field(default=None, description="Continues behind these.")


router = APIRouter()


@router.get(
    "/tracks",
    response_model=TrackPage,
    response_model_exclude_none=True,
    summary="List tracks",
    responses=documented(),
)
def listing(
    services: ServicesDep,
    caller: CallerDep,
    response: Response,
    published: Annotated[
        bool | None, Query(description="true: only those with a published version; false: others.")
    ] = None,
    since: Annotated[datetime | None, Query(description="Created at or after; RFC 3339.")] = None,
    cursor: Annotated[str | None, Query(max_length=500)] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> TrackPage:
    """Newest first. A page may be short; the list ends where there is no cursor."""
    response.headers["Cache-Control"] = "no-store"
    page = karaoke_tracks(
        services,
        caller,
        published=published,
        since_ms=round(since.timestamp() * 1000) if since else None,
        cursor=cursor,
        limit=limit,
    )
    return TrackPage(tracks=[_entry(track) for track in page.items], cursor=page.cursor)


def _entry(track: Track) -> TrackEntry:
    current, newest, pending = track.current, track.newest, track.pending
    return TrackEntry(
        track_id=track.track_id,
        title=track.title or None,
        artist=track.artist or None,
        language=track.language or None,
        duration_ms=track.duration_ms or None,
        version=current.number if current else None,
        newest_version=newest.number if newest else None,
        needs_review=current.needs_review if current else None,
        created_at=instant(track.created_ms),
        pending=PendingJob(job_id=pending.job_id, version=pending.version) if pending else None,
    )
