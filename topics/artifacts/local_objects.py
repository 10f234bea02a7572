"""The objects of a folder, each with its description, written whole under their keys.

``objects/<key>`` are the bytes, as they are. The type and the digest are an extended attribute of
the file: they get their name together with the bytes, so a description never is another's, and
writers of one key need not wait for each other. (A file of its own for each description doubled
what a folder of results costs; creating files is what takes the time, not writing them.) Where the
file system keeps no attributes an object does without: its type is told from its name.
"""

from __future__ import annotations

import json
import mimetypes
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from topics.artifacts import keys as names
from topics.artifacts.files import NewFile, attribute_of, make_folder, sync_folder
from topics.artifacts.protocol import ArtifactError, ArtifactMissing, Stored

UNKNOWN_TYPE: Final = "application/octet-stream"  # RFC 2046, 4.5.1

_ABOUT: Final = "user.melisma.about"


class LocalObjects:
    """Several threads and processes may use one folder."""

    def __init__(self, root: Path) -> None:
        self._objects = root / "objects"
        make_folder(self._objects)

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

    def publish(self, new: Sequence[tuple[Path, NewFile, str]]) -> None:
        """Make files the objects of their places: ``(place, file, media type)``.

        A folder is synced once, however many of them it takes.
        """
        for _, file, media_type in new:
            _describe(file, media_type)
            file.sync()
        for place, file, _ in new:
            file.publish(place, durable=False)
        for folder in {place.parent for place, _, _ in new}:
            sync_folder(folder)

    def publish_if_absent(self, place: Path, file: NewFile, media_type: str) -> bool:
        """The same for one, unless its place is taken."""
        _describe(file, media_type)
        return file.publish_if_absent(place)

    def stat(self, key: str) -> Stored:
        """Size and type. Raises `ArtifactMissing`."""
        with found(key), self.path(key).open("rb") as file:  # its size and its description
            size = os.fstat(file.fileno()).st_size
            said = attribute_of(file.fileno(), _ABOUT)
        try:
            about = json.loads(said or b"")
            return Stored(names.uri_of(key), size, about["mediaType"], about["sha256"])
        except ValueError:  # none, or one that a power cut tore
            media_type = mimetypes.guess_type(key)[0] or UNKNOWN_TYPE
            return Stored(names.uri_of(key), size, media_type)

    def delete(self, key: str) -> None:
        """Remove one; a missing one is no error."""
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


def _describe(file: NewFile, media_type: str) -> None:
    file.mark(_ABOUT, json.dumps({"mediaType": media_type, "sha256": file.sha256}).encode())


@contextmanager
def found(key: str) -> Iterator[None]:
    """Raise `ArtifactMissing` for a file that is not there."""
    try:
        yield
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
        raise ArtifactMissing(f"artifacts: there is no object '{key}' in this store") from error
