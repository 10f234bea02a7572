"""Mastering: ask for masters, look, change single moves."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from fastapi import APIRouter, Query, Request
from pydantic import Field, model_validator
from starlette.responses import JSONResponse, Response

from gateway.api.dependencies import RETRY_AFTER_S, ServicesDep, Wire, instant, once
from gateway.api.job_views import ErrorView, StepView, job_view
from gateway.api.media import Link, link
from gateway.guard.clients import Caller, CallerDep
from gateway.guard.idempotency import Attempt, IdempotencyKey
from gateway.guard.problems import Code
from gateway.guard.responses import documented
from gateway.mastering import Wish, decide_again, find_master, master, masters
from gateway.projection.job import Job, JobState
from gateway.projection.reservations import Answer
from gateway.services import Services
from schemas.documents.decision import Change
from schemas.events import Mastering

MOST_SONGS = 30
"""Songs of an album: a double one has about that many."""

Preset = Literal["streaming", "loud", "gentle", "club", "broadcast", "podcast"]
Status = Literal["queued", "processing", "done", "failed"]
_Name = Annotated[str, Field(min_length=1, max_length=400)]

_STATUS: dict[JobState, Status] = {
    "queued": "queued",
    "running": "processing",
    "succeeded": "done",
    "failed": "failed",
    "canceled": "failed",  # the first service had no word for it; lastError.code says canceled
}
_STATES: dict[Status, JobState] = {
    "queued": "queued",
    "processing": "running",
    "done": "succeeded",
    "failed": "failed",
}
_ASSET = "ast_0a1b2c3d4e5f60718293a4b5c6d7e8f9"


class MasteringTarget(Wire):
    """What the master shall measure; what is left out is the preset's."""

    lufs: float | None = Field(
        default=None, ge=-40, le=-4, description="Integrated loudness.", examples=[-14]
    )
    true_peak: float | None = Field(
        default=None, ge=-20, le=0, description="Highest true peak, dBTP.", examples=[-1]
    )


class ReferenceWish(Wire):
    """How far, and in what, the master shall come towards the reference."""

    amount: float = Field(default=1.0, ge=0, le=1)
    without: list[Literal["eq", "loudness", "dynamics", "width"]] = Field(
        default_factory=list, max_length=4, description="Parts that it does not decide."
    )


class MasteringRequest(Wire):
    """A song, or an album, to master. Songs are named in one of four ways."""

    asset_id: _Name | None = Field(default=None, description="The song.", examples=[_ASSET])
    object_key: _Name | None = Field(
        default=None, description="The song, by the objectKey of its upload."
    )
    asset_ids: list[_Name] | None = Field(
        default=None,
        min_length=1,
        max_length=MOST_SONGS,
        description="An album, in order: its songs keep their relative loudness.",
    )
    object_keys: list[_Name] | None = Field(default=None, min_length=1, max_length=MOST_SONGS)
    reference_asset_id: _Name | None = None
    reference_object_key: _Name | None = None
    reference: ReferenceWish | None = None
    preset: Preset = "streaming"
    target: MasteringTarget | None = None
    format: Literal["wav", "flac"] = Field(default="wav", description="Of the master.")
    bits: Literal[16, 24, 32] | None = Field(
        default=None, description="Of a sample (32 is float, WAV only); those of the song without."
    )
    language: Literal["en", "ru"] = Field(default="en", description="Of the report in words.")
    title: str | None = Field(default=None, max_length=300)
    artist: str | None = Field(default=None, max_length=300)
    callback_url: str | None = None

    @model_validator(mode="after")
    def _names_songs_once(self) -> Self:
        ways = (self.asset_id, self.object_key, self.asset_ids, self.object_keys)
        if sum(way is not None for way in ways) != 1:
            raise ValueError("name the song by one of assetId, objectKey, assetIds, objectKeys")
        if self.reference_asset_id and self.reference_object_key:
            raise ValueError("name the reference once: referenceAssetId or referenceObjectKey")
        if self.reference is not None and not (
            self.reference_asset_id or self.reference_object_key
        ):
            raise ValueError("reference says how to use one: name it with referenceAssetId")
        if self.format == "flac" and self.bits == 32:
            raise ValueError("FLAC holds whole numbers: bits 16 or 24, or format wav")
        return self

    def songs(self) -> list[str]:
        """The songs, however they were named."""
        one = self.asset_id or self.object_key
        return [one] if one else list(self.asset_ids or self.object_keys or ())


class DecisionPatch(Wire):
    """Changes of single moves; everything else stays as it was decided."""

    changes: list[Change] = Field(
        min_length=1,
        max_length=64,
        description="{move, drop: true} leaves a move out, {move, parameters} changes it.",
    )
    song: int = Field(default=1, ge=1, le=MOST_SONGS, description="Of an album, from 1.")


class MasteringAccepted(Wire):
    """A master that will be made."""

    job_id: str
    master_id: str
    version: int
    status: Status = "queued"


class MasteringResult(Wire):
    """What the finished master measures."""

    lufs: float | None = None
    true_peak: float | None = None
    shortfalls: int = Field(default=0, description="Wishes that were not met; the report says why.")


class MasteringJobView(Wire):
    """Where a mastering job stands, and what it has made."""

    job_id: str
    master_id: str
    version: int | None = None
    status: Status
    step: str | None = None
    progress: float
    attempts: int
    last_error: ErrorView | None = None
    preset: str | None = None
    target: MasteringTarget | None = None
    asset_ids: list[str] = Field(default_factory=list)
    reference_asset_id: str | None = None
    title: str | None = None
    result: MasteringResult | None = None
    artifacts: dict[str, Link] = Field(
        default_factory=dict,
        description="By name: master, preview, analysis-before, analysis-after, decision, report,"
        " words, compare-before, compare-after; with .1, .2, … for the songs of an album.",
    )
    steps: list[StepView] = Field(default_factory=list)
    created_at: str | None = None
    updated_at: str | None = None


class MasteringPage(Wire):
    """Mastering jobs, newest first."""

    jobs: list[MasteringJobView]
    cursor: str | None = None


router = APIRouter(prefix="/mastering", tags=["mastering"])


@router.post(
    "/jobs",
    status_code=202,
    response_model=MasteringAccepted,
    summary="Master a song or an album",
    responses=documented(
        Code.ASSET_NOT_FOUND,
        Code.OBJECT_KEY_UNKNOWN,
        Code.UPLOAD_NOT_FOR_MASTERING,
        Code.UPLOAD_TOO_LARGE,
        Code.UPLOAD_TOO_LONG,
        Code.UPLOAD_PARTS_MISSING,
        Code.TOO_MANY_JOBS,
        Code.CALLBACK_REFUSED,
        Code.IDEMPOTENCY_KEY_REUSED,
        Code.IDEMPOTENCY_IN_FLIGHT,
        Code.MALFORMED_JSON,
    ),
)
def start(
    request: Request,
    body: MasteringRequest,
    services: ServicesDep,
    caller: CallerDep,
    idempotency_key: IdempotencyKey = None,
) -> JSONResponse:
    """Measures the song (and the reference), decides by rules, renders, and measures again."""

    def work(attempt: Attempt) -> Answer:
        target = body.target or MasteringTarget()
        use = body.reference or ReferenceWish()
        wish = Wish(
            assets=body.songs(),
            reference=body.reference_asset_id or body.reference_object_key or "",
            mastering=Mastering(
                preset=body.preset,
                lufs=target.lufs,
                true_peak=target.true_peak,
                reference_amount=use.amount,
                reference_without=tuple(dict.fromkeys(use.without)),
                format=body.format,
                bits=body.bits or 0,
            ),
            language=body.language,
            title=" ".join((body.title or "").split()),
            artist=" ".join((body.artist or "").split()),
            callback_url=body.callback_url or "",
        )
        accepted = master(services, caller, wish, attempt)
        return _accepted(accepted.job_id, accepted.track_id, accepted.version)

    return once(request, services, caller, idempotency_key, body, work)


@router.get(
    "/jobs",
    response_model=MasteringPage,
    response_model_exclude_none=True,
    summary="List mastering jobs",
    responses=documented(),
)
def listing(
    services: ServicesDep,
    caller: CallerDep,
    status: Status | None = None,
    cursor: Annotated[str | None, Query(max_length=500)] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> MasteringPage:
    """Newest first. A page may be short; the list ends where there is no cursor."""
    page = masters(
        services,
        caller,
        state=_STATES[status] if status else None,
        cursor=cursor,
        limit=limit,
    )
    jobs = [mastering_view(services, caller, job, links=False) for job in page.items]
    return MasteringPage(jobs=jobs, cursor=page.cursor)


@router.head("/jobs/{job_id}", include_in_schema=False)
@router.get(
    "/jobs/{job_id}",
    response_model=MasteringJobView,
    response_model_exclude_none=True,
    summary="See where a mastering job stands",
    responses=documented(Code.JOB_NOT_FOUND),
)
def state(
    job_id: str, services: ServicesDep, caller: CallerDep, response: Response
) -> MasteringJobView:
    """Always 200 for a job that exists. What it has made so far is linked under artifacts."""
    response.headers["Cache-Control"] = "no-store"
    return mastering_view(services, caller, find_master(services, caller, job_id))


@router.patch(
    "/jobs/{job_id}/decision",
    status_code=202,
    response_model=MasteringAccepted,
    summary="Change moves and render a new version",
    responses=documented(
        Code.JOB_NOT_FOUND,
        Code.MASTER_UNFINISHED,
        Code.MATERIAL_MISSING,
        Code.TOO_MANY_JOBS,
        Code.IDEMPOTENCY_KEY_REUSED,
        Code.IDEMPOTENCY_IN_FLIGHT,
        Code.MALFORMED_JSON,
    ),
)
def change(
    job_id: str,
    request: Request,
    body: DecisionPatch,
    services: ServicesDep,
    caller: CallerDep,
    idempotency_key: IdempotencyKey = None,
) -> JSONResponse:
    """A job of its own makes the new version; the one that it was made from stays as it is."""

    def work(attempt: Attempt) -> Answer:
        made = decide_again(services, caller, job_id, body.changes, body.song, attempt)
        return _accepted(made.job_id, made.track_id, made.version)

    return once(request, services, caller, idempotency_key, body, work)


def mastering_view(
    services: Services, caller: Caller, job: Job, *, links: bool = True
) -> MasteringJobView:
    """A job as clients see it; ``links`` signs its artifacts."""
    shown = job_view(job, services.clock_ms())
    wanted = job.mastering
    made = job.work.artifacts if job.work is not None and links else ()
    return MasteringJobView(
        job_id=job.job_id,
        master_id=job.track_id,
        version=job.version or None,
        status=_STATUS[job.state],
        step=shown.step,
        progress=shown.progress,
        attempts=job.attempt,
        last_error=shown.error,
        preset=wanted.preset if wanted else None,
        target=MasteringTarget(lufs=wanted.lufs, true_peak=wanted.true_peak) if wanted else None,
        asset_ids=list(wanted.asset_ids) if wanted else [],
        reference_asset_id=(wanted.reference_asset_id or None) if wanted else None,
        title=job.title or None,
        result=MasteringResult(
            lufs=job.figures.get("lufs"),
            true_peak=job.figures.get("truePeak"),
            shortfalls=int(job.figures.get("shortfalls") or 0),
        )
        if job.figures
        else None,
        artifacts={
            each.name: link(services, caller, each, job.title or "master")
            for each in made
            if each.name.split(".")[0] not in ("source", "reference")
        },
        steps=shown.steps,
        created_at=instant(job.created_ms or None),
        updated_at=instant(job.updated_ms or None),
    )


def _accepted(job_id: str, master_id: str, version: int) -> Answer:
    return Answer(
        status=202,
        body={"jobId": job_id, "masterId": master_id, "version": version, "status": "queued"},
        # /v1/jobs/{id} shows it as well, with the words of every other job.
        headers={
            "Location": f"/v1/mastering/jobs/{job_id}",
            "Retry-After": str(RETRY_AFTER_S),
        },
    )
