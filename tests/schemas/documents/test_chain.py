"""A chain that can be written down can be rendered; one that can't is refused with the reason."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from schemas.documents.chain import (
    THIRD_OCTAVES_HZ,
    Chain,
    Compressor,
    CompressorBand,
    Dither,
    Eq,
    EqBand,
    Gain,
    Limiter,
    LoudnessGoal,
    MatchEq,
    Module,
    Stereo,
)


def test_it_comes_back_from_json_as_it_was() -> None:
    chain = Chain(
        modules=(Eq(bands=(EqBand(hz=80),)), Compressor(), Stereo(), Limiter(), Dither(bits=16)),
        loudness=LoudnessGoal(lufs=-11),
    )
    assert Chain.from_json(chain.to_json()) == chain
    assert b'"ceilingDbtp":-1.0' in chain.to_json()


@pytest.mark.parametrize(
    ("modules", "reason"),
    [
        ((Limiter(), Gain()), "after the limiter"),
        ((Dither(), Limiter()), "after dither"),
        ((Limiter(), Limiter()), "at most one"),
        ((Dither(), Dither()), "at most one"),
    ],
)
def test_the_end_is_limiter_and_dither(modules: tuple[Module, ...], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        Chain(modules=modules)


@pytest.mark.parametrize("modules", [(), (Limiter(enabled=False),)])
def test_a_loudness_goal_needs_a_limiter(modules: tuple[Module, ...]) -> None:
    with pytest.raises(ValidationError, match="needs an enabled limiter"):
        Chain(modules=modules, loudness=LoudnessGoal())


def test_a_band_between_crossovers() -> None:
    with pytest.raises(ValidationError, match="one band more"):
        Compressor(crossovers_hz=(100, 1_000), bands=(CompressorBand(),))
    with pytest.raises(ValidationError, match="one width more"):
        Stereo(crossovers_hz=(100,), widths=(1,))
    for crossovers in ((1_000, 100), (100, 110)):
        with pytest.raises(ValidationError, match="ascend"):
            Stereo(crossovers_hz=crossovers, widths=(1, 1, 1))


@pytest.mark.parametrize(
    "module",
    [
        {"module": "limiter", "wet": 0.5},
        {"module": "limiter", "ceilingDbtp": 0.5},
        {"module": "gain", "db": float("nan")},
        {"module": "eq", "wet": 1.5},
        {"module": "match_eq", "curveDb": [7.0] * len(THIRD_OCTAVES_HZ)},
        {"module": "match_eq", "curveDb": [0.0]},
        {"module": "reverb"},
        {"module": "dither", "bits": 8},
        {"module": "eq", "colour": "warm"},
    ],
)
def test_what_is_out_of_bounds_is_refused(module: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Chain.model_validate({"modules": [module]})


def test_a_match_curve_has_a_gain_for_each_third_octave() -> None:
    assert len(MatchEq().curve_db) == len(THIRD_OCTAVES_HZ) == 31


def test_switched_off_there_is_no_limiter() -> None:
    assert Chain(modules=(Limiter(enabled=False),)).limiter() is None
    assert Chain(modules=(Limiter(ceiling_dbtp=-2),)).limiter() == Limiter(ceiling_dbtp=-2)
