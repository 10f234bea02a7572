"""Artifacts in an S3 bucket: AWS, MinIO, Backblaze B2, Cloudflare R2 through one client.

An object is written by one PUT, or in parts that become an object all at once; nobody sees half of
one. Every body carries its MD5, which the server checks, and the sha256 of what we write lies in
the object's metadata. The bucket is the product's own; ``_checks/`` and ``_claims/`` are its notes.
"""

from __future__ import annotations

import contextlib
import itertools
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from pathlib import Path
from typing import BinaryIO, Final
from urllib.parse import quote

from topics.artifacts.files import CHUNK_BYTES, new_file, room_for
from topics.artifacts.keys import InvalidKey, check_key
from topics.artifacts.multipart import check_number
from topics.artifacts.protocol import (
    ArtifactCorrupt,
    ArtifactError,
    ArtifactMissing,
    New,
    Part,
    SignedUrl,
    Stored,
)
from topics.artifacts.s3_claims import CLAIMS
from topics.artifacts.s3_client import explained, s3_client, session
from topics.artifacts.s3_objects import CHECKS, S3Objects
from topics.artifacts.s3_settings import S3Settings
from topics.artifacts.s3_signing import Origin, Signer
from topics.artifacts.s3_uploads import PART_BYTES, S3Uploads
from topics.artifacts.signing import IpBinding

_CHECK_S: Final = 1.4  # of each request; just under the 1.5 s that a health check may take
_AT_ONCE: Final = 4  # objects of one `put_all` on their way
_PROBE: Final = f"{CHECKS}probe"


class S3Store:
    """A `topics.artifacts.protocol.ArtifactStore` in a bucket. For several threads."""

    def __init__(
        self,
        settings: S3Settings,
        *,
        ip_binding: IpBinding = "enforce",
        clock: Callable[[], float] = time.time,
        new_id: Callable[[], str] = lambda: uuid.uuid4().hex,
    ) -> None:
        """Connects to nothing yet. ``clock`` gives Unix seconds. Raises `ArtifactError` for
        settings that cannot be used."""
        settings.check_binding(ip_binding)
        self.settings = settings
        self.bucket = settings.s3_bucket
        self.clock = clock
        made_in = session(settings)
        self.client = s3_client(settings, made_in)
        self._check_client = s3_client(settings, made_in, longest_s=_CHECK_S)
        self._objects = S3Objects(settings, self.client, clock, new_id)
        self._uploads = S3Uploads(settings, self.client, self._objects, new_id)
        origin = Origin(
            settings.s3_public_endpoint or self.client.meta.endpoint_url,
            self.bucket,
            settings.s3_region,
            settings.s3_path_style,
        )
        self._signer = Signer(settings, made_in, origin, ip_binding, clock)

    # -- objects -------------------------------------------------------------------------------

    def uri(self, key: str) -> str:
        """``s3://bucket/key``."""
        return self._objects.uri(key)

    def key_of(self, uri: str) -> str:
        """The key in a URI of this bucket. Raises `InvalidKey`."""
        start = f"s3://{self.bucket}/"
        if not uri.startswith(start):
            raise InvalidKey(
                f"artifacts: {uri[:80]!r} is not in this store, which holds '{start}…'"
            )
        return check_key(uri[len(start) :])

    def put(self, key: str, source: Path | bytes | BinaryIO, media_type: str) -> Stored:
        """See `ArtifactStore.put`."""
        check_key(key)
        with _rewindable(source, key) as file:
            head = file.read(PART_BYTES + 1)
            if len(head) <= PART_BYTES:
                return self._objects.put(key, head, media_type)
            file.seek(0)
            return self._uploads.send(key, file, media_type)

    def put_all(self, new: Sequence[New]) -> Sequence[Stored]:
        """See `ArtifactStore.put_all`. Side by side: a request waits far longer than it works."""
        with ThreadPoolExecutor(_AT_ONCE, "s3") as pool:
            # With the context of this thread: what the client logs belongs to its job.
            putting = [
                pool.submit(copy_context().run, self.put, each.key, each.source, each.media_type)
                for each in new
            ]
            return [each.result() for each in putting]

    def put_if_absent(self, key: str, data: bytes, media_type: str) -> bool:
        """See `ArtifactStore.put_if_absent`. By ``If-None-Match`` where the server keeps to it, by
        `Claims` elsewhere."""
        return self._objects.put_if_absent(key, data, media_type)

    def read(self, uri: str, *, limit: int | None = None) -> bytes:
        """See `ArtifactStore.read`."""
        key = self.key_of(uri)
        if limit == 0:
            self._objects.head(key)
            return b""
        return b"".join(self._objects.chunks(key, limit))

    def fetch(
        self,
        uri: str,
        target: Path,
        *,
        sha256: str | None = None,
        seen: Callable[[bytes], None] | None = None,
    ) -> str:
        """See `ArtifactStore.fetch`. A broken connection is taken up where it broke; ``target``
        is replaced whole, or left as it was."""
        key = self.key_of(uri)
        chunks = self._objects.chunks(key, None)
        first = next(chunks, b"")  # nothing is made for what is missing
        target.parent.mkdir(parents=True, exist_ok=True)
        with new_file(target.parent, f"a copy of '{key}'") as file:
            for chunk in itertools.chain([first], chunks):
                file.write(chunk)
                if seen is not None:
                    seen(chunk)
            if sha256 is not None and file.sha256 != sha256.lower():
                raise ArtifactCorrupt(
                    f"artifacts: '{key}' is damaged: its sha256 is {file.sha256}, not {sha256}; "
                    "make or upload it again"
                )
            file.publish(target, durable=False)
            return file.sha256

    def stat(self, uri: str) -> Stored:
        """See `ArtifactStore.stat`."""
        key = self.key_of(uri)
        return self._objects.stored(key, self._objects.head(key))

    def delete(self, uri: str) -> None:
        """See `ArtifactStore.delete`."""
        self._objects.remove(self.key_of(uri))

    def keys(self, prefix: str) -> Iterator[str]:
        """See `ArtifactStore.keys`."""
        return self._objects.keys(prefix)

    # -- multipart uploads ---------------------------------------------------------------------

    def begin_upload(self, key: str, media_type: str) -> str:
        """See `ArtifactStore.begin_upload`."""
        return self._uploads.begin(key, media_type, {})

    def parts(self, key: str, upload: str) -> Sequence[Part]:
        """See `ArtifactStore.parts`."""
        return self._uploads.parts(key, upload)

    def complete_upload(self, key: str, upload: str, parts: Sequence[tuple[int, str]]) -> Stored:
        """See `ArtifactStore.complete_upload`."""
        # Missing: unknown, or complete already. Then the object tells.
        with contextlib.suppress(ArtifactMissing):
            self._uploads.complete(key, upload, parts)
        return self._uploads.result(key, upload)

    def abort_upload(self, key: str, upload: str) -> None:
        """See `ArtifactStore.abort_upload`. A completed one stays complete."""
        self._uploads.abort(key, upload)

    def stale_uploads(self, older_than_s: float) -> Sequence[tuple[str, str]]:
        """``(key, upload)`` of the open uploads begun longer ago than that, for `abort_upload`.

        MinIO lists none without their keys; it drops stale ones itself, after a day.
        """
        return self._uploads.stale(older_than_s, self.clock())

    def sweep(self, older_than_s: float) -> int:
        """Abort stale uploads and remove dead processes' claims. Returns how many were removed."""
        stale = self.stale_uploads(older_than_s)
        for key, upload in stale:
            self.abort_upload(key, upload)
        longest_s = max(older_than_s, self._objects.claims.expiry_s)
        left = [key for key, age_s in self._objects.ages(CLAIMS).items() if age_s > longest_s]
        for key in left:
            self._objects.remove(key)
        return len(stale) + len(left)

    # -- signed URLs ---------------------------------------------------------------------------

    def sign_part(
        self,
        key: str,
        upload: str,
        number: int,
        *,
        ttl_s: int,
        ip: str | None,
        max_bytes: int,
        exact: bool = True,
    ) -> SignedUrl:
        """See `ArtifactStore.sign_part`. S3 holds a part to exactly ``max_bytes``: the length is
        signed, and a body of another gets 403. It knows no upper limit: not ``exact``, none holds.
        """
        check_number(number)
        upload_id = self._uploads.id_of(key, upload)
        parameters = {"partNumber": str(number), "uploadId": upload_id}
        return self._signer.sign(
            "PUT", key, parameters, ttl_s=ttl_s, ip=ip, length=max_bytes if exact else None
        )

    def sign_get(
        self, uri: str, *, ttl_s: int, ip: str | None, filename: str | None = None
    ) -> SignedUrl:
        """See `ArtifactStore.sign_get`. Signed for GET alone: HEAD is another request to S3."""
        parameters = {}
        if filename is not None:
            # RFC 6266 with the encoding of RFC 8187: names in any script.
            name = f"attachment; filename*=UTF-8''{quote(filename, safe='')}"
            parameters["response-content-disposition"] = name
        return self._signer.sign("GET", self.key_of(uri), parameters, ttl_s=ttl_s, ip=ip)

    # -- health --------------------------------------------------------------------------------

    def check(self) -> None:
        """See `ArtifactStore.check`. Two requests, tried once and soon given up."""
        with explained(self.settings, "be read and written"):
            self._check_client.put_object(Bucket=self.bucket, Key=_PROBE, Body=b"probe")
            answer = self._check_client.get_object(Bucket=self.bucket, Key=_PROBE)
            if answer["Body"].read() != b"probe":
                raise ArtifactError("artifacts: S3 gives back other bytes than it took")


@contextmanager
def _rewindable(source: Path | bytes | BinaryIO, key: str) -> Iterator[BinaryIO]:
    """A source as a file that can be read twice: for its digest, then for its bytes."""
    if isinstance(source, Path):
        with source.open("rb") as file:
            yield file
        return
    with tempfile.SpooledTemporaryFile(max_size=PART_BYTES) as copy:
        with room_for(f"a copy of '{key}'"):
            if isinstance(source, bytes):
                copy.write(source)
            else:
                while chunk := source.read(CHUNK_BYTES):
                    copy.write(chunk)
            copy.seek(0)
        yield copy  # type: ignore[misc]
