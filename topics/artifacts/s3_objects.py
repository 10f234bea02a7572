"""The objects of an S3 bucket: whole PUTs, conditional ones, reading that survives a cut."""

from __future__ import annotations

import base64
import hashlib
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from topics.artifacts.files import CHUNK_BYTES
from topics.artifacts.keys import check_key
from topics.artifacts.protocol import ArtifactError, ArtifactMissing, Stored
from topics.artifacts.s3_claims import CLAIMS, Claims
from topics.artifacts.s3_client import code_of, explained, is_missing
from topics.artifacts.s3_settings import S3Settings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

CHECKS: Final = "_checks/"  # the store's notes of what the server can do
SHA256: Final = "sha256"  # x-amz-meta-sha256

_WRITER: Final = "writer"  # x-amz-meta-writer
_TAKEN: Final = "PreconditionFailed"
_RACED: Final = "ConditionalRequestConflict"  # AWS: somebody else is writing; ask again
_RACES: Final = 10
_UNCONDITIONAL: Final = frozenset({"NotImplemented", "InvalidArgument", "InvalidRequest"})
_RESUMED: Final = 5  # times that a broken download goes on without having got any further
_LONGEST_PAUSE_S: Final = 20.0  # between two tries, in the client's standard mode


class S3Objects:
    """The objects of a bucket, by key."""

    def __init__(
        self,
        settings: S3Settings,
        client: S3Client,
        clock: Callable[[], float],
        new_id: Callable[[], str],
    ) -> None:
        self._settings = settings
        self._bucket = settings.s3_bucket
        self._client = client
        self._clock = clock
        self._new_id = new_id
        choice = {"auto": None, "on": True, "off": False}
        self._conditional: bool | None = choice[settings.s3_conditional_writes]
        self._deciding = threading.Lock()
        request_s = (
            settings.s3_connect_timeout_seconds
            + settings.s3_read_timeout_seconds
            + _LONGEST_PAUSE_S
        )
        self.claims = Claims(self, 2 * settings.s3_attempts * request_s, new_id)

    def uri(self, key: str) -> str:
        """``s3://bucket/key``."""
        return f"s3://{self._bucket}/{check_key(key)}"

    def put(self, key: str, data: bytes, media_type: str, *, writer: str | None = None) -> Stored:
        """One PUT; with ``writer`` only where there is nothing yet."""
        sha256 = hashlib.sha256(data).hexdigest()
        only: dict[str, Any] = {} if writer is None else {"IfNoneMatch": "*"}
        named = {} if writer is None else {_WRITER: writer}
        with explained(self._settings, f"store '{key}'"):
            self._client.put_object(
                Bucket=self._bucket,
                Key=key,
                Body=data,
                ContentType=media_type,
                ContentMD5=md5_of(data),
                Metadata={SHA256: sha256, **named},
                **only,
            )
        return Stored(self.uri(key), len(data), media_type, sha256)

    def put_if_absent(self, key: str, data: bytes, media_type: str) -> bool:
        """See `ArtifactStore.put_if_absent`."""
        check_key(key)
        if self.has_conditional_writes():
            return self._put_once(key, data, media_type)
        if self.is_there(key):
            return False
        with self.claims.alone(key):
            if self.is_there(key):
                return False
            self.put(key, data, media_type)
            return True

    def has_conditional_writes(self) -> bool:
        """Whether the server keeps to ``If-None-Match: *`` of a PUT; tried once, if not set."""
        with self._deciding:
            if self._conditional is None:
                self._conditional = self._try_condition()
            return self._conditional

    def head(self, key: str) -> Mapping[str, Any]:
        """The answer to a HEAD. Raises `ArtifactMissing`."""
        with explained(self._settings, f"look up '{key}'"):
            try:
                return self._client.head_object(Bucket=self._bucket, Key=key)
            except ClientError as error:
                if is_missing(error):
                    raise _no_object(key, self._bucket) from error
                raise

    def is_there(self, key: str) -> bool:
        """Whether there is an object."""
        try:
            self.head(key)
        except ArtifactMissing:
            return False
        return True

    def stored(self, key: str, head: Mapping[str, Any]) -> Stored:
        """What a HEAD says of an object."""
        return Stored(
            self.uri(key),
            head["ContentLength"],
            head["ContentType"],
            head["Metadata"].get(SHA256),
        )

    def chunks(self, key: str, limit: int | None) -> Iterator[bytes]:
        """The bytes, or the first ``limit`` of them; a broken answer is asked for the rest."""
        at, etag, left = 0, "", _RESUMED
        with explained(self._settings, f"read '{key}'"):
            while True:
                rest: dict[str, Any] = {"IfMatch": etag} if at else {}
                if at or limit is not None:
                    rest["Range"] = f"bytes={at}-{'' if limit is None else limit - 1}"
                try:
                    answer = self._client.get_object(Bucket=self._bucket, Key=key, **rest)
                except ClientError as error:
                    if is_missing(error):
                        raise _no_object(key, self._bucket) from error
                    if code_of(error) == "InvalidRange" and not at:
                        return  # there, and without bytes
                    raise
                etag, end = answer["ETag"], at + answer["ContentLength"]
                try:
                    with closing(answer["Body"]) as body:
                        for chunk in body.iter_chunks(CHUNK_BYTES):
                            at, left = at + len(chunk), _RESUMED
                            yield chunk
                except BotoCoreError:
                    left -= 1
                    if left < 0:
                        raise
                if at >= end:
                    return

    def keys(self, prefix: str) -> Iterator[str]:
        """Every key under a prefix, in order, without the store's own notes."""
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=prefix
        )
        with explained(self._settings, f"list '{prefix}'"):
            for page in pages:
                yield from (
                    found["Key"]
                    for found in page.get("Contents", ())
                    if not found["Key"].startswith((CHECKS, CLAIMS))
                )

    def remove(self, key: str) -> None:
        """Remove an object, if it is there."""
        with explained(self._settings, f"remove '{key}'"):
            self._client.delete_object(Bucket=self._bucket, Key=key)

    # -- what `Claims` need ----------------------------------------------------------------------

    def post(self, key: str) -> None:
        """Write a claim."""
        self.put(key, b"", "text/plain")

    def withdraw(self, key: str) -> None:
        """Remove a claim."""
        self.remove(key)

    def ages(self, prefix: str) -> dict[str, float]:
        """Keys with their age in seconds, by the server's clock."""
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=prefix
        )
        with explained(self._settings, f"list '{prefix}'"):
            return {
                found["Key"]: server_time(page, self._clock()) - found["LastModified"].timestamp()
                for page in pages
                for found in page.get("Contents", ())
            }

    # -- conditional writes ----------------------------------------------------------------------

    def _put_once(self, key: str, data: bytes, media_type: str) -> bool:
        writer = self._new_id()
        for _ in range(_RACES):
            try:
                self.put(key, data, media_type, writer=writer)
            except ArtifactError as error:
                answer = error.__cause__
                if not isinstance(answer, ClientError) or code_of(answer) not in (_TAKEN, _RACED):
                    raise
                if code_of(answer) == _RACED:
                    continue
                # A first try may have come through though its answer was lost: is it ours?
                return self._writer(key) == writer
            return True
        raise ArtifactError(
            f"artifacts: S3 cannot store '{key}': others kept writing it; try again"
        )

    def _writer(self, key: str) -> str | None:
        try:
            writer: str | None = self.head(key)["Metadata"].get(_WRITER)
        except ArtifactMissing:  # removed since
            return None
        return writer

    def _try_condition(self) -> bool:
        """Write a note that may be there: refused once it is, or the condition is not kept."""
        with explained(self._settings, "try a conditional write"):
            for _ in range(2):
                try:
                    self._client.put_object(
                        Bucket=self._bucket, Key=f"{CHECKS}conditional", IfNoneMatch="*"
                    )
                except ClientError as error:
                    if code_of(error) in (_TAKEN, _RACED):
                        return True
                    if code_of(error) in _UNCONDITIONAL:
                        return False
                    raise
        return False


def md5_of(data: bytes) -> str:
    """Content-MD5 of a body: base64, RFC 1864."""
    return base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()


def server_time(answer: Mapping[str, Any], otherwise_s: float) -> float:
    """The server's clock when it answered, Unix seconds."""
    date = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date", "")
    try:
        return parsedate_to_datetime(date).timestamp()
    except (TypeError, ValueError):
        return otherwise_s


def _no_object(key: str, bucket: str) -> ArtifactMissing:
    return ArtifactMissing(f"artifacts: there is no object '{key}' in bucket '{bucket}'")
