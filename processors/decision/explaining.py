"""Why a song will be treated as it will, in words for a musician."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from processors.decision.wording import told
from schemas.documents.analysis import Analysis
from schemas.documents.decision import Decision, Words
from schemas.documents.report import Explanation

FINISHING = ("loudness-target", "ceiling", "dither")
"""Rules of every master: told after what is this song's own."""


class Explainer(Protocol):
    """Explains a decision. Never fails: who cannot explain says so and lets the rules speak."""

    def explain(self, decision: Decision, analysis: Analysis) -> Explanation:
        """Sentences in English and Russian about this decision over this analysis."""
        ...


class RuleExplainer:
    """Says what the rules say: each move's reason and doing, notes, compromises, and what was
    close but left alone.
    """

    def explain(self, decision: Decision, analysis: Analysis) -> Explanation:
        """Sentences in the order in which they matter."""
        said = tuple(_said(decision, analysis))
        return Explanation(source="rules", en=_in(said, "en"), ru=_in(said, "ru"))


def must_be_said(decision: Decision) -> tuple[Words, ...]:
    """What no explanation may leave out: compromises, and a reference that was not followed."""
    said = [compromise.words for compromise in decision.compromises]
    if decision.reference is not None and not decision.reference.used:
        said.append(decision.reference.words)
    return tuple(said)


def _said(decision: Decision, analysis: Analysis) -> Iterable[Words]:
    loudness, peak = analysis.loudness.integrated_lufs, analysis.peaks.true_peak_dbtp
    units = {"loudness": "LUFS", "peak": "dBTP", "target": "LUFS"}
    yield told(
        "opening",
        units,
        loudness=loudness,
        peak=peak,
        preset=decision.preset,
        target=decision.target.lufs,
    )
    own = [move for move in decision.moves if move.rule not in FINISHING]
    if not own:
        yield told("nothing-wrong")
    for move in own:
        yield move.words
    for note in decision.notes:
        yield note.words
    if decision.reference is not None:
        yield decision.reference.words
    for move in decision.moves:
        if move.rule in FINISHING:
            yield move.words
    for compromise in decision.compromises:
        yield compromise.words
    for considered in decision.considered:
        if considered.why in ("near", "outweighed"):
            yield considered.words
    for change in decision.overrides:
        if change.drop:
            yield told("dropped-by-hand", move=change.move)


def _in(said: Sequence[Words], language: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(getattr(words, language) for words in said))
