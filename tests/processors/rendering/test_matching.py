"""A match comes near what it aims at, within its bounds, and says when a reference is no use."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processors.rendering.blocks import Block
from processors.rendering.matching import HEARD_HZ, PARTS, Part, match
from processors.rendering.modules import process
from processors.rendering.profiles import Profile, profile_of
from schemas.documents.chain import MATCH_LIMIT_DB, THIRD_OCTAVES_HZ, Eq, EqBand
from tests import programmes
from tests.processors.rendering.sounds import noise, sine

RATE = 44_100
CHOSEN: tuple[programmes.Genre, ...] = ("pop", "rock", "jazz", "ambient")
PLAYED = {
    genre: programmes.make(70 + number, genre=genre, seconds=12).audio.samples.astype(np.float64)
    for number, genre in enumerate(CHOSEN)
}
HEARD = {genre: profile_of([sound], RATE, 2) for genre, sound in PLAYED.items()}
COMPARED = np.array([HEARD_HZ[0] <= hz <= HEARD_HZ[1] for hz in THIRD_OCTAVES_HZ])


def heard(sound: Block, rate: int = RATE) -> Profile:
    return profile_of([sound], rate, len(sound))


@pytest.mark.parametrize(("song", "reference"), [("pop", "rock"), ("rock", "ambient"),
                                                 ("jazz", "pop")])  # fmt: skip
def test_tone_comes_within_one_decibel(song: programmes.Genre, reference: programmes.Genre) -> None:
    found = match(HEARD[song], HEARD[reference])
    assert found.tone is not None
    made = heard(process(found.tone, PLAYED[song], RATE))
    gained = made.third_octaves_db() - HEARD[song].third_octaves_db()
    aim = np.clip(found.wanted_db, -MATCH_LIMIT_DB, MATCH_LIMIT_DB)
    rest = (aim - gained)[COMPARED]
    assert np.sqrt(np.mean((rest - rest.mean()) ** 2)) <= 1.0
    assert found.residual_db is not None
    assert found.residual_db <= 1.0


def test_a_known_equaliser_is_found_back() -> None:
    bands = (EqBand(hz=250, db=-4, q=0.8), EqBand(kind="high_shelf", hz=5_000, db=3))
    bent = heard(process(Eq(bands=bands), PLAYED["pop"], RATE))
    found = match(HEARD["pop"], bent, parts=frozenset({"tone"}))
    assert found.tone is not None
    made = heard(process(found.tone, PLAYED["pop"], RATE))
    rest = (bent.third_octaves_db() - made.third_octaves_db())[COMPARED]
    assert np.std(rest) < 0.5


@settings(max_examples=20)
@given(
    song=st.sampled_from(CHOSEN),
    reference=st.sampled_from(CHOSEN),
    amount=st.floats(0, 1),
    parts=st.sets(st.sampled_from(sorted(PARTS))),
)
def test_any_match_is_bounded(
    song: programmes.Genre, reference: programmes.Genre, amount: float, parts: set[Part]
) -> None:
    found = match(HEARD[song], HEARD[reference], amount=amount, parts=frozenset(parts))
    assert (found.tone is None) == ("tone" not in parts or amount == 0)
    assert (found.loudness is None) == ("loudness" not in parts)
    if found.tone:
        assert max(map(abs, found.tone.curve_db)) <= MATCH_LIMIT_DB
    if "width" not in parts:
        assert found.width is None
    if "dynamics" not in parts:
        assert found.compressor is None
        assert found.expander is None


def test_a_song_matched_to_itself_stays() -> None:
    found = match(HEARD["rock"], HEARD["rock"])
    assert found.tone is not None
    assert max(map(abs, found.tone.curve_db)) < 0.01
    assert found.width is None
    assert found.compressor is None
    assert found.expander is None
    assert found.loudness is not None
    assert found.loudness.lufs == pytest.approx(HEARD["rock"].lufs, abs=0.01)


def test_half_the_amount_goes_half_the_way() -> None:
    one, two = HEARD["jazz"], HEARD["pop"]
    half, whole = match(one, two, amount=0.5), match(one, two)
    assert half.tone is not None
    assert half.loudness is not None
    assert whole.loudness is not None
    assert one.lufs is not None
    assert half.loudness.lufs - one.lufs == pytest.approx(
        (whole.loudness.lufs - one.lufs) / 2, abs=0.02
    )
    assert np.allclose(half.wanted_db, whole.wanted_db)
    inner = np.abs(whole.wanted_db) < MATCH_LIMIT_DB / 2
    made = np.array(half.tone.curve_db)[inner & COMPARED]
    assert np.abs(made - np.array(whole.wanted_db)[inner & COMPARED] / 2).mean() < 0.7


def test_width_goes_towards_the_reference() -> None:
    sound = PLAYED["pop"]
    middle, side = (sound[0] + sound[1]) / 2, (sound[0] - sound[1]) / 2
    narrow = np.stack((middle + 0.75 * side, middle - 0.75 * side))
    found = match(heard(narrow), HEARD["pop"], parts=frozenset({"width"}))
    assert found.width is not None
    assert found.width.widths == pytest.approx((1 / 0.75,) * 3, rel=0.02)


def test_dynamics_go_towards_the_reference() -> None:
    flat = np.clip(PLAYED["pop"] * 4, -0.5, 0.5)
    towards_flat = match(HEARD["pop"], heard(flat), parts=frozenset({"dynamics"}))
    assert towards_flat.compressor is not None
    towards_lively = match(heard(flat), HEARD["pop"], parts=frozenset({"dynamics"}))
    assert towards_lively.expander is not None


@pytest.mark.parametrize(
    ("reference", "code"),
    [
        (np.zeros((2, 20 * RATE)), "reference_silent"),
        (noise(1, 3 * RATE), "reference_short"),
        (np.pad(noise(1, 4 * RATE), ((0, 0), (0, 20 * RATE))), "reference_short"),
    ],
)
def test_a_useless_reference_is_said(reference: Block, code: str) -> None:
    found = match(HEARD["pop"], heard(reference))
    assert not found.usable
    assert found.tone is None
    assert [remark.code for remark in found.remarks] == [code]


def test_another_genres_extreme_is_said_and_bounded() -> None:
    siren = sine(3_000, 12, level=0.5) + noise(2, 12 * RATE, 1, level=1e-3)
    found = match(HEARD["pop"], heard(siren))
    assert "reference_far" in [remark.code for remark in found.remarks]
    assert found.tone is not None
    assert max(map(abs, found.tone.curve_db)) <= MATCH_LIMIT_DB


def test_a_silent_song_and_mono_are_said() -> None:
    assert match(heard(np.zeros((2, 12 * RATE))), HEARD["pop"]).remarks[0].code == "song_silent"
    mono = match(heard(PLAYED["pop"][:1]), HEARD["rock"])
    assert "mono" in [remark.code for remark in mono.remarks]
    assert mono.width is None


def test_another_rate_is_compared_where_both_have_sound() -> None:
    other = programmes.make(90, genre="pop", rate=16_000, seconds=12).audio
    found = match(HEARD["pop"], heard(other.samples.astype(np.float64), 16_000))
    assert found.tone is not None
    assert all(value == 0 for value in found.wanted_db[-4:])


def test_an_amount_has_bounds() -> None:
    with pytest.raises(ValueError, match="amount"):
        match(HEARD["pop"], HEARD["rock"], amount=1.5)
