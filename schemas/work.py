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
"""What the API calls each karaoke stage."""

MASTERING_STAGES = ("analysis", "decision", "rendering")
"""The mastering stages in the order they run.

A mastering job carries the same `Work` as a karaoke job, and what is its own in a `Mastering`
beside it. Everything that treats jobs alike (control topics, retries, dead letters, results, life
signs, the projection, its locks and version numbers) reads only what both have. A work record of
its own would have doubled each of those and dropped no field: what is karaoke's in `Work` is empty
by default. `Work.track_id` is then the id of the *master* (``mst_…``) that versions belong to.
"""

MASTERING_STEPS = {"analyze": "analysis", "decide": "decision", "render": "rendering"}
"""What the API calls each mastering stage."""

EVERY_STAGE = (*STAGES, *MASTERING_STAGES)
"""All stages of the product."""

EVERY_STEP = {**STEPS, **MASTERING_STEPS}
"""Every API step with its stage."""


def pipeline_of(stage: str) -> tuple[str, ...]:
    """The stages of the system that a stage belongs to; karaoke's for one that is unknown."""
    return MASTERING_STAGES if stage in MASTERING_STAGES else STAGES


def find(work: Work, name: str) -> Artifact | None:
    """The artifact of that name, if the job has it."""
    return next((artifact for artifact in work.artifacts if artifact.name == name), None)


def extend(work: Work, *artifacts: Artifact, **changes: Any) -> Work:
    """The work with these artifacts added (replacing those of the same name) and fields changed."""
    names = {artifact.name for artifact in artifacts}
    kept = tuple(artifact for artifact in work.artifacts if artifact.name not in names)
    return replace(work, artifacts=(*kept, *artifacts), **changes)


def of_song(name: str, song: int, songs: int) -> str:
    """What an artifact of a master is called: the plain name, or ``name.2`` for an album's second.

    ``song`` counts from 1.
    """
    return name if songs == 1 else f"{name}.{song}"
