"""The objects of a folder, each with its description, written whole and alone with their keys.

``objects/<key>`` are the bytes, as they are, ``about/<key>~.json`` the type and the digest. An
object without its description is whole, and its type is told from its name: the description is
removed before the bytes change and written after, so that it never describes other bytes.
"""

from __future__ import annotations

import fcntl
import json
import mimetypes
import os
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from topics.artifacts import keys as names
from topics.artifacts.files import NewFile, make_folder, new_file, sync_folder
from topics.artifacts.protocol import ArtifactError, ArtifactMissing, Stored

UNKNOWN_TYPE: Final = "application/octet-stream"  # RFC 2046, 4.5.1

_LOCKS: Final = 64  # more keys than are ever written at once by the workers of one machine


class LocalObjects:
    """Several threads and processes may use one folder."""

    def __init__(self, root: Path, new: Path) -> None:
        """``new`` is where files are written, on the same disk as ``root``."""
        self._objects, self._about, self._locks = root / "objects", root / "about", root / "locks"
        self._new = new
        for folder in (self._objects, self._about, self._locks):
            make_folder(folder)

    def place(self, key: str) -> Path:
        """Where an object is going to lie. Raises `ArtifactError` where that cannot be."""
        path = self.path(key)
        try:
            make_folder(path.parent)
        except (FileExistsError, NotADirectoryError) as error:
            raise ArtifactError(
                f"artifacts: '{key}' cannot be stored: a part of its key is an object itself"
            ) from error
        if path.is_dir():
            raise ArtifactError(f"artifacts: '{key}' cannot be stored: other keys lie under it")
        return path

    def publish(self, new: Sequence[tuple[str, NewFile, str]]) -> list[Stored]:
        """Make files the objects of their keys: ``(key, file, media type)``, in their places.

        A folder is synced once, however many of them it takes.
        """
        targets = [self.path(key) for key, _, _ in new]
        for _, file, _ in new:
            file.sync()  # before anybody waits for the locks
        with self._alone(*(key for key, _, _ in new)):
            for (key, file, _), target in zip(new, targets, strict=True):
                self._undescribe(key)
                file.publish(target, durable=False)
            for folder in {target.parent for target in targets}:
                sync_folder(folder)
            for key, file, media_type in new:
                self._describe(key, file, media_type)
        return [Stored(names.uri_of(k), f.bytes, m, f.sha256) for k, f, m in new]

    def publish_if_absent(self, key: str, file: NewFile, media_type: str) -> bool:
        """The same for one, unless the key is taken."""
        with self._alone(key):
            if not file.publish_if_absent(self.path(key)):
                return False
            self._describe(key, file, media_type)
        return True

    def stat(self, key: str) -> Stored:
        """Size and type. Raises `ArtifactMissing`."""
        with found(key):
            size = self.path(key).stat().st_size
        try:
            about = json.loads(self._about_path(key).read_bytes())
            return Stored(names.uri_of(key), size, about["mediaType"], about["sha256"])
        except (FileNotFoundError, ValueError):  # none, or one that a power cut left empty
            media_type = mimetypes.guess_type(key)[0] or UNKNOWN_TYPE
            return Stored(names.uri_of(key), size, media_type)

    def delete(self, key: str) -> None:
        """Remove one; a missing one is no error."""
        with self._alone(key):
            self._undescribe(key)
            self.path(key).unlink(missing_ok=True)

    def keys(self, prefix: str) -> Iterator[str]:
        """Every key that begins so, in order: ``a/b`` finds ``a/bc`` too."""
        folder, _, _ = prefix.rpartition("/")
        start = names.path_of(folder, self._objects) if folder else self._objects
        there = (
            names.key_at(Path(parent, name), self._objects)
            for parent, _, files in os.walk(start)
            for name in files
        )
        yield from sorted(key for key in there if key.startswith(prefix))

    def path(self, key: str) -> Path:
        """The file of an object, whether or not it is there."""
        return names.path_of(key, self._objects)

    def _describe(self, key: str, file: NewFile, media_type: str) -> None:
        """Not durable, which halves what the disk is waited for: an object does without its
        description, and never has another's."""
        path = self._about_path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        with new_file(self._new, f"the description of '{key}'") as about:
            about.write(json.dumps({"mediaType": media_type, "sha256": file.sha256}).encode())
            about.publish(path, durable=False)

    def _undescribe(self, key: str) -> None:
        """Durable: what comes next has other bytes, or is gone."""
        about = self._about_path(key)
        if about.exists():
            about.unlink()
            sync_folder(about.parent)

    def _about_path(self, key: str) -> Path:
        path = names.path_of(key, self._about)
        return path.with_name(path.name + "~.json")  # no key has a ~

    @contextmanager
    def _alone(self, *keys: str) -> Iterator[None]:
        """Alone with the two files of each key, among threads and processes."""
        stripes = {zlib.crc32(key.encode()) % _LOCKS for key in keys}
        with ExitStack() as held:
            for stripe in sorted(stripes):  # in one order: nobody waits in a circle
                lock = held.enter_context((self._locks / f"{stripe:02d}").open("wb"))
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield


@contextmanager
def found(key: str) -> Iterator[None]:
    """Raise `ArtifactMissing` for a file that is not there."""
    try:
        yield
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
        raise ArtifactMissing(f"artifacts: there is no object '{key}' in this store") from error
