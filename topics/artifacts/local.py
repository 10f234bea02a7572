"""Artifacts in a folder: what `melisma up` stores in when there is no S3.

Layout under the root: ``objects/`` (`topics.artifacts.local_objects`), ``uploads/<id>/`` (parts
being received), ``new/`` (files being written).
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO

from topics.artifacts import keys as names
from topics.artifacts.files import (
    CHUNK_BYTES,
    NewFile,
    chunks_of,
    make_folder,
    new_file,
    room_for,
    taken_file,
)
from topics.artifacts.local_objects import LocalObjects, found
from topics.artifacts.multipart import PartWriter, Upload, Uploads, check_number, whole_etag
from topics.artifacts.protocol import (
    ArtifactCorrupt,
    ArtifactError,
    ArtifactMissing,
    New,
    Part,
    SignedUrl,
    Stored,
    UploadInvalid,
)
from topics.artifacts.signing import Grant, IpBinding, check_secrets, sign


class LocalStore:
    """A `topics.artifacts.protocol.ArtifactStore` in a folder of a local disk.

    Several threads and processes may use one folder. Signed URLs are paths under ``base_url``
    that the gateway serves (`topics.artifacts.serving`); processes that sign and the one that
    serves share the secrets and ``ip_binding``.
    """

    def __init__(
        self,
        root: Path,
        *,
        secret: bytes,
        base_url: Callable[[], str] | str,
        old_secrets: Sequence[bytes] = (),
        ip_binding: IpBinding = "enforce",
        clock: Callable[[], float] = time.time,
        new_id: Callable[[], str] = lambda: uuid.uuid4().hex,
    ) -> None:
        """``secret`` signs; ``old_secrets`` are still accepted. ``clock`` gives Unix seconds,
        ``new_id`` lower-case hex of 16 to 64 digits. Raises `ValueError` for short secrets."""
        self.secrets = check_secrets((secret, *old_secrets))
        self.ip_binding: IpBinding = ip_binding
        self.clock = clock
        self._base_url = base_url
        self._new_id = new_id
        self._new = root / "new"
        try:
            make_folder(self._new)
            make_folder(root / "uploads")
            self._objects = LocalObjects(root)
        except OSError as error:
            raise ArtifactError(
                f"artifacts: the store's folder cannot be made ({error.strerror}); check that the "
                "data folder exists and may be written"
            ) from error
        self._uploads = Uploads(root / "uploads", self._new)

    # -- objects -------------------------------------------------------------------------------

    def uri(self, key: str) -> str:
        """``local:///key``."""
        return names.uri_of(key)

    def put(self, key: str, source: Path | bytes | BinaryIO, media_type: str) -> Stored:
        """See `ArtifactStore.put`."""
        return self.put_all([New(key, source, media_type)])[0]

    def put_all(self, new: Sequence[New]) -> Sequence[Stored]:
        """See `ArtifactStore.put_all`."""
        places = [self._objects.place(each.key) for each in new]  # what cannot be, before the work
        with ExitStack() as files:
            written = [files.enter_context(self._written(each)) for each in new]
            types = [each.media_type for each in new]
            self._objects.publish(list(zip(places, written, types, strict=True)))
            return [
                Stored(names.uri_of(each.key), file.bytes, each.media_type, file.sha256)
                for each, file in zip(new, written, strict=True)
            ]

    @contextmanager
    def _written(self, new: New) -> Iterator[NewFile]:
        what = f"'{new.key}'"
        with ExitStack() as files:
            file = None
            if new.given and isinstance(new.source, Path):
                file = files.enter_context(taken_file(self._new, new.source, what))
            if file is None:
                file = files.enter_context(new_file(self._new, what))
                for chunk in _chunks(new.source):
                    file.write(chunk)
            yield file

    def put_if_absent(self, key: str, data: bytes, media_type: str) -> bool:
        """See `ArtifactStore.put_if_absent`."""
        place = self._objects.place(key)
        with new_file(self._new, f"'{key}'") as file:
            file.write(data)
            return self._objects.publish_if_absent(place, file, media_type)

    def read(self, uri: str, *, limit: int | None = None) -> bytes:
        """See `ArtifactStore.read`."""
        with found(names.key_of(uri)), self.path(uri).open("rb") as file:
            return file.read(-1 if limit is None else limit)

    def fetch(
        self,
        uri: str,
        target: Path,
        *,
        sha256: str | None = None,
        seen: Callable[[bytes], None] | None = None,
    ) -> str:
        """See `ArtifactStore.fetch`. ``target`` is replaced whole, or left as it was."""
        path = self.path(uri)
        target.parent.mkdir(parents=True, exist_ok=True)
        with new_file(target.parent, f"a copy of '{names.key_of(uri)}'") as file:
            with found(names.key_of(uri)):
                for chunk in chunks_of(path):
                    file.write(chunk)
                    if seen is not None:
                        seen(chunk)
            if sha256 is not None and file.sha256 != sha256.lower():
                raise ArtifactCorrupt(
                    f"artifacts: '{names.key_of(uri)}' is damaged: its sha256 is {file.sha256}, "
                    f"not {sha256}; make or upload it again"
                )
            file.publish(target, durable=False)
            return file.sha256

    def stat(self, uri: str) -> Stored:
        """See `ArtifactStore.stat`."""
        return self._objects.stat(names.key_of(uri))

    def delete(self, uri: str) -> None:
        """See `ArtifactStore.delete`."""
        self._objects.delete(names.key_of(uri))

    def keys(self, prefix: str) -> Iterator[str]:
        """See `ArtifactStore.keys`. As in S3 the prefix is text: ``a/b`` finds ``a/bc`` too."""
        return self._objects.keys(prefix)

    def path(self, uri: str) -> Path:
        """The file of an object, whether or not it is there. For those who serve it."""
        return self._objects.path(names.key_of(uri))

    # -- multipart uploads ---------------------------------------------------------------------

    def begin_upload(self, key: str, media_type: str) -> str:
        """See `ArtifactStore.begin_upload`."""
        names.check_key(key)
        upload = self._new_id()
        self._uploads.begin(upload, Upload(key, media_type, int(self.clock() * 1000)))
        return upload

    def part_writer(self, key: str, upload: str, number: int, limit: int | None) -> PartWriter:
        """Receive a part of ``limit`` bytes at most. Raises `ArtifactMissing`, `UploadInvalid`."""
        self._uploads.about(key, upload)
        check_number(number)
        return PartWriter(self._uploads, key, upload, number, limit)

    def parts(self, key: str, upload: str) -> Sequence[Part]:
        """See `ArtifactStore.parts`."""
        return self._uploads.parts(key, upload)

    def complete_upload(self, key: str, upload: str, parts: Sequence[tuple[int, str]]) -> Stored:
        """See `ArtifactStore.complete_upload`."""
        again = self._completed(key, upload, parts)
        if again is not None:
            return again
        try:
            with self._uploads.alone(key, upload):
                self._uploads.about(key, upload)
                return self._join(key, upload, parts)
        except ArtifactMissing:
            again = self._completed(key, upload, parts)  # someone else was completing it
            if again is None:
                raise
            return again

    def _join(self, key: str, upload: str, parts: Sequence[tuple[int, str]]) -> Stored:
        chosen = self._uploads.chosen(key, upload, parts)
        etag = whole_etag([etag for _, etag in parts])
        media_type = self._uploads.about(key, upload).media_type
        with new_file(self._new, f"'{key}'") as file:
            for path in chosen:
                for chunk in chunks_of(path):
                    file.write(chunk)
            self._objects.publish([(self._objects.place(key), file, media_type)])
            stored = Stored(names.uri_of(key), file.bytes, media_type, file.sha256)
        with room_for(f"the record of '{key}'"):
            record = {"etag": etag, "bytes": stored.bytes, "sha256": stored.sha256}
            self._uploads.finish(key, upload, record | {"mediaType": media_type})
        return stored

    def _completed(self, key: str, upload: str, parts: Sequence[tuple[int, str]]) -> Stored | None:
        done = self._uploads.done(key, upload)
        if done is None:
            return None
        try:
            same = bool(parts) and done["etag"] == whole_etag([etag for _, etag in parts])
        except ValueError:  # an ETag that is not hex
            same = False
        if not same:
            raise UploadInvalid(
                f"artifacts: the upload of '{key}' was completed with other parts; begin another"
            )
        self.stat(names.uri_of(key))  # someone may have removed it since
        return Stored(names.uri_of(key), done["bytes"], done["mediaType"], done["sha256"])

    def abort_upload(self, key: str, upload: str) -> None:
        """See `ArtifactStore.abort_upload`. A completed one stays complete."""
        self._uploads.abort(key, upload)

    def stale_uploads(self, older_than_s: float) -> Sequence[tuple[str, str]]:
        """``(key, upload)`` of the open uploads begun longer ago than that, for `abort_upload`."""
        before_ms = (self.clock() - older_than_s) * 1000
        return [
            (about.key, upload)
            for upload, about in self._uploads.all()
            if about is not None
            and about.begun_at_ms < before_ms
            and self._uploads.done(about.key, upload) is None
        ]

    def sweep(self, older_than_s: float) -> int:
        """Abort stale uploads; forget completed ones and what dead processes left half written,
        when older than that. Returns how many were removed.

        A forgotten upload can no longer be completed again with the same answer, so use at least
        as long as clients may repeat themselves (a day is usual).
        """
        before_s = self.clock() - older_than_s
        removed = 0
        for upload, about in list(self._uploads.all()):
            if about is not None and about.begun_at_ms < before_s * 1000:
                self._uploads.remove(upload)
                removed += 1
        for path in self._new.iterdir():
            if path.stat().st_mtime < before_s:
                path.unlink(missing_ok=True)
                removed += 1
        return removed

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
        """See `ArtifactStore.sign_part`. ``ip`` None binds to no address."""
        names.check_key(key)
        check_number(number)
        return self._signed(
            Grant(
                "PUT",
                key,
                self._expiry(ttl_s),
                self._bound(ip),
                upload=upload,
                part=number,
                max_bytes=max_bytes,
            )
        )

    def sign_get(
        self, uri: str, *, ttl_s: int, ip: str | None, filename: str | None = None
    ) -> SignedUrl:
        """See `ArtifactStore.sign_get`. ``ip`` None binds to no address."""
        key = names.key_of(uri)
        return self._signed(
            Grant("GET", key, self._expiry(ttl_s), self._bound(ip), filename=filename)
        )

    def _signed(self, grant: Grant) -> SignedUrl:
        base = self._base_url if isinstance(self._base_url, str) else self._base_url()
        return SignedUrl(base.rstrip("/") + sign(grant, self.secrets), grant.expires_at_s * 1000)

    def _expiry(self, ttl_s: int) -> int:
        return int(self.clock()) + ttl_s

    def _bound(self, ip: str | None) -> str | None:
        return None if self.ip_binding == "off" else ip

    # -- health --------------------------------------------------------------------------------

    def check(self) -> None:
        """See `ArtifactStore.check`."""
        try:
            with new_file(self._new, "a probe") as file:
                file.write(b"probe")
                if file.path.read_bytes() != b"probe":
                    raise ArtifactError("artifacts: the disk gives back other bytes than it took")
        except OSError as error:
            raise ArtifactError(
                f"artifacts: the store cannot be written ({error.strerror}); check its disk"
            ) from error


def _chunks(source: Path | bytes | BinaryIO) -> Iterable[bytes]:
    if isinstance(source, bytes):
        return (source,)
    if isinstance(source, Path):
        return chunks_of(source)
    return iter(lambda: source.read(CHUNK_BYTES), b"")
