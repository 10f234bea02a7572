"""Files written whole or not at all: a temporary one, fsync, rename, fsync of the folder."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from topics.artifacts.protocol import StoreFull

CHUNK_BYTES: Final = 2**20

_PREFIX: Final = ".new-"
_HAS_ATTRIBUTES: Final = hasattr(os, "setxattr")  # Linux
_NO_ATTRIBUTE: Final = frozenset({errno.ENODATA, errno.ENOTSUP})
_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@contextmanager
def room_for(what: str) -> Iterator[None]:
    """Turn a full disk, a spent quota or a file size limit into `StoreFull`."""
    try:
        yield
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        raise StoreFull(
            f"artifacts: no room is left to write {what}; nothing of it was kept: free disk "
            "space, then try again"
        ) from error


class NewFile:
    """A file that nobody sees before it is published, with the digests of what was written."""

    def __init__(self, folder: Path, *, of: Path | None = None) -> None:
        """An empty file in ``folder``, or ``of``, moved there. Raises ``OSError``; for ``of`` where
        its folder is on another disk, too."""
        if of is None:
            self._fd, name = tempfile.mkstemp(prefix=_PREFIX, dir=folder)
            self.path = Path(name)
        else:
            self.path = folder / f"{_PREFIX}{uuid.uuid4().hex}"
            self._fd = os.open(of, os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fchmod(self._fd, 0o600)  # as mkstemp makes them
                of.rename(self.path)  # last: where anything fails, it is still there to be copied
            except OSError:
                os.close(self._fd)
                raise
        self.bytes = 0
        self._sha256 = hashlib.sha256()
        # S3's ETag of a part; a checksum, not a protection
        self._md5 = hashlib.md5(usedforsecurity=False)

    def write(self, chunk: bytes) -> None:
        """Append."""
        rest = memoryview(chunk)
        while rest:
            rest = rest[write_some(self._fd, rest) :]
        self._count(chunk)

    def take(self) -> None:
        """Digest what is there already."""
        while chunk := os.read(self._fd, CHUNK_BYTES):
            self._count(chunk)

    def _count(self, chunk: bytes) -> None:
        self.bytes += len(chunk)
        self._sha256.update(chunk)
        self._md5.update(chunk)

    @property
    def sha256(self) -> str:
        """Hex digest of what was written."""
        return self._sha256.hexdigest()

    @property
    def md5(self) -> str:
        """Hex digest of what was written."""
        return self._md5.hexdigest()

    def mark(self, name: str, value: bytes) -> None:
        """Set an extended attribute of the file, where its file system keeps any."""
        if _HAS_ATTRIBUTES:
            with _where_there_are_any():
                os.setxattr(self._fd, name, value)

    def sync(self) -> None:
        """Have what was written on disk."""
        os.fsync(self._fd)

    def publish(self, target: Path, *, durable: bool = True) -> None:
        """Give it its name, in place of what may be there; on disk when this returns unless it
        is a passing copy (not ``durable``)."""
        if durable:
            self.sync()
        self.path.replace(target)
        if durable:
            sync_folder(target.parent)

    def publish_if_absent(self, target: Path) -> bool:
        """Make it durable under its name unless that is taken. False if it is."""
        self.sync()
        try:
            os.link(self.path, target)  # unlike rename, fails where there is something
        except FileExistsError:
            return False
        sync_folder(target.parent)
        return True

    def close(self) -> None:
        """Remove what was not published."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
            self.path.unlink(missing_ok=True)


@contextmanager
def new_file(folder: Path, what: str) -> Iterator[NewFile]:
    """A `NewFile` that is gone afterwards unless it was published. Raises `StoreFull`."""
    with room_for(what):
        file = NewFile(folder)
        try:
            yield file
        finally:
            file.close()


@contextmanager
def taken_file(folder: Path, given: Path, what: str) -> Iterator[NewFile | None]:
    """A file that was given away, moved and not copied: as `new_file`. None where only a copy will
    do: on another disk, or when it has other names, by which it could be changed.
    """
    about = given.lstat()
    file = None
    if stat.S_ISREG(about.st_mode) and about.st_nlink == 1:
        with suppress(OSError):  # whatever it is, the copy will say it
            file = NewFile(folder, of=given)
    if file is None:
        yield None
        return
    with room_for(what):
        try:
            file.take()
            yield file
        finally:
            file.close()


def attribute_of(fd: int, name: str) -> bytes | None:
    """An extended attribute of a file; None where it has none, or can have none."""
    if _HAS_ATTRIBUTES:
        with _where_there_are_any():
            return os.getxattr(fd, name)
    return None


@contextmanager
def _where_there_are_any() -> Iterator[None]:
    """Do without where a file has no such attribute (ENODATA) or its file system keeps none."""
    try:
        yield
    except OSError as error:
        if error.errno not in _NO_ATTRIBUTE:
            raise


def write_some(fd: int, data: memoryview) -> int:
    """``os.write``, under a name of its own so that a test can fill the disk here."""
    return os.write(fd, data)


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, durably."""
    missing = []
    at = folder
    while not at.is_dir():
        missing.append(at)
        at = at.parent
    for each in reversed(missing):
        each.mkdir(exist_ok=True)
        sync_folder(each.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def chunks_of(path: Path) -> Iterator[bytes]:
    """A file's bytes, a mebibyte at a time."""
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk
