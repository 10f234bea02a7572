"""Where the bytes live that events refer to: uploads, stems, documents.

Two kinds of key share a store: uploads (``uploads/<tenant>/<uploadId>``), which clients write
through presigned URLs, and results (``results/<stage>/<digest>/<name>``), which stages write.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple, Protocol


class ArtifactError(Exception):
    """The store could not do what was asked; the message names the object and what to do."""

    code = "artifact_error"


class ArtifactMissing(ArtifactError):
    """No such object."""

    code = "artifact_missing"


class ArtifactCorrupt(ArtifactError):
    """The bytes are not those that the reference promises."""

    code = "artifact_corrupt"


class StoreFull(ArtifactError):
    """No room is left. Nothing of the object was kept."""

    code = "store_full"


class UploadInvalid(ArtifactError):
    """A multipart upload cannot be completed: parts missing, unknown or changed."""

    code = "upload_invalid"


class New(NamedTuple):
    """An object to write."""

    key: str
    source: Path | bytes | BinaryIO
    media_type: str
    given: bool = False
    """The file is the store's to take, where it would copy it: it may be gone afterwards."""


@dataclass(frozen=True, slots=True)
class Stored:
    """An object in the store. ``sha256`` is None where the store did not read the bytes itself."""

    uri: str
    bytes: int
    media_type: str
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """A received part of a multipart upload."""

    number: int  # from 1
    bytes: int
    etag: str  # without the quotes it has in HTTP


@dataclass(frozen=True, slots=True)
class SignedUrl:
    """A URL that works from one address until a moment."""

    url: str
    expires_at_ms: int  # Unix time


class ArtifactStore(Protocol):
    """Objects by key, written whole or not at all."""

    def uri(self, key: str) -> str:
        """The ``uri`` that events carry for a key, valid in every process of the product."""

    def put(self, key: str, source: Path | bytes | BinaryIO, media_type: str) -> Stored:
        """Write an object atomically (replacing one of the same key) and digest it as written."""

    def put_all(self, new: Sequence[New]) -> Sequence[Stored]:
        """`put` for several keys, in less time than one after the other. Each is there whole or
        not at all; where this raises, some may be there."""

    def put_if_absent(self, key: str, data: bytes, media_type: str) -> bool:
        """Write a small object unless the key is taken; exactly one of racing callers gets True."""

    def read(self, uri: str, *, limit: int | None = None) -> bytes:
        """The bytes, or the first ``limit`` of them. Raises `ArtifactMissing`."""

    def fetch(
        self,
        uri: str,
        target: Path,
        *,
        sha256: str | None = None,
        seen: Callable[[bytes], None] | None = None,
    ) -> str:
        """Copy to a file and return the sha256 as read. Raises `ArtifactCorrupt` on a mismatch.

        ``seen`` is given the bytes on their way, each once and in order; nothing vouches for them
        before this returns.
        """

    def stat(self, uri: str) -> Stored:
        """Size and type. Raises `ArtifactMissing`."""

    def delete(self, uri: str) -> None:
        """Remove an object; a missing one is no error."""

    def keys(self, prefix: str) -> Iterator[str]:
        """Every key under a prefix, in order."""

    def begin_upload(self, key: str, media_type: str) -> str:
        """Open a multipart upload and return the store's own id of it."""

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
        """A PUT URL for one part, of at most ``max_bytes`` where the store can enforce it. Not
        ``exact``: of any size up to that.
        """

    def parts(self, key: str, upload: str) -> Sequence[Part]:
        """The parts received so far, in order. Raises `ArtifactMissing` for an unknown upload."""

    def complete_upload(self, key: str, upload: str, parts: Sequence[tuple[int, str]]) -> Stored:
        """Join ``(number, etag)`` parts into the object, ETags with or without their quotes.

        Asked again, it gives the same answer. Raises `UploadInvalid`, and `ArtifactMissing` for an
        upload that is unknown or whose object was deleted since.
        """

    def abort_upload(self, key: str, upload: str) -> None:
        """Drop an upload and its parts; an unknown one is no error."""

    def sweep(self, older_than_s: float) -> int:
        """Abort uploads begun longer ago than that, clear what dead processes left; how many."""

    def sign_get(
        self, uri: str, *, ttl_s: int, ip: str | None, filename: str | None = None
    ) -> SignedUrl:
        """A GET URL (Range works) that offers ``filename`` when it is saved."""

    def check(self) -> None:
        """Raise `ArtifactError` unless the store can be read and written now."""
