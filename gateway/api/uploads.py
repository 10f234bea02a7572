"""Uploads: parts go straight to the store, the gateway signs, checks and names the asset."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal

from fastapi import APIRouter, Request
from pydantic import Field, field_validator
from starlette.responses import JSONResponse, Response

from gateway.api.dependencies import ServicesDep, Wire, instant, once
from gateway.filenames import clean_filename
from gateway.guard.clients import Caller, CallerDep
from gateway.guard.idempotency import Attempt, IdempotencyKey
from gateway.guard.problems import Code
from gateway.guard.responses import documented
from gateway.projection.reservations import Answer, Upload
from gateway.services import Services
from gateway.uploading import (
    Promise,
    abort,
    begin,
    complete,
    find,
    part_count,
    received,
    sign_parts,
)

MAX_SIGNED = 1000
"""Part URLs in one answer; ask for the rest with POST …/parts."""

_SHA256 = r"^[0-9a-fA-F]{64}$"


class UploadRequest(Wire):
    """A song that a client wants to upload."""

    filename: str = Field(min_length=1, max_length=1024, examples=["song.flac"])
    content_type: str = Field(
        min_length=1,
        max_length=255,
        description="An audio/… type; application/octet-stream where a browser knows no better.",
        examples=["audio/flac"],
    )
    size_bytes: int = Field(ge=1, strict=True, examples=[31_457_280])
    sha256: str | None = Field(
        default=None,
        pattern=_SHA256,
        description="Digest of the whole file in hex. The first stage that reads it checks it.",
    )
    purpose: Literal["karaoke", "mastering", "cover"] = Field(
        default="karaoke",
        description="mastering takes WAV, AIFF and FLAC only, up to limits of its own; cover takes"
        " a picture (PNG, JPEG or WebP) for the background of videos.",
    )

    @field_validator("filename")
    @classmethod
    def _base_name(cls, value: str) -> str:
        return clean_filename(value)


class SignedPart(Wire):
    """Where to PUT one part."""

    part_number: int
    url: str
    expires_at: str


class UploadStarted(Wire):
    """An upload to fill."""

    upload_id: str = Field(examples=["upl_0a1b2c3d4e5f60718293a4b5c6d7e8f9"])
    object_key: str = Field(
        description="Name of the object, for POST /v1/mastering/jobs.",
        examples=["uploads/default/upl_0a1b2c3d4e5f60718293a4b5c6d7e8f9"],
    )
    part_size_bytes: int = Field(examples=[8_388_608])
    parts: list[SignedPart]
    expires_at: str = Field(examples=["2026-01-01T12:00:00.000Z"])


class ReceivedPart(Wire):
    """A part that the store has."""

    part_number: int
    size_bytes: int
    etag: str


class UploadState(Wire):
    """Where an upload stands."""

    upload_id: str
    state: Literal["open", "completed", "aborted"]
    filename: str
    content_type: str
    size_bytes: int
    part_size_bytes: int
    part_count: int
    parts: list[ReceivedPart]
    expires_at: str
    asset_id: str | None = None


class PartNumbers(Wire):
    """Parts whose URLs are wanted (again)."""

    part_numbers: list[Annotated[int, Field(ge=1, strict=True)]] = Field(
        min_length=1, max_length=MAX_SIGNED, examples=[[1, 2]]
    )


class SignedParts(Wire):
    """Fresh URLs."""

    parts: list[SignedPart]


class CompletedPart(Wire):
    """A part and the ETag that its PUT came back with."""

    part_number: int = Field(ge=1, strict=True)
    etag: str = Field(min_length=1, max_length=256)


class Completion(Wire):
    """Every part of the upload."""

    parts: list[CompletedPart] = Field(min_length=1, max_length=10_000)


class AssetMade(Wire):
    """The checked song."""

    asset_id: str = Field(examples=["ast_0a1b2c3d4e5f60718293a4b5c6d7e8f9"])


router = APIRouter(tags=["uploads"])


@router.post(
    "/uploads",
    status_code=201,
    response_model=UploadStarted,
    summary="Begin an upload",
    responses=documented(
        Code.UPLOAD_TOO_LARGE,
        Code.UPLOAD_TYPE_REFUSED,
        Code.UPLOAD_COVER_REFUSED,
        Code.UPLOAD_NOT_FOR_MASTERING,
        Code.IDEMPOTENCY_KEY_REUSED,
        Code.IDEMPOTENCY_IN_FLIGHT,
        Code.MALFORMED_JSON,
    ),
)
def create(
    request: Request,
    body: UploadRequest,
    services: ServicesDep,
    caller: CallerDep,
    idempotency_key: IdempotencyKey = None,
) -> JSONResponse:
    """Signs one PUT URL a part. Send the parts in any order, then complete the upload."""

    def work(attempt: Attempt) -> Answer:
        upload = begin(
            services,
            caller,
            Promise(
                filename=body.filename,
                content_type=body.content_type,
                size_bytes=body.size_bytes,
                sha256=(body.sha256 or "").lower(),
                purpose=body.purpose,
            ),
            seed=attempt.seed,
        )
        return Answer(
            status=201,
            body={
                "uploadId": upload.upload_id,
                "objectKey": upload.key,
                "partSizeBytes": upload.part_size_bytes,
                "expiresAt": instant(upload.expires_ms),
            },
            headers={"Location": f"/v1/uploads/{upload.upload_id}"},
        )

    def present(answer: Answer) -> Answer:
        upload = find(services, caller, answer.body["uploadId"])
        numbers = range(1, min(part_count(upload), MAX_SIGNED) + 1)
        signed = _signed(services, caller, upload, numbers) if upload.state == "open" else []
        parts = [part.wire() for part in signed]
        return Answer(answer.status, answer.body | {"parts": parts}, answer.headers)

    return once(request, services, caller, idempotency_key, body, work, present)


@router.get(
    "/uploads/{upload_id}",
    response_model=UploadState,
    response_model_exclude_none=True,
    summary="See which parts have arrived",
    responses=documented(Code.UPLOAD_NOT_FOUND),
)
def state(upload_id: str, services: ServicesDep, caller: CallerDep) -> UploadState:
    """After a broken connection: send the parts that are not listed, then complete."""
    upload = find(services, caller, upload_id)
    return UploadState(
        upload_id=upload.upload_id,
        state=upload.state,
        filename=upload.filename,
        content_type=upload.content_type,
        size_bytes=upload.size_bytes,
        part_size_bytes=upload.part_size_bytes,
        part_count=part_count(upload),
        parts=[
            ReceivedPart(part_number=part.number, size_bytes=part.bytes, etag=part.etag)
            for part in received(services, upload)
        ],
        expires_at=instant(upload.expires_ms) or "",
        asset_id=upload.asset_id if upload.state == "completed" else None,
    )


@router.post(
    "/uploads/{upload_id}/parts",
    response_model=SignedParts,
    summary="Sign parts again",
    responses=documented(Code.UPLOAD_NOT_FOUND, Code.UPLOAD_ENDED, Code.MALFORMED_JSON),
)
def sign(
    upload_id: str, body: PartNumbers, services: ServicesDep, caller: CallerDep
) -> SignedParts:
    """Fresh URLs for parts whose URLs have expired, or whose client has a new address."""
    upload = find(services, caller, upload_id)
    return SignedParts(parts=_signed(services, caller, upload, body.part_numbers))


@router.post(
    "/uploads/{upload_id}/complete",
    response_model=AssetMade,
    summary="Complete an upload",
    responses=documented(
        Code.UPLOAD_NOT_FOUND,
        Code.UPLOAD_ENDED,
        Code.UPLOAD_PARTS_MISSING,
        Code.UPLOAD_SIZE_MISMATCH,
        Code.UPLOAD_NOT_AUDIO,
        Code.UPLOAD_NOT_FOR_MASTERING,
        Code.UPLOAD_TOO_LONG,
        Code.STORE_FULL,
        Code.MALFORMED_JSON,
    ),
)
def finish(upload_id: str, body: Completion, services: ServicesDep, caller: CallerDep) -> AssetMade:
    """Joins the parts and checks the object: its size, and that its first bytes are audio.

    Asking twice gives the same answer.
    """
    upload = find(services, caller, upload_id)
    parts = [(part.part_number, part.etag) for part in body.parts]
    return AssetMade(asset_id=complete(services, caller, upload, parts))


@router.delete(
    "/uploads/{upload_id}",
    status_code=204,
    summary="Abort an upload",
    responses=documented(Code.UPLOAD_NOT_FOUND, Code.UPLOAD_ENDED),
)
def drop(upload_id: str, services: ServicesDep, caller: CallerDep) -> Response:
    """Removes the parts that have arrived. Aborting twice is no error."""
    abort(services, find(services, caller, upload_id))
    return Response(status_code=204)


def _signed(
    services: Services, caller: Caller, upload: Upload, numbers: Iterable[int]
) -> list[SignedPart]:
    return [
        SignedPart(
            part_number=number, url=signed.url, expires_at=instant(signed.expires_at_ms) or ""
        )
        for number, signed in sign_parts(services, caller, upload, numbers)
    ]
