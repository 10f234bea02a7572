"""From a promise to a checked asset.

The client sends the parts to the store itself. What the gateway believes of them it reads from the
store: the object's size and its first bytes. An object that is refused is removed.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from gateway.access.quotas import allowance, song_too_long, store_full
from gateway.guard.clients import Caller
from gateway.guard.problems import Code, Problem
from gateway.identifiers import derive
from gateway.projection.reservations import Answer, Asset, Upload
from gateway.services import Services
from gateway.settings import MIB, GatewaySettings
from gateway.sound_length import stated_seconds
from schemas.events import Artifact, UploadCompleted
from topics.artifacts.protocol import ArtifactMissing, Part, SignedUrl, Stored, UploadInvalid
from topics.sniffing import HEAD_BYTES, sniff, sniff_picture

MAX_PARTS = 10_000
"""S3's limit of parts an upload."""

_PICTURE = re.compile(r"image/(png|jpeg|webp)|application/octet-stream")

MAX_COVER_BYTES = 20 * MIB
"""A photograph of 50 megapixels has about as many."""

_AUDIO = re.compile(r"audio/[a-z0-9][a-z0-9.+-]*|application/octet-stream|application/ogg")

_MASTERABLE = re.compile(r"audio/(x-|vnd\.)?(wav|wave|aiff|flac)")
"""Media types of WAV, AIFF and FLAC by the names that browsers have for them."""

COVER = "cover"
"""The purpose of a picture that videos are shown over."""

MASTERED_FORMATS = ("wav", "rf64", "aiff", "aifc", "flac")
"""Containers that a master is made from: a lossy file has lost what mastering works on."""


@dataclass(frozen=True, slots=True)
class Promise:
    """What the client says of the file before it sends it."""

    filename: str
    content_type: str
    size_bytes: int  # 0 where the client cannot say: Uppy does not
    sha256: str  # hex, empty without one
    purpose: str


def begin(services: Services, caller: Caller, promise: Promise, *, seed: str) -> Upload:
    """Open an upload. Called again with the same seed, it finds the upload of the first call."""
    settings = services.settings
    content_type = promise.content_type.partition(";")[0].strip().lower()
    cover = promise.purpose == COVER
    if not (_PICTURE if cover else _AUDIO).fullmatch(content_type):
        kind = "an image type" if cover else "an audio type"
        raise Problem(
            Code.UPLOAD_COVER_REFUSED if cover else Code.UPLOAD_TYPE_REFUSED,
            f"contentType '{content_type[:100]}' of '{promise.filename}' is not {kind}.",
            errors=[{"pointer": "#/contentType", "message": f"not {kind}"}],
        )
    mastering = promise.purpose == "mastering"
    if mastering and not _MASTERABLE.fullmatch(content_type):
        raise Problem(
            Code.UPLOAD_NOT_FOR_MASTERING,
            f"contentType '{content_type[:100]}' of '{promise.filename}' is not one that is"
            " mastered.",
            errors=[{"pointer": "#/contentType", "message": "audio/wav, audio/aiff or audio/flac"}],
        )
    most = _most_bytes(settings, promise.purpose)
    if promise.size_bytes > most:
        raise _too_large(promise.filename, promise.size_bytes, most)
    upload_id = derive(seed, "upload")
    known = services.reservations.upload(caller.tenant, upload_id)
    if known is not None:
        return known
    if promise.size_bytes:
        _charge(services, caller, upload_id, promise.size_bytes)
    now = services.clock_ms()
    key = f"uploads/{caller.tenant}/{upload_id}"
    upload = Upload(
        upload_id=upload_id,
        tenant=caller.tenant,
        key=key,
        store_upload=services.artifacts.begin_upload(key, content_type),
        filename=promise.filename,
        content_type=content_type,
        size_bytes=promise.size_bytes,
        part_size_bytes=part_size(promise.size_bytes, settings.part_size),
        sha256=promise.sha256,
        purpose=promise.purpose,
        asset_id=derive(seed, "asset"),
        created_ms=now,
        expires_ms=now + settings.upload_ttl_seconds * 1000,
    )
    services.reservations.save_upload(upload)
    return upload


def part_size(size_bytes: int, preferred: int) -> int:
    """The preferred size, or the whole MiB that keeps the number of parts within `MAX_PARTS`."""
    least = math.ceil(size_bytes / MAX_PARTS)
    return max(preferred, math.ceil(least / MIB) * MIB)


def part_count(upload: Upload) -> int:
    """How many parts the promised size makes; 0 where none was promised."""
    return math.ceil(upload.size_bytes / upload.part_size_bytes)


def find(services: Services, caller: Caller, upload_id: str) -> Upload:
    """An upload of the caller's tenant. Raises 404."""
    upload = services.reservations.upload(caller.tenant, upload_id)
    if upload is None:
        raise Problem(Code.UPLOAD_NOT_FOUND, f"There is no upload '{upload_id[:64]}'.")
    return upload


def received(services: Services, upload: Upload) -> Sequence[Part]:
    """The parts that the store has; none once the upload has ended."""
    if upload.state != "open":
        return ()
    try:
        return services.artifacts.parts(upload.key, upload.store_upload)
    except ArtifactMissing:  # joined or swept a moment ago
        return ()


def sign_parts(
    services: Services, caller: Caller, upload: Upload, numbers: Iterable[int]
) -> Iterator[tuple[int, SignedUrl]]:
    """PUT URLs, each for its part's exact size at most; where no size was promised, for what a
    whole song may have. Raises 409 and 422.
    """
    if upload.state != "open":
        raise _ended(upload)
    wanted = sorted(set(numbers))
    count = part_count(upload) or MAX_PARTS
    most = _most_bytes(services.settings, upload.purpose)
    if wanted and wanted[-1] > count:
        raise Problem(
            Code.VALIDATION_FAILED,
            f"The upload has {count} parts; part {wanted[-1]} is none of them.",
            errors=[{"pointer": "#/partNumbers", "message": f"at most {count}"}],
        )
    for number in wanted:
        before = (number - 1) * upload.part_size_bytes
        yield (
            number,
            services.artifacts.sign_part(
                upload.key,
                upload.store_upload,
                number,
                ttl_s=services.settings.upload_url_ttl_seconds,
                ip=caller.address or None,
                max_bytes=min(upload.part_size_bytes, upload.size_bytes - before)
                if upload.size_bytes
                else most,
                exact=bool(upload.size_bytes),
            ),
        )


def complete(
    services: Services, caller: Caller, upload: Upload, parts: Sequence[tuple[int, str]]
) -> str:
    """Join, check and announce the asset; its id. Asked again, the answer is the same.

    A crash on the way leaves the upload open, and the next call goes through the same steps with
    the same ids.
    """
    if upload.state == "completed":
        return upload.asset_id
    if upload.state == "aborted":
        raise _refusal(services, upload) or _ended(upload)
    _check_numbers(upload, parts)
    try:
        stored = services.artifacts.complete_upload(upload.key, upload.store_upload, parts)
    except ArtifactMissing:
        raise _ended(upload) from None
    except UploadInvalid:
        raise Problem(
            Code.UPLOAD_PARTS_MISSING,
            f"Parts of '{upload.filename}' are missing or were sent again since: the store has"
            " other ETags than the request names.",
            extra={"received": [part.number for part in received(services, upload)]},
        ) from None
    size = services.artifacts.stat(stored.uri).bytes  # what is there, not what was said
    if not upload.size_bytes:
        _take_in(services, caller, upload, size)
    elif size != upload.size_bytes:
        raise _refuse(
            services,
            upload,
            Problem(
                Code.UPLOAD_SIZE_MISMATCH,
                f"'{upload.filename}' has {size} bytes, {upload.size_bytes} were promised;"
                " the object was removed.",
            ),
        )
    head = services.artifacts.read(stored.uri, limit=HEAD_BYTES)
    if upload.purpose == COVER:
        picture = sniff_picture(head)
        if picture is None:
            raise _refuse(
                services,
                upload,
                Problem(
                    Code.UPLOAD_COVER_REFUSED,
                    f"'{upload.filename}' is neither PNG, JPEG nor WebP; the object was removed.",
                ),
            )
        _announce(services, caller, upload, stored, picture.name, picture.media_type)
        return upload.asset_id
    found = sniff(head)
    if found is None:
        raise _refuse(
            services,
            upload,
            Problem(
                Code.UPLOAD_NOT_AUDIO,
                f"'{upload.filename}' does not begin like any audio file; the object was removed.",
            ),
        )
    refusal = _too_long(services, caller, upload, found.name, head, size)
    if refusal is None and upload.purpose == "mastering":
        refusal = _not_mastered(services, upload, found.name, head, size)
    if refusal is not None:
        raise _refuse(services, upload, refusal)
    _announce(services, caller, upload, stored, found.name, found.media_type)
    return upload.asset_id


def _take_in(services: Services, caller: Caller, upload: Upload, size: int) -> None:
    """Hold what nobody had promised to the limits, now that it is there. Raises 409 and 413."""
    most = _most_bytes(services.settings, upload.purpose)
    if size > most:
        raise _refuse(services, upload, _too_large(upload.filename, size, most))
    try:
        _charge(services, caller, upload.upload_id, size)
    except Problem as problem:
        raise _refuse(services, upload, problem) from None


def _most_bytes(settings: GatewaySettings, purpose: str) -> int:
    """Largest file of a purpose."""
    most = settings.mastering_max_bytes if purpose == "mastering" else settings.max_upload_bytes
    return min(most, MAX_COVER_BYTES) if purpose == COVER else most


def _too_large(filename: str, size: int, most: int) -> Problem:
    return Problem(
        Code.UPLOAD_TOO_LARGE,
        f"'{filename}' has {size} bytes; up to {most} are taken.",
        extra={"maxBytes": most},
    )


def _not_mastered(
    services: Services, upload: Upload, format_: str, head: bytes, size: int
) -> Problem | None:
    """Why a song that was uploaded to be mastered is not taken."""
    if format_ not in MASTERED_FORMATS:
        return Problem(
            Code.UPLOAD_NOT_FOR_MASTERING,
            f"'{upload.filename}' is {format_.upper()}; the object was removed.",
        )
    most_s = services.settings.mastering_max_seconds
    seconds = stated_seconds(head, format_, size)
    if seconds is not None and seconds > most_s:
        return Problem(
            Code.UPLOAD_TOO_LONG,
            f"'{upload.filename}' is {seconds / 60:.0f} minutes long; up to {most_s / 60:g} are"
            " mastered. The object was removed.",
        )
    return None


def abort(services: Services, upload: Upload) -> None:
    """Drop the parts. Raises 409 when the upload was completed."""
    state = services.reservations.end_upload(upload.tenant, upload.upload_id, "aborted")
    if state == "completed":
        raise _ended(upload)
    services.artifacts.abort_upload(upload.key, upload.store_upload)
    services.reservations.refund(upload.tenant, upload.upload_id)


def sweep(services: Services) -> int:
    """Abort uploads that nobody finished in time; how many. To be called now and then."""
    expired = services.reservations.expired_uploads(services.clock_ms())
    for upload in expired:
        _let_go(services, upload)
    return len(expired)


def _check_numbers(upload: Upload, parts: Sequence[tuple[int, str]]) -> None:
    given = [number for number, _ in parts]
    expected = range(1, (part_count(upload) or max(given, default=1)) + 1)
    if sorted(given) != list(expected):
        missing = sorted(set(expected) - set(given))
        raise Problem(
            Code.UPLOAD_PARTS_MISSING,
            f"'{upload.filename}' has {len(expected)} parts, each named once; "
            + (f"missing: {_some(missing)}." if missing else "the request names others."),
            extra={"missing": missing},
        )


def _announce(
    services: Services, caller: Caller, upload: Upload, stored: Stored, format_: str, media: str
) -> None:
    source = Artifact(
        name="source",
        uri=stored.uri,
        sha256=upload.sha256 or stored.sha256 or "",
        bytes=stored.bytes,
        media_type=media,
    )
    services.reservations.save_asset(
        Asset(
            asset_id=upload.asset_id,
            tenant=upload.tenant,
            upload_id=upload.upload_id,
            artifact=source,
            format=format_,
            filename=upload.filename,
            purpose=upload.purpose,
            created_ms=services.clock_ms(),
        )
    )
    event = UploadCompleted(
        asset_id=upload.asset_id,
        upload_id=upload.upload_id,
        tenant=upload.tenant,
        filename=upload.filename,
        format=format_,
        purpose=upload.purpose,
        source=source,
    )
    services.publisher.accept([event], cause=upload.upload_id, traceparent=caller.traceparent)
    services.reservations.end_upload(upload.tenant, upload.upload_id, "completed")


def _refuse(services: Services, upload: Upload, problem: Problem) -> Problem:
    """Remove the object, end the upload and keep why, so that asking again says the same."""
    kept = Answer(problem.code.status, {"code": problem.code.name, "detail": problem.detail})
    now = services.clock_ms()
    services.reservations.reserve(upload.tenant, _refusal_key(upload), "", {}, now)
    services.reservations.complete(upload.tenant, _refusal_key(upload), kept, now)
    services.artifacts.delete(services.artifacts.uri(upload.key))
    _let_go(services, upload)
    return problem


def _let_go(services: Services, upload: Upload) -> None:
    """End an upload that nothing will come of."""
    state = services.reservations.end_upload(upload.tenant, upload.upload_id, "aborted")
    services.artifacts.abort_upload(upload.key, upload.store_upload)
    if state != "completed":
        services.reservations.refund(upload.tenant, upload.upload_id)


def _charge(services: Services, caller: Caller, upload_id: str, size: int) -> None:
    """Put an upload on its tenant's account before anything is kept. Raises 409."""
    most = allowance(services.settings, caller).stored_bytes
    if services.reservations.charge(caller.tenant, upload_id, size, most=most) is None:
        kept = services.reservations.charged(caller.tenant)
        raise store_full(services.settings, caller, kept, size)


def _too_long(
    services: Services, caller: Caller, upload: Upload, format_: str, head: bytes, size: int
) -> Problem | None:
    """Why a song is longer than its tenant may have, where its head says how long it is. Of the
    others (MP3, M4A, OGG) the stage that decodes them says it: the job carries the quota.
    """
    most_s = allowance(services.settings, caller).song_s
    seconds = stated_seconds(head, format_, size) if most_s is not None else None
    if most_s is None or seconds is None or seconds <= most_s:
        return None
    return song_too_long(services.settings, caller, upload.filename, seconds)


def _refusal(services: Services, upload: Upload) -> Problem | None:
    kept = services.reservations.reserve(
        upload.tenant, _refusal_key(upload), "", {}, services.clock_ms()
    )
    if isinstance(kept, Answer):
        return Problem(Code[kept.body["code"]], kept.body["detail"])
    return None


def _refusal_key(upload: Upload) -> str:
    return f"refused:{upload.upload_id}"


def _ended(upload: Upload) -> Problem:
    ended = "completed" if upload.state == "completed" else "aborted, refused or left too long"
    extra = {"assetId": upload.asset_id} if upload.state == "completed" else {}
    return Problem(Code.UPLOAD_ENDED, f"Upload '{upload.upload_id}' was {ended}.", extra=extra)


def _some(numbers: Sequence[int]) -> str:
    shown = ", ".join(str(number) for number in numbers[:10])
    return f"{shown} and {len(numbers) - 10} more" if len(numbers) > 10 else shown
