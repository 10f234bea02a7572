"""Multipart uploads on S3, as clients make them through presigned URLs.

The id of an upload is ours and the server's, ``<nonce>:<uploadId>``. The nonce lies in the
object's metadata too: after a completion whose answer was lost, the upload is gone and the nonce
tells that the object is its result, on every server.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, BinaryIO, Final

from botocore.exceptions import ClientError

from topics.artifacts.files import CHUNK_BYTES
from topics.artifacts.keys import check_key
from topics.artifacts.multipart import check_number, chosen_parts
from topics.artifacts.protocol import ArtifactError, ArtifactMissing, Part, Stored, UploadInvalid
from topics.artifacts.s3_client import code_of, explained, is_missing
from topics.artifacts.s3_objects import SHA256, S3Objects, md5_of, server_time
from topics.artifacts.s3_settings import S3Settings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

UPLOAD: Final = "upload"  # x-amz-meta-upload
PART_BYTES: Final = 16 * 2**20
"""Our own parts, and the largest object that is sent in one: 5 MiB to 5 GiB are allowed, 10,000 of
them; each is held in memory, here and by some servers."""

_BAD_PARTS: Final = frozenset({"InvalidPart", "InvalidPartOrder", "EntityTooSmall", "MalformedXML"})


class S3Uploads:
    """The multipart uploads of a bucket."""

    def __init__(
        self,
        settings: S3Settings,
        client: S3Client,
        objects: S3Objects,
        new_id: Callable[[], str],
    ) -> None:
        self._settings = settings
        self._objects = objects
        self._bucket = settings.s3_bucket
        self._client = client
        self._new_id = new_id

    def begin(self, key: str, media_type: str, metadata: Mapping[str, str]) -> str:
        """Open an upload."""
        check_key(key)
        nonce = self._new_id()
        with explained(self._settings, f"begin an upload of '{key}'"):
            answer = self._client.create_multipart_upload(
                Bucket=self._bucket,
                Key=key,
                ContentType=media_type,
                Metadata={**metadata, UPLOAD: nonce},
            )
        return f"{nonce}:{answer['UploadId']}"

    def parts(self, key: str, upload: str) -> list[Part]:
        """The parts received, in order. Raises `ArtifactMissing`."""
        upload_id = self.id_of(key, upload)
        pages = self._client.get_paginator("list_parts").paginate(
            Bucket=self._bucket, Key=key, UploadId=upload_id
        )
        with explained(self._settings, f"list the parts of '{key}'"):
            try:
                parts = [
                    Part(part["PartNumber"], part["Size"], part["ETag"].strip('"'))
                    for page in pages
                    for part in page.get("Parts", ())
                ]
            except ClientError as error:
                if is_missing(error):
                    raise _no_upload(key, upload) from error
                raise
        # s3proxy lists no parts of an upload that it does not know, where others say so.
        if not parts and not any(found == upload_id for _, found, _ in self._open(key)):
            raise _no_upload(key, upload)
        return sorted(parts, key=lambda part: part.number)

    def complete(self, key: str, upload: str, wanted: Sequence[tuple[int, str]]) -> None:
        """Join parts. Raises `UploadInvalid`, and `ArtifactMissing` for an upload that is gone,
        perhaps because it is complete."""
        try:
            self._join(key, upload, wanted)
        except UploadInvalid as refusal:
            # A faster completion removes the parts one by one when the object is there (s3proxy
            # was seen to): what is missing then is missing for a good reason.
            try:
                self.result(key, upload)
            except ArtifactMissing:
                raise refusal from None
            raise _no_upload(key, upload) from refusal

    def _join(self, key: str, upload: str, wanted: Sequence[tuple[int, str]]) -> None:
        received = {part.number: part for part in self.parts(key, upload)}
        chosen = chosen_parts(key, received, wanted)
        with explained(self._settings, f"complete the upload of '{key}'"):
            try:
                self._client.complete_multipart_upload(
                    Bucket=self._bucket,
                    Key=key,
                    UploadId=self.id_of(key, upload),
                    MultipartUpload={
                        "Parts": [{"PartNumber": p.number, "ETag": f'"{p.etag}"'} for p in chosen]
                    },
                )
            except ClientError as error:
                if is_missing(error):
                    raise _no_upload(key, upload) from error
                if code_of(error) in _BAD_PARTS:
                    raise UploadInvalid(
                        f"artifacts: the parts of '{key}' cannot be joined ({code_of(error)}); "
                        "all but the last must have 5 MiB or more: list the parts or upload again"
                    ) from error
                raise

    def send(self, key: str, file: BinaryIO, media_type: str) -> Stored:
        """Store a file, at its beginning, in parts. Raises `ArtifactError`, after
        which nothing of it is kept."""
        sha256 = _digest(file)
        upload = self.begin(key, media_type, {SHA256: sha256})
        try:
            sent, parts = hashlib.sha256(), []
            for number, data in enumerate(_blocks(file, PART_BYTES), 1):
                check_number(number)
                sent.update(data)
                with explained(self._settings, f"store part {number} of '{key}'"):
                    answer = self._client.upload_part(
                        Bucket=self._bucket,
                        Key=key,
                        UploadId=self.id_of(key, upload),
                        PartNumber=number,
                        Body=data,
                        ContentMD5=md5_of(data),
                    )
                parts.append((number, answer["ETag"]))
            if sent.hexdigest() != sha256:
                raise ArtifactError(
                    f"artifacts: the file changed while it was stored as '{key}'; nothing of it "
                    "was kept: store it when it is finished"
                )
            with contextlib.suppress(ArtifactMissing):  # by a try whose answer was lost
                self.complete(key, upload, parts)
            return self.result(key, upload)
        except BaseException:
            self.abort(key, upload)
            raise

    def result(self, key: str, upload: str) -> Stored:
        """The object that an upload became. Raises `ArtifactMissing`."""
        nonce = upload.partition(":")[0]
        found = self._objects.head(key)
        if not nonce or found["Metadata"].get(UPLOAD) != nonce:
            raise _no_upload(key, upload)
        return self._objects.stored(key, found)

    def abort(self, key: str, upload: str) -> None:
        """Drop an upload and its parts; an unknown one is no error."""
        _, colon, upload_id = upload.partition(":")
        if not colon or not upload_id:
            return
        with explained(self._settings, f"abort the upload of '{key}'"):
            try:
                self._client.abort_multipart_upload(
                    Bucket=self._bucket, Key=check_key(key), UploadId=upload_id
                )
            except ClientError as error:
                if not is_missing(error):
                    raise

    def stale(self, older_than_s: float, now_s: float) -> list[tuple[str, str]]:
        """``(key, upload)`` of the open uploads begun longer ago than that, by the server's
        clock where it shows one."""
        return [
            (key, f":{upload_id}")
            for key, upload_id, age_s in self._open("", now_s)
            if age_s > older_than_s
        ]

    def id_of(self, key: str, upload: str) -> str:
        """The server's id of an upload. Raises `ArtifactMissing` for what is no upload's id."""
        check_key(key)
        nonce, _, upload_id = upload.partition(":")
        if not nonce or not upload_id:
            raise _no_upload(key, upload)
        return upload_id

    def _open(self, prefix: str, now_s: float = 0.0) -> Iterator[tuple[str, str, float]]:
        """Key, server's id and age of open uploads. MinIO lists those of one whole key only."""
        pages = self._client.get_paginator("list_multipart_uploads").paginate(
            Bucket=self._bucket, Prefix=prefix
        )
        with explained(self._settings, "list the uploads"):
            for page in pages:
                now = server_time(page, now_s)
                for found in page.get("Uploads", ()):
                    yield found["Key"], found["UploadId"], now - found["Initiated"].timestamp()


def _blocks(file: BinaryIO, size: int) -> Iterator[bytes]:
    return iter(lambda: file.read(size), b"")


def _digest(file: BinaryIO) -> str:
    """The sha256 of a file, which is then at its beginning again."""
    digest = hashlib.sha256()
    for chunk in _blocks(file, CHUNK_BYTES):
        digest.update(chunk)
    file.seek(0)
    return digest.hexdigest()


def _no_upload(key: str, upload: str) -> ArtifactMissing:
    return ArtifactMissing(
        f"artifacts: there is no open upload {upload[:64]!r} of '{key}'; begin another one"
    )
