"""Versions of a track: list, look, run steps again, roll back."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Request, Response
from pydantic import Field, field_validator
from starlette.responses import JSONResponse

from gateway.api.dependencies import ServicesDep, Wire, accepted_job, instant, once
from gateway.api.jobs import JobAccepted
from gateway.comparing import changed_backends, changed_media, words_of
from gateway.guard.clients import CallerDep
from gateway.guard.idempotency import Attempt, IdempotencyKey
from gateway.guard.preconditions import etag
from gateway.guard.problems import Code
from gateway.guard.responses import documented
from gateway.projection.reservations import Answer
from gateway.projection.track import Version
from gateway.reprocessing import find_version, reprocess, roll_back
from gateway.tracks import find_track
from schemas.documents.changes import Changes
from schemas.documents.difference import (
    ChangedLine,
    ChangedWord,
    Difference,
    Summary,
    difference,
)
from schemas.work import STAGES, STEPS

ApiStep = Literal["separate", "transcribe", "align", "qc", "publish"]

VersionNumber = Annotated[int, Path(ge=1, le=2**31 - 1)]


class VersionView(Wire):
    """A version at a glance. Published ones never change."""

    version: int
    state: Literal["draft", "published"]
    parent: int | None = Field(default=None, description="The version that it was made from.")
    job_id: str | None = None
    language: str | None = None
    lyrics_origin: str | None = Field(default=None, description="given, transcribed or edited.")
    score: float | None = None
    needs_review: bool | None = Field(
        default=None, description="Below the quality bar, and no person has published it as it is."
    )
    reasons: list[str] | None = Field(default=None, description="Why it is below the bar.")
    backends: dict[str, str] | None = None
    created_at: str | None = None


class VersionDetail(VersionView):
    """A version with its words: karaoke/1 when published, lyrics/1 while a draft."""

    track_id: str
    lyrics: dict[str, Any] | None = None
    changes: Changes | None = Field(
        default=None, description="What it changed against the version published before it."
    )


class VersionList(Wire):
    """All versions, oldest first."""

    track_id: str
    current: int | None = Field(default=None, description="The published version.")
    newest: int | None = Field(default=None, description="What If-Match compares with.")
    versions: list[VersionView]


class MediaChange(Wire):
    """A stem or other file that differs; null where a version has none."""

    name: str = Field(description="minus, vocals or mix.")
    before: str | None = Field(default=None, description="SHA-256.")
    after: str | None = Field(default=None, description="SHA-256.")


class BackendChange(Wire):
    """A step that another backend or model did."""

    step: str
    before: str | None = None
    after: str | None = None


class VersionDiff(Wire):
    """What changed from version ``before`` to version ``after``."""

    track_id: str
    before: int
    after: int
    summary: Summary
    lines: list[ChangedLine]
    words: list[ChangedWord]
    media: list[MediaChange]
    backends: list[BackendChange]
    score_before: float | None = None
    score_after: float | None = None
    told: list[str] = Field(description="The same for people, a sentence a line or word.")


class ReprocessRequest(Wire):
    """Steps to run again; everything after the earliest one follows."""

    steps: list[ApiStep] = Field(min_length=1, max_length=len(STEPS), examples=[["align"]])
    replace_lyrics: bool = Field(
        default=False, strict=True, description="Lets transcribe replace lyrics a person gave."
    )

    @field_validator("steps")
    @classmethod
    def _in_order(cls, steps: list[ApiStep]) -> list[ApiStep]:
        return sorted(set(steps), key=lambda step: STAGES.index(STEPS[step]))


router = APIRouter()


@router.get(
    "/tracks/{track_id}/versions",
    response_model=VersionList,
    response_model_exclude_none=True,
    summary="List versions",
    responses=documented(Code.TRACK_NOT_FOUND),
)
def listing(
    track_id: str, services: ServicesDep, caller: CallerDep, response: Response
) -> VersionList:
    """The ETag is the newest version's: what a PATCH sends in If-Match."""
    track = find_track(services, caller, track_id)
    response.headers["Cache-Control"] = "no-store"
    if track.newest is not None:
        response.headers["ETag"] = etag(track.newest.number)
    return VersionList(
        track_id=track_id,
        current=track.current.number if track.current else None,
        newest=track.newest.number if track.newest else None,
        versions=[version_view(version) for version in track.versions],
    )


@router.get(
    "/tracks/{track_id}/versions/{number}",
    response_model=VersionDetail,
    response_model_exclude_none=True,
    summary="See a version",
    responses=documented(Code.TRACK_NOT_FOUND, Code.VERSION_NOT_FOUND),
)
def look(
    track_id: str,
    number: VersionNumber,
    services: ServicesDep,
    caller: CallerDep,
) -> JSONResponse:
    """With its words: karaoke-json when published, the lyrics document while a draft."""
    version = find_version(find_track(services, caller, track_id), number)
    karaoke = version.artifacts.get("karaoke")
    words = None
    if karaoke is not None:
        words = services.documents.karaoke(karaoke).model_dump(mode="json")
    elif version.lyrics is not None:
        words = services.documents.lyrics(version.lyrics).model_dump(mode="json")
    body = version_view(version).wire() | {"trackId": track_id, "lyrics": words}
    report = version.artifacts.get("changes")
    if report is not None:
        body["changes"] = services.documents.changes(report).model_dump(mode="json")
    return JSONResponse(body, headers={"ETag": etag(number), "Cache-Control": "private, no-cache"})


@router.get(
    "/tracks/{track_id}/versions/{number}/diff/{other}",
    response_model=VersionDiff,
    summary="See what changed between two versions",
    responses=documented(Code.TRACK_NOT_FOUND, Code.VERSION_NOT_FOUND, Code.MATERIAL_MISSING),
)
def diff(
    track_id: str,
    number: VersionNumber,
    other: VersionNumber,
    services: ServicesDep,
    caller: CallerDep,
) -> JSONResponse:
    """From the first version to the second: words and lines by their ids, media by their digests.

    Drafts can be compared, too: their words have the times that a person or a file gave them.
    """
    track = find_track(services, caller, track_id)
    before, after = find_version(track, number), find_version(track, other)
    found = difference(words_of(services, before), words_of(services, after))
    body = VersionDiff(
        track_id=track_id,
        before=number,
        after=other,
        **{name: getattr(found, name) for name in Difference.model_fields},
        told=list(found.told()),
        media=[
            MediaChange(name=name, before=old, after=new)
            for name, old, new in changed_media(before, after)
        ],
        backends=[
            BackendChange(step=step, before=old, after=new)
            for step, old, new in changed_backends(before, after)
        ],
        score_before=before.score,
        score_after=after.score,
    )
    return JSONResponse(body.wire(), headers={"Cache-Control": "private, no-cache"})


@router.post(
    "/tracks/{track_id}/versions/{number}/publish",
    status_code=202,
    response_model=JobAccepted,
    summary="Roll back to a version",
    responses=documented(
        Code.TRACK_NOT_FOUND,
        Code.VERSION_NOT_FOUND,
        Code.VERSION_NOT_PUBLISHED,
        Code.IDEMPOTENCY_IN_FLIGHT,
    ),
)
def publish(
    track_id: str,
    number: VersionNumber,
    request: Request,
    services: ServicesDep,
    caller: CallerDep,
    idempotency_key: IdempotencyKey = None,
) -> JSONResponse:
    """Publishes this version's content once more, as a new version.

    Also one that needs review or was held back below the quality bar: publishing it is a person's
    word that it is good enough.
    """

    def work(attempt: Attempt) -> Answer:
        made = roll_back(services, caller, track_id, number, attempt=attempt)
        return accepted_job(made.job_id, trackId=track_id, version=made.version)

    return once(request, services, caller, idempotency_key, None, work)


@router.post(
    "/tracks/{track_id}/reprocess",
    status_code=202,
    response_model=JobAccepted,
    summary="Run steps again",
    responses=documented(
        Code.TRACK_NOT_FOUND,
        Code.TRACK_UNFINISHED,
        Code.TRACK_FAILED,
        Code.LYRICS_WERE_GIVEN,
        Code.MATERIAL_MISSING,
        Code.REPROCESS_IN_WORK,
        Code.TRACK_CHANGING,
        Code.IDEMPOTENCY_IN_FLIGHT,
        Code.MALFORMED_JSON,
    ),
)
def again(
    track_id: str,
    request: Request,
    body: ReprocessRequest,
    services: ServicesDep,
    caller: CallerDep,
    idempotency_key: IdempotencyKey = None,
) -> JSONResponse:
    """Publishes the newest draft, or a new version of what is published."""

    def work(attempt: Attempt) -> Answer:
        made = reprocess(
            services,
            caller,
            track_id,
            tuple(body.steps),
            replace_lyrics=body.replace_lyrics,
            attempt=attempt,
        )
        return accepted_job(made.job_id, trackId=track_id, version=made.version)

    return once(request, services, caller, idempotency_key, body, work)


def version_view(version: Version) -> VersionView:
    """A version for a list."""
    return VersionView(
        version=version.number,
        state=version.state,
        parent=version.parent or None,
        job_id=version.job_id or None,
        language=version.language or None,
        lyrics_origin=version.lyrics_origin or None,
        score=version.score,
        needs_review=version.needs_review if version.state == "published" else None,
        reasons=list(version.reasons) or None,
        backends={name: made.name for name, made in version.backends.items()} or None,
        created_at=instant(version.published_ms or version.edited_ms),
    )
