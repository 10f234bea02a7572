"""What becomes of a version below the bar: marked for review, held back, or published as it is."""

from __future__ import annotations

from processors.quality.thresholds import Policy
from processors.runtime import Reject
from schemas.documents.karaoke import Quality
from schemas.work import BELOW_BAR

_TOLD = 3
"""Reasons that fit into one message; the document has them all."""


def settled(qc: Quality, policy: Policy, *, asked: bool, version: int) -> Quality:
    """The judgement as it is published. ``asked``: a person wants this version whatever it says.

    Raises `Reject` with the reasons where the policy holds it back.
    """
    if not qc.reasons:
        return qc.model_copy(update={"needs_review": False, "reviewed": False})
    if asked:
        return qc.model_copy(update={"needs_review": False, "reviewed": True})
    if policy == "block":
        why = " ".join(qc.reasons[:_TOLD])
        raise Reject(
            BELOW_BAR,
            f"the karaoke is below the quality bar and was not published. {why} Correct the"
            f" lyrics, or publish version {version} as it is",
        )
    return qc.model_copy(update={"needs_review": policy == "review", "reviewed": False})
