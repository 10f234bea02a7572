"""How far the karaoke's words are from where they are truly sung."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from schemas.documents.karaoke import Karaoke


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Word-onset errors in seconds over the placed words."""

    words: int
    placed: int
    mean_s: float
    median_s: float
    worst_s: float
    within_300ms: float  # share of the placed words


def accuracy(karaoke: Karaoke, truth: dict[str, Any]) -> Accuracy:
    """Compare with ``{"lines": [[{"text", "startMs", "endMs"}]]}``, word by word.

    Raises `ValueError` when the two are not the same words.
    """
    words = list(karaoke.words())
    true = [word for line in truth["lines"] for word in line]
    if [word.text for word in words] != [word["text"] for word in true]:
        raise ValueError("the karaoke and the truth are not about the same words")
    errors = np.array(
        [
            abs(word.start_ms - right["startMs"]) / 1000
            for word, right in zip(words, true, strict=True)
            if word.start_ms is not None
        ]
    )
    if not errors.size:
        raise ValueError("no word has times")
    return Accuracy(
        words=len(words),
        placed=errors.size,
        mean_s=float(errors.mean()),
        median_s=float(np.median(errors)),
        worst_s=float(errors.max()),
        within_300ms=float((errors <= 0.3).mean()),
    )
