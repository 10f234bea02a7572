"""What the API calls the stages."""

from __future__ import annotations

from schemas.work import EVERY_STEP

_STEP_OF = {stage: step for step, stage in EVERY_STEP.items()}


def step_of(stage: str) -> str:
    """The API step that a stage does."""
    return _STEP_OF.get(stage, stage)
