"""What an earlier alignment of the same stem left, and who listens where it left nothing.

An edit is placed on what was heard before. Then no model is loaded either, not even by a child
process that was started for this edit alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from processors.alignment import memory
from processors.alignment.aligner import Aligner, Heard
from processors.karaoke import read_document, spare
from processors.runtime import Task
from schemas.documents.karaoke import Karaoke
from schemas.events import Artifact, Backend, Work

PARENT = "parent"
"""The alignment of the version that a job continues, as an artifact of the job."""


@dataclass(frozen=True, slots=True)
class Earlier:
    """What was heard of the stem, and its SHA-256 as read."""

    kept: memory.Kept
    sha256: str


@dataclass(frozen=True, slots=True)
class Listener:
    """Who listens to the stem, or listened before: ``aligner`` or ``heard`` is set, or both."""

    backend: Backend
    heard: Heard | None = None
    aligner: Aligner | None = None

    @property
    def device(self) -> str:
        """Where it computes now: an aligner may have left its GPU."""
        return self.backend.device if self.aligner is None else self.aligner.device


def earlier(work: Work, task: Task, stem: Artifact) -> Earlier | None:
    """What the job has of it; None where there is nothing, or where it is to be made anew."""
    if work.force or not work.duration_ms or not stem.sha256:
        return None
    fetched = spare(work, task, memory.NAME)
    kept = None if fetched is None else memory.recall(fetched.path, stem.sha256)
    return None if fetched is None or kept is None else Earlier(kept, fetched.sha256)


def listener(
    known: Earlier | None,
    without_model: Callable[[memory.Kept], Heard | None],
    load: Callable[[], Aligner],
) -> Listener:
    """Nobody, where `without_model` makes do with what is known; else the aligner, loaded."""
    heard = None if known is None else without_model(known.kept)
    if known is not None and heard is not None:
        told = known.kept.origin
        backend = Backend(name=told.backend, model=told.model, hash=told.hash, device="cpu")
        return Listener(backend, heard)
    aligner = load()
    backend = Backend(
        name=aligner.name, model=aligner.model, hash=aligner.hash, device=aligner.device
    )
    if known is not None and known.kept.origin == origin(known.kept.origin.vocals, backend):
        return Listener(backend, aligner.again(known.kept.arrays), aligner)
    return Listener(backend, None, aligner)


def origin(vocals: str, backend: Backend) -> memory.Origin:
    """What ``backend`` hears of the stem with this SHA-256."""
    return memory.Origin(vocals, backend.name, backend.model, backend.hash)


@dataclass(frozen=True, slots=True)
class Parent:
    """The alignment that a job continues, and its SHA-256 as read."""

    content: Karaoke
    sha256: str


def parent(work: Work, task: Task, language: str) -> Parent | None:
    """What the job continues, if it is in the same language."""
    fetched = spare(work, task, PARENT)
    content = None if fetched is None else read_document(Karaoke, fetched.path)
    if fetched is None or content is None or content.language != language:
        return None
    return Parent(content, fetched.sha256)
