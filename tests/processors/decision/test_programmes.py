"""From samples to decisions: made programmes through the real meter."""

from __future__ import annotations

import pytest

from processors.analysis.meter import measure_blocks
from processors.decision.deciding import decide
from processors.decision.rulebook import builtin_rulebook
from schemas.documents.decision import Decision
from tests.programmes import Fault, Genre, make

pytestmark = pytest.mark.slow

BOOK = builtin_rulebook()
FINISH = {"loudness-target", "ceiling", "dither"}
ALWAYS_RIGHT = {"dc-offset", "already-loud", "very-short"}
"""What loud made programmes may truly have: asymmetric limiting leaves an offset."""

RULES: dict[Fault, tuple[float, str]] = {
    "pumping": (9.0, "pumping"),
    "clipping": (6.0, "clipping"),
    "hum": (-38.0, "hum"),
    "dc": (0.03, "dc-offset"),
    "narrow": (25.0, "narrow"),
    "bass": (12.0, "heavy-bass"),
}


def decided(genre: Genre, faults: dict[Fault, float] | None = None) -> Decision:
    programme = make(1, genre=genre, seconds=10.0, faults=faults)
    samples = programme.audio.samples
    heard = measure_blocks(programme.blocks(), rate=programme.audio.rate, channels=len(samples))
    return decide(heard, BOOK)


def rules_of(decision: Decision) -> set[str]:
    return {move.rule for move in decision.moves} | {note.code for note in decision.notes}


@pytest.mark.parametrize("genre", ["pop", "classical"])
def test_a_clean_programme_gets_level_only(genre: Genre) -> None:
    assert rules_of(decided(genre)) - ALWAYS_RIGHT == FINISH


@pytest.mark.parametrize("fault", RULES)
def test_a_planted_fault_leads_to_its_rule(fault: Fault) -> None:
    depth, rule = RULES[fault]
    assert rule in rules_of(decided("pop", {fault: depth}))
