"""The local store's signed URLs: parts come in, media goes out. With S3 nothing comes by here."""

from __future__ import annotations

import re
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

_BEHIND_ANYTHING = 10**18
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")

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
    _settle_range(request, found.bytes)
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


def _settle_range(request: Request, size: int) -> None:
    """Leave only a Range that can be sent: one that is malformed is ignored (RFC 9110, 14.2), one
    outside the object is refused.
    """
    given = request.headers.get("range")
    if given is None:
        return
    first, understood = _first_byte(given)
    if not understood:
        kept = [pair for pair in request.scope["headers"] if pair[0] != b"range"]
        request.scope["headers"] = kept
    elif first is not None and first >= size:
        raise Problem(
            Code.RANGE_INVALID,
            f"The object has {size} bytes.",
            headers={"Content-Range": f"bytes */{size}"},
        )


def _first_byte(header: str) -> tuple[int | None, bool]:
    """Where a Range begins (None: counted from the end), and whether it is one that is sent.

    Several ranges at once are as well answered by the whole object.
    """
    match = _RANGE.fullmatch(header.strip())
    if match is None or match[1] == match[2] == "":
        return None, False
    first, last = (int(text) if text else None for text in match.groups())
    if first is None and last == 0:  # the last no bytes
        return _BEHIND_ANYTHING, True
    if first is not None and last is not None and last < first:
        return None, False
    return first, True


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
