"""Reading and extending the context that travels with a job."""

from __future__ import annotations

import hashlib
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

PREVIOUS = "previous"
"""The karaoke that is published when a job is asked for, as an artifact of the job: publishing
tells what the new version changes of it."""

BELOW_BAR = "quality_below_bar"
"""The code of a job whose karaoke was held back; a person may publish it all the same."""

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

VIDEO_STAGES = ("video",)
"""The stage of karaoke videos. A video is asked for by itself, for a published version."""

VIDEO_STEPS = {"video": "video"}
"""What the API calls it."""

CLIP_STAGES = ("submission", "generation", "clip")
"""The stages of generated songs in the order they run: a job carries what its channel wants in a
`Generation` beside its `Work`, whose track_id is the id of the *clip* (``clp_…``)."""

CLIP_STEPS = {"submit": "submission", "generate": "generation", "clip": "clip"}
"""What the API calls each of them."""

EXTRACTION_STAGES = ("extraction",)
"""The stage that extracts features. A file is an item, and an item is a job: `Work.job_id` is the
item's id and `Work.track_id` the id of its *task*, which for a single file are the same. Before it
comes `processors.admission`, which is no stage: it decides whose turn it is."""

EXTRACTION_STEPS = {"extract": "extraction"}
"""What the API calls it."""

ADMISSION = "admission"
"""What admits extractions, where processes are named by what they do."""

DELIVERY = "delivery"
"""What sends webhooks, where processes are named by what they do."""

SONG_SECONDS = "song.maxSeconds"
"""Option of a job: the longest song that its tenant may have, in seconds."""

MANIFEST = "manifest"
"""The document of what was extracted, as an artifact of the item."""

EXTRACTORS_KEY = "extraction/extractors.json"
"""Where the store keeps what the workers can extract, for the gateway to read."""

EVERY_STAGE = (*STAGES, *MASTERING_STAGES, *VIDEO_STAGES, *CLIP_STAGES, *EXTRACTION_STAGES)
"""All stages of the product."""

EVERY_STEP = {**STEPS, **MASTERING_STEPS, **VIDEO_STEPS, **CLIP_STEPS, **EXTRACTION_STEPS}
"""Every API step with its stage."""


def pipeline_of(stage: str) -> tuple[str, ...]:
    """The stages of the system that a stage belongs to; karaoke's for one that is unknown."""
    others = (MASTERING_STAGES, VIDEO_STAGES, CLIP_STAGES, EXTRACTION_STAGES)
    return next((stages for stages in others if stage in stages), STAGES)


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


def callback_token_key(tenant: str, job_id: str) -> str:
    """Where the store keeps a job's own part of the address that its provider calls back."""
    return f"generation/{tenant}/{job_id}/callback.json"


def token_owner_key(token: str) -> str:
    """Where the store keeps whose a callback address is; the address itself is not in the name."""
    return f"generation/tokens/{hashlib.sha256(token.encode()).hexdigest()}.json"


def provider_task_key(account: str, task_id: str) -> str:
    """Where the store keeps whose a provider's task is; its name may hold anything."""
    return f"generation/tasks/{hashlib.sha256(f'{account} {task_id}'.encode()).hexdigest()}.json"
