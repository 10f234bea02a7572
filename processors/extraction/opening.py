"""From what a client named to a file on this machine: an asset, an object of S3, a file."""

from __future__ import annotations

import hashlib
import os
import time
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from processors.runtime import Reject, Task
from schemas.events import Extraction, Work
from schemas.work import find
from topics.artifacts import ArtifactError
from topics.artifacts.s3_settings import S3Settings
from topics.inputs import FileInput, InputRefused, ObjectInput, locate

_TICK_NS = 20_000_000
"""Longer than the clock that file systems stamp files with stands still (4 to 16 ms)."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A file to read; ``name`` is what the client calls it, ``sha256`` its bytes as it is opened.

    ``stamp`` is of one that others may write to; a copy of one's own has none.
    """

    path: Path
    sha256: str
    name: str
    stamp: tuple[int, ...] | None = None

    def unchanged(self) -> bool:
        """Whether it is still the file that was digested: nobody wrote to it or replaced it."""
        if self.stamp is None:
            return True
        try:
            return _stamp(self.path.stat()) == self.stamp
        except OSError:
            return False


def _stamp(stat: os.stat_result) -> tuple[int, ...]:
    return (stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)


def opened(work: Work, wanted: Extraction, task: Task) -> Opened:
    """The item's input. Raises `Reject` for what may not be used or is not there."""
    source = find(work, "source")
    if source is not None:
        fetched = task.fetch(source)
        return Opened(fetched.path, fetched.sha256, wanted.video_id or "source")
    try:
        found = locate(task.settings.inputs, wanted.input_uri, work.tenant)
    except InputRefused as refused:
        raise Reject(refused.code, refused.message) from refused
    match found:
        case FileInput():
            sha256, stamp = _digest(found.path, wanted.input_uri)
            return Opened(found.path, sha256, found.path.name, stamp)
        case ObjectInput():
            name = PurePosixPath(found.key).name
            path = task.folder / "input"
            return Opened(path, _downloaded(found, path, wanted.input_uri), name)
        case _:
            raise Reject("input_missing", f"There is no asset '{wanted.input_uri[:200]}'.")


def _digest(path: Path, shown: str) -> tuple[str, tuple[int, ...]]:
    """The file's sha256, and the stamp that any write from then on changes."""
    try:
        with path.open("rb") as file:
            stat = os.fstat(file.fileno())
            if abs(time.time_ns() - stat.st_ctime_ns) < _TICK_NS:
                time.sleep(_TICK_NS / 1e9)  # a write in the same tick would leave no trace
                stat = os.fstat(file.fileno())
            return hashlib.file_digest(file, "sha256").hexdigest(), _stamp(stat)
    except PermissionError:
        raise Reject("input_forbidden", f"'{shown[:200]}' may not be read.") from None
    except (FileNotFoundError, NotADirectoryError):
        raise Reject("input_missing", f"There is no file '{shown[:200]}'.") from None
    except IsADirectoryError:
        raise Reject("input_not_a_file", f"'{shown[:200]}' is not a file.") from None


def _downloaded(found: ObjectInput, path: Path, shown: str) -> str:
    """Fetch an object with the credentials of the S3 settings; its sha256.

    Raises `Reject`, and `ArtifactError` for a server that is away.
    """
    try:
        from botocore.exceptions import ClientError

        from topics.artifacts.s3_client import code_of, explained, is_missing, s3_client, session
    except ImportError as error:
        raise Reject(
            "input_forbidden", "This installation reads nothing from S3; send an upload instead."
        ) from error
    settings = S3Settings.read()
    client = s3_client(settings, session(settings))
    digest = hashlib.sha256()
    try:
        with explained(settings, "read an input"), path.open("wb") as file:
            body = client.get_object(Bucket=found.bucket, Key=found.key)["Body"]
            for chunk in body.iter_chunks(1 << 20):
                digest.update(chunk)
                file.write(chunk)
    except ArtifactError as error:
        cause = error.__cause__
        if isinstance(cause, ClientError):
            if is_missing(cause) or code_of(cause) == "NoSuchBucket":
                raise Reject("input_missing", f"There is no object '{shown[:200]}'.") from error
            if code_of(cause) in ("403", "AccessDenied", "Forbidden"):
                raise Reject(
                    "input_forbidden",
                    f"'{shown[:200]}' may not be read with the rights of this installation.",
                ) from error
        raise
    finally:
        client.close()
    return digest.hexdigest()
