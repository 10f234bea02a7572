"""What the karaoke stages share: finding an artifact of the job, reading its documents."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from processors.runtime import Fetched, Reject, Task
from schemas.documents.lyrics import Document
from schemas.events import Artifact, Work
from schemas.work import find

Read = TypeVar("Read", bound=Document)

_MADE_BY = {
    "source": "uploading the song again",
    "vocals": "reprocessing from separate",
    "alignment": "reprocessing from align",
    "checked": "reprocessing from qc",
}


def required(work: Work, name: str) -> Artifact:
    """The artifact of that name. Raises `Reject` with what to do when the job lacks it."""
    artifact = find(work, name)
    if artifact is None:
        remedy = _MADE_BY.get(name, "reprocessing")
        raise Reject("artifact_missing", f"the track has no '{name}' to use; {remedy} makes it")
    return artifact


def spare(work: Work, task: Task, name: str) -> Fetched | None:
    """The artifact of that name where the job has it still, for a stage that can do without."""
    artifact = find(work, name)
    if artifact is None:
        return None
    try:
        return task.fetch(artifact)
    except Reject as reason:
        task.log.warning("an artifact is away", artifact=name, reason=reason.message)
        return None


def read_document(kind: type[Read], path: Path) -> Read:
    """A document that another part of the product wrote. Raises `Reject` when it is not valid."""
    try:
        return kind.from_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the whole"
        raise Reject(
            "document_invalid", f"the {kind.__name__} is not valid at {where}: {first['msg']}"
        ) from error
