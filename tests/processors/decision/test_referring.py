from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.decision.aiming import Request
from processors.decision.deciding import decide
from processors.decision.referring import follow
from processors.decision.rulebook import builtin_rulebook
from schemas.documents.analysis import Analysis
from schemas.documents.chain import MATCH_LIMIT_DB, THIRD_OCTAVES_HZ, MatchEq
from schemas.documents.decision import Decision
from tests.processors.decision.analyses import any_analyses, song

BOOK = builtin_rulebook()


def tilted(db_per_band: float, changes: dict[str, Any] | None = None) -> Analysis:
    """The healthy song with its spectrum tilted."""
    plain = song()
    bands = tuple(
        band.model_dump(by_alias=False)
        | {"level_dbfs": (band.level_dbfs or 0.0) + db_per_band * index}
        for index, band in enumerate(plain.balance.third_octaves)
    )
    return song({"balance.thirdOctaves": bands, **(changes or {})})


def curve(decision: Decision) -> tuple[float, ...]:
    [match] = [module for module in decision.chain.modules if isinstance(module, MatchEq)]
    return match.curve_db


def test_the_curve_goes_towards_the_reference_and_takes_tone_into_its_hands() -> None:
    boomy = song({"balance.named.bass.deviationDb": 9.0})
    decision = decide(boomy, BOOK, reference=tilted(0.2))
    gains = curve(decision)
    compared = [g for hz, g in zip(THIRD_OCTAVES_HZ, gains, strict=True) if 60 <= hz <= 12_000]
    assert compared == sorted(compared)
    # Beyond, it glides back.
    assert abs(gains[0]) < 0.1 * abs(compared[0])
    assert abs(gains[-1]) < 0.3 * abs(compared[-1])
    assert gains[20] - gains[10] == pytest.approx(2.0, abs=0.03)
    # The middle band of 100 Hz to 8 kHz stays where it was.
    assert gains[THIRD_OCTAVES_HZ.index(1_000.0) - 1] == pytest.approx(0, abs=0.2)
    assert ("reference-balance", "heavy-bass") in {(c.kept, c.dropped) for c in decision.conflicts}
    assert decision.reference is not None
    assert decision.reference.used


@pytest.mark.parametrize("amount", [0.25, 0.5])
def test_the_amount_scales_curve_and_loudness(amount: float) -> None:
    there = tilted(0.1, {"loudness.integratedLufs": -10.0})
    whole = decide(song(), BOOK, reference=there)
    part = decide(song(), BOOK, Request(reference_amount=amount), reference=there)
    assert whole.target.lufs == -10.0
    assert part.target.lufs == pytest.approx(-14 + 4 * amount)
    assert curve(part) == pytest.approx([amount * gain for gain in curve(whole)], abs=0.011)


def test_each_part_can_be_left_out() -> None:
    there = tilted(
        0.2,
        {
            "loudness.integratedLufs": -9.0,
            "loudness.rangeLu": 2.0,
            "stereo.sideToMidDb": -2.0,
            "peaks.truePeakDbtp": -1.0,
        },
    )
    parts = {
        "eq": "reference-balance",
        "dynamics": "reference-denser",
        "width": "reference-wider",
    }
    everything = decide(song(), BOOK, reference=there)
    assert set(parts.values()) <= {move.rule for move in everything.moves}
    for part, rule in parts.items():
        left = decide(song(), BOOK, Request(reference_without=frozenset({part})), reference=there)
        assert rule not in {move.rule for move in left.moves}
        assert left.reference is not None
        assert part not in left.reference.parts
    quiet = Request(reference_without=frozenset({"loudness"}))
    assert decide(song(), BOOK, quiet, reference=there).target.lufs == -14.0
    asked = decide(song(), BOOK, Request(lufs=-12.0), reference=there)
    assert asked.target.lufs == -12.0


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        (song({"loudness.integratedLufs": None}), "silent"),
        (song({"loudness.integratedLufs": -65.0}), "silent"),
        (song({"source.durationS": 3.0}), "lasts only 3.0 s"),
        (song({"silence.share": 0.8}), "Most of the reference is silence"),
    ],
)
def test_a_useless_reference_is_said_and_left_aside(reference: Analysis, said: str) -> None:
    decision = decide(song(), BOOK, reference=reference)
    assert decision.reference is not None
    assert not decision.reference.used
    assert said in decision.reference.words.en
    plain = decide(song(), BOOK)
    assert (decision.moves, decision.chain) == (plain.moves, plain.chain)


def test_another_genre_is_followed_within_bounds_and_said() -> None:
    decision = decide(song(), BOOK, reference=tilted(2.0))
    assert max(map(abs, curve(decision))) == MATCH_LIMIT_DB
    assert decision.reference is not None
    assert "another kind of music" in decision.reference.words.en


def test_an_amount_of_nothing_does_nothing() -> None:
    decision = decide(song(), BOOK, Request(reference_amount=0.0), reference=tilted(0.3))
    assert decision.chain == decide(song(), BOOK).chain
    assert decision.reference is not None
    assert not decision.reference.used


@given(any_analyses(), any_analyses(), st.floats(0, 1))
def test_no_reference_moves_a_band_beyond_its_bound(
    here: Analysis, there: Analysis, amount: float
) -> None:
    found = follow(here, there, amount)
    assert found.words.en
    if found.curve_db is not None:
        assert len(found.curve_db) == len(THIRD_OCTAVES_HZ)
        assert all(abs(gain) <= MATCH_LIMIT_DB for gain in found.curve_db)
