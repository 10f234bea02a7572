"""Multipart uploads on disk: parts as files, ETags as S3 makes them."""

from __future__ import annotations

import fcntl
import hashlib
import json
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from topics.artifacts.files import NewFile, make_folder, new_file, room_for
from topics.artifacts.protocol import ArtifactError, ArtifactMissing, Part, UploadInvalid

MOST_PARTS: Final = 10_000  # S3's limit

_UPLOAD_ID: Final = re.compile(r"[0-9a-f]{16,64}")
_PART_FILE: Final = re.compile(r"(\d{5})\.([0-9a-f]{32})")
_ABOUT: Final = "upload.json"
_DONE: Final = "done.json"


class PartTooLarge(ArtifactError):
    """A part is longer than its URL allows. Nothing of it was kept."""

    code = "part_too_large"


@dataclass(frozen=True, slots=True)
class Upload:
    """An open multipart upload."""

    key: str
    media_type: str
    begun_at_ms: int  # Unix time


class PartWriter:
    """A part on its way to disk. `finish` or `discard` it."""

    def __init__(self, uploads: Uploads, key: str, upload: str, number: int, limit: int | None):
        self._uploads = uploads
        self._at = (key, upload, number)
        self._limit = limit
        with room_for(f"part {number}"):
            self._file = NewFile(uploads.temporary)

    def write(self, chunk: bytes) -> None:
        """Append. Raises `PartTooLarge`."""
        if self._limit is not None and self._file.bytes + len(chunk) > self._limit:
            raise PartTooLarge(
                f"artifacts: part {self._at[2]} is longer than the {self._limit} bytes allowed; "
                "nothing of it was kept"
            )
        with room_for(f"part {self._at[2]}"):
            self._file.write(chunk)

    def finish(self) -> Part:
        """Keep it as a part, in place of an earlier one of its number. Raises `ArtifactMissing`
        if the upload was aborted or completed meanwhile."""
        try:
            with room_for(f"part {self._at[2]}"):
                return self._uploads.keep(*self._at, self._file)
        finally:
            self._file.close()

    def discard(self) -> None:
        """Remove what was not finished."""
        self._file.close()


class Uploads:
    """The uploads under one folder: a folder each, with `upload.json` and a file a part."""

    def __init__(self, folder: Path, temporary: Path) -> None:
        self._folder = folder
        self.temporary = temporary

    def begin(self, upload: str, about: Upload) -> None:
        """Open an upload."""
        folder = self._folder / upload
        make_folder(folder)
        record = {"key": about.key, "mediaType": about.media_type, "begunAtMs": about.begun_at_ms}
        self._write_json(folder / _ABOUT, record)

    def about(self, key: str, upload: str) -> Upload:
        """What is known of an upload. Raises `ArtifactMissing` unless it is open for this key."""
        folder = self._folder / upload
        try:
            if not _UPLOAD_ID.fullmatch(upload) or (folder / _DONE).exists():
                raise FileNotFoundError
            about = _upload(json.loads((folder / _ABOUT).read_bytes()))
        except (FileNotFoundError, NotADirectoryError):
            about = None
        if about is None or about.key != key:
            raise ArtifactMissing(
                f"artifacts: there is no open upload {upload[:64]!r} of '{key}'; begin another one"
            )
        return about

    def keep(self, key: str, upload: str, number: int, file: NewFile) -> Part:
        """Take a written file in as a part."""
        folder = self._folder / upload
        with self.alone(key, upload):
            self.about(key, upload)
            name = f"{number:05d}.{file.md5}"
            file.publish(folder / name)
            for other in folder.glob(f"{number:05d}.*"):
                if other.name != name:
                    other.unlink()
        return Part(number, file.bytes, file.md5)

    def parts(self, key: str, upload: str) -> list[Part]:
        """The parts received, in order."""
        self.about(key, upload)
        return [part for part, _ in self._files(upload)]

    def chosen(self, key: str, upload: str, wanted: Sequence[tuple[int, str]]) -> list[Path]:
        """The files of the parts that the client names, in order. Raises `UploadInvalid`."""
        received = {part.number: (part, path) for part, path in self._files(upload)}
        parts = {number: part for number, (part, _) in received.items()}
        return [received[part.number][1] for part in chosen_parts(key, parts, wanted)]

    def done(self, key: str, upload: str) -> dict[str, Any] | None:
        """What `finish` recorded, if this upload of this key is complete."""
        if not _UPLOAD_ID.fullmatch(upload):
            return None
        try:
            record: dict[str, Any] = json.loads((self._folder / upload / _DONE).read_bytes())
        except (FileNotFoundError, NotADirectoryError):
            return None
        return record if record["key"] == key else None

    def finish(self, key: str, upload: str, record: dict[str, Any]) -> None:
        """Record that an upload is complete and drop its parts."""
        self._write_json(self._folder / upload / _DONE, {"key": key, **record})
        for _, path in self._files(upload):
            path.unlink(missing_ok=True)

    def abort(self, key: str, upload: str) -> None:
        """Drop an open upload and its parts."""
        try:
            with self.alone(key, upload):
                self.about(key, upload)
                self.remove(upload)
        except ArtifactMissing:
            return

    def remove(self, upload: str) -> None:
        """Drop an upload's folder, whatever its state."""
        folder = self._folder / upload
        (folder / _ABOUT).unlink(missing_ok=True)  # first: a half removed upload is no upload
        shutil.rmtree(folder, ignore_errors=True)

    def all(self) -> Iterator[tuple[str, Upload | None]]:
        """Every upload; None where its description was never finished."""
        for folder in sorted(self._folder.iterdir()):
            try:
                yield folder.name, _upload(json.loads((folder / _ABOUT).read_bytes()))
            except (FileNotFoundError, NotADirectoryError):
                yield folder.name, None

    @contextmanager
    def alone(self, key: str, upload: str) -> Iterator[None]:
        """Alone with an upload: among threads and processes, released by a death too."""
        self.about(key, upload)
        try:
            file = (self._folder / upload / _ABOUT).open("rb")
        except FileNotFoundError:
            raise ArtifactMissing(f"artifacts: the upload of '{key}' was aborted") from None
        with file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _files(self, upload: str) -> list[tuple[Part, Path]]:
        found: dict[int, tuple[float, Part, Path]] = {}
        for path in (self._folder / upload).iterdir():
            match = _PART_FILE.fullmatch(path.name)
            if match is None:
                continue
            status = path.stat()
            part = Part(int(match[1]), status.st_size, match[2])
            # Two of one number are left only by a death between the new and the old one's end.
            if part.number not in found or found[part.number][0] < status.st_mtime:
                found[part.number] = (status.st_mtime, part, path)
        return [(part, path) for _, (_, part, path) in sorted(found.items())]

    def _write_json(self, target: Path, record: dict[str, Any]) -> None:
        with new_file(self.temporary, "an upload's description") as file:
            file.write(json.dumps(record).encode())
            file.publish(target)


def chosen_parts(
    key: str, received: Mapping[int, Part], wanted: Sequence[tuple[int, str]]
) -> list[Part]:
    """The received parts that the client names, in order. Raises `UploadInvalid`."""
    numbers = [number for number, _ in wanted]
    if not numbers:
        raise UploadInvalid(f"artifacts: the upload of '{key}' names no parts")
    if any(a >= b for a, b in pairwise(numbers)):
        raise UploadInvalid(
            f"artifacts: the parts of '{key}' must be named once each, in ascending order"
        )
    missing = [number for number in numbers if number not in received]
    if missing:
        raise UploadInvalid(
            f"artifacts: parts {_some(missing)} of '{key}' were not received; upload them"
        )
    changed = [n for n, etag in wanted if bare_etag(received[n].etag) != bare_etag(etag)]
    if changed:
        raise UploadInvalid(
            f"artifacts: the ETags of parts {_some(changed)} of '{key}' are not those of what "
            "was received; list the parts or upload them again"
        )
    return [received[number] for number in numbers]


def check_number(number: int) -> None:
    """Raise `UploadInvalid` for a number that no part can have."""
    if not 1 <= number <= MOST_PARTS:
        raise UploadInvalid(f"artifacts: part {number} is not between 1 and {MOST_PARTS}")


def bare_etag(etag: str) -> str:
    """An ETag without the quotes that HTTP puts around it."""
    return etag.removeprefix("W/").strip('"').lower()


def whole_etag(part_etags: Sequence[str]) -> str:
    """S3's ETag of a multipart object: the md5 of the parts' md5s, and how many they were."""
    digests = b"".join(bytes.fromhex(bare_etag(etag)) for etag in part_etags)
    return f"{hashlib.md5(digests, usedforsecurity=False).hexdigest()}-{len(part_etags)}"


def _upload(record: dict[str, Any]) -> Upload:
    return Upload(record["key"], record["mediaType"], record["begunAtMs"])


def _some(numbers: Sequence[int]) -> str:
    shown = ", ".join(map(str, numbers[:10]))
    return shown if len(numbers) <= 10 else f"{shown} and {len(numbers) - 10} more"
