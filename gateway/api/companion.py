"""Uploads as an unmodified Uppy asks for them (`@uppy/aws-s3`, its Companion's paths).

The same uploads as under ``/v1/uploads``, with three differences that the protocol brings along: a
song's size is not known before it is complete, so limits and quotas hold then; a refusal has a
``message``, which Uppy shows; and Uppy 6 cannot set a header, so ``X-Client-Id`` is ``uppy`` where
nothing else is said. Uppy cuts the parts: they are signed one by one, when they are sent.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel, ConfigDict, Field, field_validator
from starlette.responses import JSONResponse, Response

from gateway.api.dependencies import ServicesDep
from gateway.filenames import clean_filename
from gateway.guard.clients import Caller, caller
from gateway.guard.problems import Code, Problem
from gateway.guard.responses import of_validation, problem_response
from gateway.uploading import (
    MAX_PARTS,
    Promise,
    abort,
    begin,
    complete,
    find,
    received,
    sign_parts,
)
from topics.artifacts.protocol import StoreFull

_NO_STORE = {"Cache-Control": "no-store"}
_PURPOSES = ("karaoke", "mastering", "cover")


class _WithMessage(APIRoute):
    """Problems in this house's form, with the member that Uppy reads."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The route's handler within."""
        inner = super().get_route_handler()

        async def handler(request: Request) -> Response:
            try:
                return await inner(request)
            except Problem as problem:
                refused = problem
            except RequestValidationError as error:
                refused = of_validation(error)
            except StoreFull:
                refused = Problem(Code.STORE_FULL)
            message = f"{refused.detail or refused.code.title} {refused.code.advice}"
            refused.extra = {**refused.extra, "message": message}
            return problem_response(request, refused)

        return handler


def _stock(
    request: Request,
    x_client_id: Annotated[str | None, Header(alias="X-Client-Id")] = None,
    client_id: Annotated[str | None, Query(alias="clientId")] = None,
) -> Caller:
    return caller(request, x_client_id, client_id or "uppy")


StockCallerDep = Annotated[Caller, Depends(_stock)]


class _FromUppy(BaseModel):
    """What another program's release sends: members that this one does not know are passed over."""

    model_config = ConfigDict(extra="ignore")


class NewMultipart(_FromUppy):
    """A file as Uppy announces it. ``metadata.purpose`` and ``.sha256`` are as in /v1/uploads."""

    filename: str = Field(min_length=1, max_length=1024)
    type: str | None = Field(default=None, max_length=255)
    metadata: dict[str, Any] | None = None

    @field_validator("filename")
    @classmethod
    def _base_name(cls, value: str) -> str:
        return clean_filename(value)


class SentPart(_FromUppy):
    """A part and the ETag that its PUT came back with, in S3's words."""

    part_number: int = Field(alias="PartNumber", ge=1, le=MAX_PARTS)
    etag: str = Field(alias="ETag", min_length=1, max_length=256)


class SentParts(_FromUppy):
    """All of them."""

    parts: list[SentPart] = Field(min_length=1, max_length=MAX_PARTS)


router = APIRouter(
    prefix="/s3", tags=["uploads"], route_class=_WithMessage, include_in_schema=False
)


@router.post("/multipart")
def create(body: NewMultipart, services: ServicesDep, caller: StockCallerDep) -> JSONResponse:
    """Begin an upload."""
    said = body.metadata or {}
    purpose, sha256 = said.get("purpose") or "karaoke", str(said.get("sha256") or "").lower()
    if purpose not in _PURPOSES:
        raise _invalid("purpose", f"one of {', '.join(_PURPOSES)}")
    if sha256 and (len(sha256) != 64 or set(sha256) - set("0123456789abcdef")):
        raise _invalid("sha256", "64 hex digits")
    promise = Promise(
        filename=body.filename,
        content_type=body.type or "application/octet-stream",
        size_bytes=0,
        sha256=sha256,
        purpose=purpose,
    )
    upload = begin(services, caller, promise, seed=services.new_seed())
    return JSONResponse({"key": upload.key, "uploadId": upload.upload_id}, headers=_NO_STORE)


@router.get("/multipart/{upload_id}")
def parts(upload_id: str, services: ServicesDep, caller: StockCallerDep) -> JSONResponse:
    """The parts that have arrived: a page that was loaded again sends the others."""
    upload = find(services, caller, upload_id)
    if upload.state != "open":
        raise Problem(Code.UPLOAD_ENDED, f"Upload '{upload.upload_id}' was {upload.state}.")
    listed = [
        {"PartNumber": part.number, "Size": part.bytes, "ETag": part.etag}
        for part in received(services, upload)
    ]
    return JSONResponse(listed, headers=_NO_STORE)


@router.get("/multipart/{upload_id}/batch")
def sign_many(
    upload_id: str,
    services: ServicesDep,
    caller: StockCallerDep,
    part_numbers: Annotated[str, Query(alias="partNumbers", max_length=10_000)],
) -> JSONResponse:
    """Where to PUT some parts."""
    try:
        numbers = [_part_number(text) for text in part_numbers.split(",")]
    except ValueError:
        raise _invalid("partNumbers", f"numbers from 1 to {MAX_PARTS}") from None
    upload = find(services, caller, upload_id)
    signed = sign_parts(services, caller, upload, numbers)
    urls = {str(number): each.url for number, each in signed}
    return JSONResponse({"presignedUrls": urls}, headers=_NO_STORE)


@router.get("/multipart/{upload_id}/{number}")
def sign(
    upload_id: str, number: str, services: ServicesDep, caller: StockCallerDep
) -> JSONResponse:
    """Where to PUT a part."""
    try:
        wanted = _part_number(number)
    except ValueError:
        raise _invalid("partNumber", f"a number from 1 to {MAX_PARTS}") from None
    upload = find(services, caller, upload_id)
    ((_, signed),) = sign_parts(services, caller, upload, [wanted])
    lasts_s = services.settings.upload_url_ttl_seconds
    return JSONResponse({"url": signed.url, "expires": lasts_s}, headers=_NO_STORE)


@router.post("/multipart/{upload_id}/complete")
def finish(
    upload_id: str, body: SentParts, services: ServicesDep, caller: StockCallerDep
) -> JSONResponse:
    """Join the parts and check the song. The answer is in Uppy's ``upload-success``."""
    upload = find(services, caller, upload_id)
    given = [(part.part_number, part.etag) for part in body.parts]
    asset_id = complete(services, caller, upload, given)
    base_url = services.settings.public_base_url.rstrip("/")
    return JSONResponse(
        {
            "location": f"{base_url}/v1/uploads/{upload.upload_id}",
            "key": upload.key,
            "assetId": asset_id,
        },
        headers=_NO_STORE,
    )


@router.delete("/multipart/{upload_id}")
def drop(upload_id: str, services: ServicesDep, caller: StockCallerDep) -> JSONResponse:
    """Remove what has arrived."""
    abort(services, find(services, caller, upload_id))
    return JSONResponse({}, headers=_NO_STORE)


@router.get("/params")
def whole(caller: StockCallerDep) -> JSONResponse:
    """Uppy's way to send a small file whole, which tells nobody when it has arrived."""
    raise _invalid(
        "shouldUseMultipart",
        "set it to true: songs are sent in parts, so that they can be checked once they are there",
    )


def _part_number(text: str) -> int:
    number = int(text) if text.isascii() and text.isdecimal() and len(text) < 6 else 0
    if not 1 <= number <= MAX_PARTS:
        raise ValueError(text)
    return number


def _invalid(name: str, message: str) -> Problem:
    errors = [{"parameter": name, "message": message}]
    return Problem(Code.VALIDATION_FAILED, f"{name}: {message}.", errors=errors)
