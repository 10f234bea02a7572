"""Is it alive, and is everything there that it needs."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Literal

from fastapi import APIRouter, Request
from pydantic import Field
from starlette.responses import JSONResponse

from gateway.api.dependencies import Wire
from gateway.services import Check, Services


class Alive(Wire):
    """The process answers."""

    status: Literal["ok"] = "ok"


class Dependency(Wire):
    """One dependency's health."""

    status: Literal["up", "down"]
    latency_ms: float | None = Field(default=None, description="Absent when it did not answer.")
    error: str | None = Field(default=None, description="In a word; the log has the rest.")


class Readiness(Wire):
    """Every dependency's health."""

    status: Literal["ready", "not_ready"]
    dependencies: dict[str, Dependency]


class Probe:
    """Asks one dependency, at most one question at a time.

    A dependency that hangs keeps its one thread; until that returns it is down, so probes never
    pile threads up.
    """

    def __init__(self, name: str, check: Check) -> None:
        self._check = check
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"health-{name}")
        self._asked: Future[float] | None = None

    async def ask(self, timeout_s: float) -> Dependency:
        """Its health within ``timeout_s``."""
        if self._asked is None or self._asked.done():
            self._asked = self._pool.submit(self._measure)
        try:
            seconds = await asyncio.wait_for(
                asyncio.shield(asyncio.wrap_future(self._asked)), timeout_s
            )
        except TimeoutError:
            return Dependency(status="down", error="timeout")
        except Exception as error:
            return Dependency(status="down", error=getattr(error, "code", type(error).__name__))
        return Dependency(status="up", latency_ms=round(seconds * 1000, 2))

    def _measure(self) -> float:
        began = time.perf_counter()
        self._check()
        return time.perf_counter() - began

    def close(self) -> None:
        """Let the thread go."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def probes(services: Services) -> dict[str, Probe]:
    """A probe a dependency."""
    return {name: Probe(name, check) for name, check in services.checks.items()}


router = APIRouter(tags=["health"])


@router.head("/healthz", include_in_schema=False)
@router.get("/healthz", response_model=Alive, summary="Is the gateway alive")
async def alive() -> Alive:
    """Answers as long as the process does; asks nobody else."""
    return Alive()


@router.head("/readyz", include_in_schema=False)
@router.get(
    "/readyz",
    response_model=Readiness,
    summary="Is everything there that the gateway needs",
    responses={503: {"model": Readiness, "description": "A needed dependency is down."}},
)
async def ready(request: Request) -> JSONResponse:
    """Asks each dependency, in parallel, for at most 1.5 s each."""
    services: Services = request.app.state.services
    asked: dict[str, Probe] = request.app.state.probes
    answers = await asyncio.gather(
        *(probe.ask(services.settings.health_timeout_seconds) for probe in asked.values())
    )
    found = dict(zip(asked, answers, strict=True))
    up = all(each.status == "up" for each in found.values())
    answer = Readiness(status="ready" if up else "not_ready", dependencies=found)
    return JSONResponse(answer.wire(), 200 if up else 503, {"Cache-Control": "no-store"})
