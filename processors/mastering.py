"""What the mastering stages share: the artifacts of a song, and its documents."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from processors.runtime import Reject, Task
from schemas.documents.lyrics import Document
from schemas.events import Artifact, Mastering, Work
from schemas.work import find, of_song

Read = TypeVar("Read", bound=Document)

_MADE_BY = {
    "source": "upload the song again and ask for a new master",
    "analysis-before": "retry the job from its analysis",
    "decision": "retry the job from its decision",
}


@dataclass(frozen=True, slots=True)
class Song:
    """One song of a job: ``number`` of ``count``, from 1, and its share of the step's progress."""

    number: int
    count: int
    work: Work
    task: Task

    def named(self, name: str) -> str:
        """What its artifact of that kind is called."""
        return of_song(name, self.number, self.count)

    def required(self, name: str) -> Artifact:
        """Its artifact of that kind. Raises `Reject` with what to do when the job lacks it."""
        return required(self.work, self.named(name))

    def progress(self, share: float, note: str) -> None:
        """A share of this song is done."""
        done = (self.number - 1 + min(max(share, 0.0), 1.0)) / self.count
        place = f", song {self.number} of {self.count}" if self.count > 1 else ""
        self.task.progress(done, f"{note}{place}")


def songs(work: Work, mastering: Mastering, task: Task) -> Iterator[Song]:
    """The songs of a job, in order."""
    for number in range(1, mastering.songs + 1):
        yield Song(number, mastering.songs, work, task)


def required(work: Work, name: str) -> Artifact:
    """The artifact of that name. Raises `Reject` with what to do when the job lacks it."""
    artifact = find(work, name)
    if artifact is None:
        remedy = _MADE_BY.get(name.split(".")[0], "ask for a new master")
        raise Reject("artifact_missing", f"The master has no '{name}' to use; {remedy}.")
    return artifact


def read_document(kind: type[Read], path: Path) -> Read:
    """A document that another part of the product wrote. Raises `Reject` when it is not valid."""
    try:
        return kind.from_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the whole"
        raise Reject(
            "document_invalid", f"The {kind.__name__} is not valid at {where}: {first['msg']}."
        ) from error
