"""The paths that the product's first documents used, for clients that were written by them."""

from __future__ import annotations

import re

from fastapi import APIRouter
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.api import uploads

_MASTERING_JOB = re.compile(r"/jobs/mas_[^/]+(/decision)?")
_WITHOUT_V1 = (
    *("/uploads", "/tracks", "/jobs"),
    *("/process", "/batch", "/status", "/manifests", "/extractors"),
)


class WithoutVersion:
    """Serves what the first documents had (``/uploads``, ``/process``, …) as if under ``/v1``.

    A POST to ``/jobs``, and a look at a job that it made, belong to the first mastering service.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] == "http":
            path: str = scope["path"]
            if any(path == each or path.startswith(f"{each}/") for each in _WITHOUT_V1):
                raw: bytes = scope.get("raw_path") or path.encode()
                before = "/v1/mastering" if _is_mastering(scope["method"], path) else "/v1"
                scope = {**scope, "path": before + path, "raw_path": before.encode() + raw}
        await self._app(scope, receive, send)


def _is_mastering(method: str, path: str) -> bool:
    if path == "/jobs":
        return method == "POST"
    # The prefix tells: without it the projection would have to be asked before the route is known.
    return _MASTERING_JOB.fullmatch(path) is not None


router = APIRouter()
router.add_api_route(
    "/v1/uploads/presign",
    uploads.create,
    methods=["POST"],
    status_code=201,
    response_model=uploads.UploadStarted,
    name="presign",
)
