"""The local store's signed URLs: parts come in, media goes out. With S3 nothing comes by here."""

from __future__ import annotations

from typing import NoReturn
from urllib.parse import quote

from fastapi import APIRouter, Request
from starlette.requests import ClientDisconnect
from starlette.responses import FileResponse, Response

from gateway.guard.clients import address_of
from gateway.guard.problems import Code, Problem
from gateway.services import Services
from topics.artifacts.local import LocalStore
from topics.artifacts.multipart import PartTooLarge
from topics.artifacts.protocol import ArtifactMissing
from topics.artifacts.serving import open_for_get, receive_part
from topics.artifacts.signing import STORE_PATH, Expired, SignedUrlRefused, WrongAddress

router = APIRouter(include_in_schema=False)

CACHE_S = 300
"""A browser may keep what it downloaded as long as a link lives: the object never changes."""


@router.head(STORE_PATH + "{key:path}")
@router.get(STORE_PATH + "{key:path}")
def download(key: str, request: Request) -> Response:
    """Send an object, or the Range of it that is asked for."""
    store = _local(request)
    try:
        found = open_for_get(store, key, _pairs(request), _address(request))
    except SignedUrlRefused as refused:
        _refuse(refused)
    except ArtifactMissing:
        raise Problem(Code.OBJECT_NOT_FOUND) from None
    headers = {
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "sandbox; default-src 'none'",
        "Cache-Control": f"private, max-age={CACHE_S}",
        "Accept-Ranges": "bytes",
    }
    if found.filename:
        headers["Content-Disposition"] = f"attachment; filename*=UTF-8''{quote(found.filename)}"
    if found.sha256:
        headers["ETag"] = f'"{found.sha256}"'
    return FileResponse(found.path, media_type=found.media_type, headers=headers)


@router.put(STORE_PATH + "{key:path}")
async def upload(key: str, request: Request) -> Response:
    """Take one part of an upload."""
    length = request.headers.get("content-length", "")
    try:
        part = await receive_part(
            _local(request),
            key,
            _pairs(request),
            _address(request),
            request.stream(),
            content_length=int(length) if length.isdecimal() else None,
        )
    except SignedUrlRefused as refused:
        _refuse(refused)
    except ArtifactMissing:
        raise Problem(Code.UPLOAD_ENDED, "The upload of this part has ended.") from None
    except PartTooLarge:
        raise Problem(
            Code.BODY_TOO_LARGE,
            "The part is larger than its URL allows; cut the file at partSizeBytes.",
            headers={"Connection": "close"},
        ) from None
    except ClientDisconnect:
        raise Problem(Code.PART_REFUSED, "The connection ended inside the part.") from None
    return Response(headers={"ETag": part.etag})


def _local(request: Request) -> LocalStore:
    services: Services = request.app.state.services
    if not isinstance(services.artifacts, LocalStore):
        raise Problem(Code.NOT_FOUND)
    return services.artifacts


def _pairs(request: Request) -> list[tuple[str, str]]:
    return [(name, value) for name, value in request.query_params.multi_items()]


def _address(request: Request) -> str | None:
    services: Services = request.app.state.services
    return address_of(request, services.settings.trusted_proxies) or None


def _refuse(refused: SignedUrlRefused) -> NoReturn:
    match refused:
        case Expired():
            raise Problem(Code.URL_EXPIRED) from None
        case WrongAddress():
            raise Problem(Code.URL_OTHER_ADDRESS) from None
        case _:
            raise Problem(Code.URL_INVALID) from None
