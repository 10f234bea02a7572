"""Reading and extending the context that travels with a job."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from schemas.events import Artifact, Work

STAGES = ("separation", "transcription", "alignment", "quality", "publishing")
"""The karaoke stages in the order they run."""

STEPS = {
    "separate": "separation",
    "transcribe": "transcription",
    "align": "alignment",
    "qc": "quality",
    "publish": "publishing",
}
"""What the API calls each stage."""


def find(work: Work, name: str) -> Artifact | None:
    """The artifact of that name, if the job has it."""
    return next((artifact for artifact in work.artifacts if artifact.name == name), None)


def extend(work: Work, *artifacts: Artifact, **changes: Any) -> Work:
    """The work with these artifacts added (replacing those of the same name) and fields changed."""
    names = {artifact.name for artifact in artifacts}
    kept = tuple(artifact for artifact in work.artifacts if artifact.name not in names)
    return replace(work, artifacts=(*kept, *artifacts), **changes)
