"""The REST API: one line a router, what guards them around it."""

from __future__ import annotations

from copy import copy
from functools import cache

from fastapi import APIRouter, FastAPI
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import RedirectResponse
from fastapi_offline import FastAPIOffline
from starlette.datastructures import State

from gateway.access.door import Door
from gateway.api import (
    aliases,
    asyncapi,
    clips,
    companion,
    description,
    extraction,
    health,
    jobs,
    mastering,
    problems,
    schemas,
    store,
    tracks,
    uploads,
    webhooks,
)
from gateway.guard import responses
from gateway.guard.limits import BodyLimit
from gateway.guard.protection import Protection
from gateway.guard.remembered import Remembered
from gateway.guard.tracing import Tracing
from gateway.projection.sqlite import SqliteStore
from gateway.services import Services
from topics.artifacts.signing import STORE_PATH

_EXPOSED = (
    *("ETag", "Location", "Retry-After", "Idempotency-Replayed", "traceparent"),
    *("RateLimit", "RateLimit-Policy", "WWW-Authenticate"),
)
"""Headers that a page of another origin may read."""


def create_app(services: Services) -> FastAPI:
    """The gateway over these services."""
    settings = services.settings
    app = copy(_routed(documented=settings.docs))
    app.state, app.user_middleware = State(), []  # its own; the rest is shared and read only
    app.state.services = services
    app.state.probes = health.probes(services)
    clips.install(app)

    # The last one added is the outermost.
    app.add_middleware(
        BodyLimit,
        max_bytes=settings.max_body_bytes,
        larger={"/v1/batch": settings.max_batch_body_bytes},
        patience_s=settings.body_timeout_seconds,
        exempt=(STORE_PATH,),
    )
    if isinstance(services.store, SqliteStore):
        app.add_middleware(Remembered, sequence=services.store.sequence, clock_ms=services.clock_ms)
    app.add_middleware(
        Door,
        settings=settings,
        rows=services.reservations,
        tokens=services.tokens,
        clock_ms=services.clock_ms,
    )
    app.add_middleware(aliases.WithoutVersion)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=["*"],
            allow_headers=["*"],
            expose_headers=_EXPOSED,
            max_age=600,
        )
    https = settings.public_base_url.startswith("https:")
    app.add_middleware(Tracing, protection=Protection(https=https))
    return app


@cache
def _routed(*, documented: bool) -> FastAPI:
    """The routes and how they refuse, without services: the same for every gateway of a process,
    and more work to build than all the rest of one."""
    app = _documented() if documented else _undocumented()
    v1 = APIRouter(prefix="/v1")
    v1.include_router(uploads.router)
    v1.include_router(tracks.router)
    v1.include_router(jobs.router)
    v1.include_router(mastering.router)
    v1.include_router(extraction.router)
    v1.include_router(webhooks.router)
    v1.include_router(schemas.router)
    app.include_router(v1)
    app.include_router(aliases.router, include_in_schema=False)
    app.include_router(companion.router)
    app.include_router(health.router)
    app.include_router(problems.router)
    if documented:
        app.include_router(asyncapi.router)
    app.include_router(store.router)
    app.include_router(clips.router)
    app.include_router(clips.callbacks)
    responses.install(app)
    description.install(app)
    return app


def _documented() -> FastAPI:
    """With /docs, which needs no CDN: a new user may sit behind a closed network."""
    app = FastAPIOffline(redoc_url=None, **description.ABOUT)

    @app.get("/", include_in_schema=False)
    def to_the_docs() -> RedirectResponse:
        return RedirectResponse("/docs")

    return app


def _undocumented() -> FastAPI:
    return FastAPI(openapi_url=None, docs_url=None, redoc_url=None, **description.ABOUT)
