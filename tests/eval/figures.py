"""Figures of one song and of many, and what they have to be."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, field

import mir_eval
import numpy as np

from tests.eval.pieces import TrueWord

MEAN_S = 0.10
WITHIN_S, WITHIN_SHARE = 0.3, 0.95
DERAILED_S = 1.0
"""Targets of alignment on separated vocals (issue 5): mean at most `MEAN_S`, `WITHIN_SHARE` within
`WITHIN_S`, no word off by more than `DERAILED_S`."""

_AROUND_S = 0.3
"""How far outside every true word a recognized word's middle has to be to count as invented."""


@dataclass(frozen=True, slots=True)
class Row:
    """One song by one backend. Errors are found minus true onset, in seconds, of placed words."""

    song: str
    backend: str
    models: dict[str, str]
    """Model by step, as karaoke-json's ``source`` has it."""
    song_s: float
    words: int
    errors_s: list[float]
    worst: str
    """The word that is off most, with its true time."""
    perceptual: float | None
    """mir_eval's karaoke_perceptual_metric, 0 to 1; None with fewer than two placed words."""
    sdr_db: float | None
    """Of the separated voice; None where the true one is not known."""
    sdr_mix_db: float | None
    """Of the mix taken for the voice: what separation begins with."""
    heard: int | None
    """Words that the recognizer wrote down; None where it does not know the language."""
    invented: int | None
    """Of them, those over silence."""
    score: float | None
    """What the product itself thinks of it, 0 to 1."""
    seconds: dict[str, float] = field(default_factory=dict)
    """By step, of one process."""
    peak_mb: float = 0.0

    @property
    def speed(self) -> float:
        """Times real time, of the steps that make the karaoke (recognition was a check)."""
        took = sum(s for step, s in self.seconds.items() if step != "transcribe")
        return self.song_s / took if took else 0.0


@dataclass(frozen=True, slots=True)
class Summary:
    """Onset figures over words, in seconds; unplaced words count as outside every limit."""

    words: int
    placed: int
    mean_s: float
    median_s: float
    p95_s: float
    within_100_ms: float
    within_300_ms: float
    derailed: float
    """Share off by more than `DERAILED_S`."""


def summary(rows: Sequence[Row]) -> Summary:
    """Over all words of the rows."""
    errors = np.abs([error for row in rows for error in row.errors_s])
    words = sum(row.words for row in rows)
    if not errors.size:
        nothing = float("inf")
        return Summary(words, 0, nothing, nothing, nothing, 0.0, 0.0, 0.0)
    return Summary(
        words=words,
        placed=int(errors.size),
        mean_s=float(errors.mean()),
        median_s=float(np.median(errors)),
        p95_s=float(np.percentile(errors, 95)),
        within_100_ms=float((errors <= 0.1).sum() / words),
        within_300_ms=float((errors <= WITHIN_S).sum() / words),
        derailed=float((errors > DERAILED_S).sum() / words),
    )


def misses(rows: Sequence[Row]) -> list[str]:
    """The targets that these rows miss, in words; none when all are met."""
    found = summary(rows)
    said = []
    if found.mean_s > MEAN_S:
        said.append(f"the mean onset error is {found.mean_s:.3f} s, above {MEAN_S} s")
    if found.within_300_ms < WITHIN_SHARE:
        share = f"{found.within_300_ms:.1%}"
        said.append(f"{share} of the words are within {WITHIN_S} s, not {WITHIN_SHARE:.0%}")
    for row in rows:
        number = sum(abs(error) > DERAILED_S for error in row.errors_s)
        if number:
            said.append(
                f"{row.song}: {number} word(s) off by more than {DERAILED_S:g} s: {row.worst}"
            )
    return said


def onset_errors(
    true: Sequence[TrueWord], found: Sequence[tuple[str, int | None]]
) -> list[tuple[TrueWord, float]]:
    """Each placed word with its error in seconds.

    Words are matched in order; where the product cut the lyrics into other words than the data
    set, the ones that both have in common are, and the others count as not placed.
    """
    texts = [word.text for word in true]
    others = [text for text, _ in found]
    if len(texts) == len(others):
        pairs = list(zip(range(len(texts)), range(len(others)), strict=True))
    else:
        blocks = difflib.SequenceMatcher(None, texts, others, autojunk=False).get_matching_blocks()
        pairs = [(b.a + i, b.b + i) for b in blocks for i in range(b.size)]
    errors = []
    for mine, its in pairs:
        start_ms = found[its][1]
        if start_ms is not None:
            errors.append((true[mine], (start_ms - true[mine].start_ms) / 1000))
    return errors


def perceptual(errors: Sequence[tuple[TrueWord, float]]) -> float | None:
    """How right it feels to sing along (Lizé Masclef et al., ISMIR 2021), 0 to 1."""
    if len(errors) < 2:
        return None
    pairs = sorted((word.start_ms / 1000, word.start_ms / 1000 + error) for word, error in errors)
    true, guess = (np.array([pair[side] for pair in pairs]) for side in (0, 1))
    return float(mir_eval.alignment.karaoke_perceptual_metric(true, np.maximum(guess, 0.0)))


def invented(true: Sequence[TrueWord], heard: Sequence[tuple[int, int]]) -> int:
    """How many recognized words (start, end in ms) lie where nobody sings."""
    spans = [
        (w.start_ms - 1000 * _AROUND_S, (w.end_ms or w.start_ms + 500) + 1000 * _AROUND_S)
        for w in true
    ]
    middles = [(start + end) / 2 for start, end in heard]
    return sum(not any(a <= middle <= b for a, b in spans) for middle in middles)
