"""Music clips: the paths and bodies of the first service's document, member for member.

Its errors have a body of their own (`gateway.clips.refusals`), and it asks for no X-Client-Id.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from typing import Annotated, Any

import structlog
from fastapi import APIRouter, Query, Request
from starlette.responses import JSONResponse

from gateway.api.clip_requests import (
    BodyDep,
    LanguageDep,
    OwnErrors,
    TenantDep,
    minutes_of,
    request_id_of,
)
from gateway.api.dependencies import ServicesDep, instant
from gateway.api.media import link
from gateway.clips import asking, calling_back, showing
from gateway.clips.channels import Channel, check_id, check_prompt
from gateway.clips.credits import Credits
from gateway.clips.refusals import Refusal, channel_not_found, job_not_found
from gateway.clips.texts import message
from gateway.guard import idempotency
from gateway.guard.clients import Caller, address_of
from gateway.guard.idempotency import Attempt, IdempotencyKey
from gateway.projection import cursors
from gateway.projection.clips import CHANNEL
from gateway.projection.job import Job
from gateway.projection.reservations import Answer
from gateway.projection.store import BadCursor
from gateway.services import Services
from topics.outbound.provider import ProviderSettings
from topics.trace import trace_id

_MOST_PAGES = 20
"""Pages of other jobs that one listing looks through before it hands out its cursor."""

_log = structlog.get_logger("gateway")


router = APIRouter(prefix="/api/music-clips", tags=["clips"], route_class=OwnErrors)
callbacks = APIRouter(prefix="/api/webhooks/suno", tags=["clips"], route_class=OwnErrors)


def install(app: Any, provider: ProviderSettings | None = None) -> None:
    """What the routes work with besides the services."""
    app.state.provider = provider or ProviderSettings()
    app.state.credits = Credits(app.state.provider)


# Songs.


@router.post("/channels/{channel_id}/runOnce", status_code=202, summary="Generate a song")
def run_once(
    channel_id: str,
    request: Request,
    body: BodyDep,
    services: ServicesDep,
    tenant: TenantDep,
    language: LanguageDep,
    idempotency_key: IdempotencyKey = None,
) -> JSONResponse:
    """Writes the job and answers at once; the job is there even where it is refused (Location)."""
    said = body.get("userId")
    user_id = said if isinstance(said, str) and said else request.headers.get("x-user-id", "")
    asker = asking.Asker(tenant, user_id[:200], request.state.traceparent, language)
    provider, credits_ = request.app.state.provider, request.app.state.credits

    def work(attempt: Attempt) -> Answer:
        began, _, _ = attempt.seed.partition("-")
        asked = asking.run_once(
            services, provider, credits_, channel_id, asker, attempt.seed, int(began)
        )
        headers = {"Location": f"/api/music-clips/jobs/{asked.job_id}"}
        if asked.refusal is not None:
            refusal = asked.refusal
            return Answer(
                refusal.status,
                refusal.body(request_id_of(request), trace_id(asker.traceparent)),
                headers,
            )
        return Answer(
            202,
            {
                "success": True,
                "ok": True,
                "jobId": asked.job_id,
                "channelId": channel_id,
                "stage": showing.STAGE_NAMES[10],
                "createdAt": instant(asked.created_ms),
                "message": message("accepted", language),
            },
            {**headers, "Retry-After": "3"},
        )

    answer, replayed = idempotency.once(
        services.reservations,
        tenant,
        idempotency_key,
        idempotency.fingerprint("POST", request.url.path, json.dumps(body, sort_keys=True)),
        work,
        # The time is part of the id, so a second try has to have the first one's.
        new_seed=lambda: f"{services.clock_ms()}-{services.new_seed()}",
        clock_ms=services.clock_ms,
    )
    replay = {"Idempotency-Replayed": "true"} if replayed else {}
    return JSONResponse(answer.body, answer.status, {**answer.headers, **replay})


@router.get("/jobs/{job_id}", summary="See where a song stands")
def job(
    job_id: str, request: Request, services: ServicesDep, tenant: TenantDep, language: LanguageDep
) -> JSONResponse:
    """Always 200 for a job that exists; poll it every 3 s until stage 50, 90 or 99."""
    found = _find(services, tenant, job_id)
    body = showing.job_body(
        found, services.clock_ms(), language, request_id_of(request), minutes_of(request)
    )
    return _shown(body)


@router.get("/jobs/{job_id}/details", summary="See why a song takes its time, and its files")
def job_details(
    job_id: str, request: Request, services: ServicesDep, tenant: TenantDep, language: LanguageDep
) -> JSONResponse:
    """What waits for what; both songs, covers, words and the clip, as links of a few minutes."""
    found = _find(services, tenant, job_id)
    caller = Caller("", tenant, address_of(request, services.settings.trusted_proxies), "")
    title = found.work.title if found.work is not None else ""
    files = {
        each.name: link(services, caller, each, title or "song").wire()
        for each in (found.work.artifacts if found.work is not None else ())
    }
    songs = [
        {
            "songId": song.song_id,
            "title": song.title,
            "audioUrl": song.audio_url,
            "imageUrl": song.image_url or None,
            "durationMs": song.duration_ms or None,
            "tags": song.tags or None,
        }
        for song in (found.clip.songs if found.clip is not None else ())
    ]
    said = showing.details(found, services.clock_ms(), language)
    about = {"songs": songs, "files": files, "requestId": request_id_of(request)}
    return _shown({"success": True, "ok": True, **said, **about})


@router.get("/channels/{channel_id}/jobs", summary="List a channel's songs")
def jobs_of_channel(
    channel_id: str,
    request: Request,
    services: ServicesDep,
    tenant: TenantDep,
    language: LanguageDep,
    cursor: Annotated[str | None, Query(max_length=500)] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> JSONResponse:
    """Newest first. A page may be short; the list ends where there is no cursor."""
    if services.reservations.channel(tenant, channel_id) is None:
        raise channel_not_found(channel_id)
    found: list[Job] = []
    try:
        for _ in range(_MOST_PAGES):
            page = services.store.jobs(tenant, cursor=cursor, limit=limit - len(found))
            found += [
                each
                for each in page.items
                if each.generation is not None and each.generation.channel_id == channel_id
            ]
            cursor = page.cursor
            if cursor is None or len(found) >= limit:
                break
    except BadCursor:
        raise _unknown_cursor() from None
    now_ms, request_id = services.clock_ms(), request_id_of(request)
    minutes = minutes_of(request)
    shown = [showing.job_body(each, now_ms, language, request_id, minutes) for each in found]
    for each in shown:
        del each["success"], each["ok"], each["requestId"]
    return _shown(
        {
            "success": True,
            "ok": True,
            "channelId": channel_id,
            "jobs": shown,
            "cursor": cursor,
            "requestId": request_id,
        }
    )


def _unknown_cursor() -> Refusal:
    return Refusal(422, "VALIDATION_FAILED", "cursor is none that this list gave out")


# Channels.


@router.get("/channels", summary="List channels")
def channels(
    request: Request,
    services: ServicesDep,
    tenant: TenantDep,
    cursor: Annotated[str | None, Query(max_length=500)] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 200,
) -> JSONResponse:
    """By id."""
    try:
        after = cursors.unpack(cursor)[1] if cursor is not None else ""
    except BadCursor:
        raise _unknown_cursor() from None
    left = [each for each in services.reservations.channels(tenant) if each[0] > after]
    about = {
        "channels": [
            {"channelId": channel_id, **Channel.read(body).wire()}
            for channel_id, body in left[:limit]
        ],
        "cursor": cursors.pack(0, left[limit - 1][0]) if len(left) > limit else None,
        "requestId": request_id_of(request),
    }
    return _shown({"success": True, "ok": True, **about})


@router.post("/channels", status_code=201, summary="Make a channel")
def make_channel(
    request: Request, body: BodyDep, services: ServicesDep, tenant: TenantDep
) -> JSONResponse:
    """Settings in the body; ``channelId`` may be named, else it is made."""
    given = body.pop("channelId", None) or f"channel_{secrets.token_hex(8)}"
    channel_id = check_id(str(given))
    if services.reservations.channel(tenant, channel_id) is not None:
        raise Refusal(409, "CHANNEL_EXISTS", f"Channel {channel_id} exists; PUT changes it")
    return _saved(request, services, tenant, channel_id, body, 201)


@router.put("/channels/{channel_id}", summary="Make a channel, or set all of its settings")
def put_channel(
    channel_id: str, request: Request, body: BodyDep, services: ServicesDep, tenant: TenantDep
) -> JSONResponse:
    """What is left out has its default."""
    return _saved(request, services, tenant, check_id(channel_id), body, 200)


@router.patch("/channels/{channel_id}", summary="Change settings of a channel")
def change_channel(
    channel_id: str, request: Request, body: BodyDep, services: ServicesDep, tenant: TenantDep
) -> JSONResponse:
    """What is left out stays."""
    before = services.reservations.channel(tenant, channel_id)
    if before is None:
        raise channel_not_found(channel_id)
    return _saved(request, services, tenant, channel_id, {**before, **body}, 200)


@router.get("/channels/{channel_id}", summary="See a channel and its last song")
def channel(
    channel_id: str, request: Request, services: ServicesDep, tenant: TenantDep
) -> JSONResponse:
    """Settings, and the newest song that was made."""
    body = services.reservations.channel(tenant, channel_id)
    if body is None:
        raise channel_not_found(channel_id)
    return _shown(_channel_body(request, services, tenant, channel_id, body))


@router.delete("/channels/{channel_id}", summary="Remove a channel")
def remove_channel(
    channel_id: str, request: Request, services: ServicesDep, tenant: TenantDep
) -> JSONResponse:
    """Its jobs stay."""
    if not services.reservations.remove_channel(tenant, channel_id):
        raise channel_not_found(channel_id)
    about = {"channelId": channel_id, "requestId": request_id_of(request)}
    return _shown({"success": True, "ok": True, **about})


# Callbacks.


@callbacks.post("/music", summary="Callback of the provider")
@callbacks.post("/music/{token}", summary="Callback of the provider, at a job's own address")
def called_back(
    request: Request, body: BodyDep, services: ServicesDep, token: str = ""
) -> JSONResponse:
    """Believed in nothing: it has the provider's own record read."""
    task_id, kind = calling_back.named(body)
    found = (
        calling_back.job_of_token(services, token)
        if token
        else calling_back.job_of_task(services, request.app.state.provider, task_id)
    )
    if found is None:
        _log.warning("a callback that belongs to no job is left out", callback_type=kind)
        raise Refusal(404, "JOB_NOT_FOUND", "Job not found")
    hint_id = f"hnt_{secrets.token_hex(12)}"
    calling_back.hint(services, found, body, hint_id, request.state.traceparent)
    return _shown({"success": True, "requestId": request_id_of(request)})


def _find(services: Services, tenant: str, job_id: str) -> Job:
    found = services.store.job(tenant, job_id)
    if found is None or found.generation is None:
        raise job_not_found(job_id)
    return found


def _saved(
    request: Request,
    services: Services,
    tenant: str,
    channel_id: str,
    body: Mapping[str, Any],
    status: int,
) -> JSONResponse:
    settings = Channel.read(body)
    if settings.prompt:  # a channel may be made before it is known what to sing about
        check_prompt(settings, request.app.state.provider.profile)
    services.reservations.save_channel(tenant, channel_id, settings.wire())
    shown = _channel_body(request, services, tenant, channel_id, settings.wire())
    return JSONResponse(shown, status, {"Location": f"{router.prefix}/channels/{channel_id}"})


def _channel_body(
    request: Request, services: Services, tenant: str, channel_id: str, body: Mapping[str, Any]
) -> dict[str, Any]:
    last = services.store.track(tenant, f"{CHANNEL}_{channel_id}")
    result = None
    if last is not None and last.last_song:
        result = {**last.last_song}
    return {
        "success": True,
        "ok": True,
        "channelId": channel_id,
        **Channel.read(body).wire(),
        "lastResult": result,
        "requestId": request_id_of(request),
    }


def _shown(body: dict[str, Any]) -> JSONResponse:
    return JSONResponse(body, 200, {"Cache-Control": "no-store"})
