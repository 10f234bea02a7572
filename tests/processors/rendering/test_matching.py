"""What the decision asks of each band, the equalised song has."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from processors.analysis.meter import measure_blocks
from processors.analysis.spectrum import SpectrumMeter
from processors.decision.referring import COMPARED_HZ, follow
from processors.rendering.blocks import Block
from processors.rendering.matching import fitted, spectrum_of
from processors.rendering.modules import process
from processors.rendering.rendering import render
from schemas.documents.analysis import Analysis
from schemas.documents.chain import MATCH_LIMIT_DB, THIRD_OCTAVES_HZ, Chain, Eq, EqBand, MatchEq
from tests import programmes
from tests.processors.rendering.sounds import noise, sine

pytestmark = pytest.mark.slow

RATE = 44_100
CHOSEN: tuple[programmes.Genre, ...] = ("pop", "rock", "jazz", "ambient")
PLAYED = {
    genre: programmes.make(70 + number, genre=genre, seconds=12).audio.samples.astype(np.float64)
    for number, genre in enumerate(CHOSEN)
}
COMPARED = np.array([COMPARED_HZ[0] <= hz <= COMPARED_HZ[1] for hz in THIRD_OCTAVES_HZ])


def heard(sound: Block, rate: int = RATE) -> SpectrumMeter:
    return spectrum_of([sound], rate, len(sound))


def measured(sound: Block) -> Analysis:
    return measure_blocks([sound.T], rate=RATE, channels=len(sound))


def decided(song: Block, reference: Block) -> MatchEq:
    """What the decision engine makes of two analyses."""
    # the shortest songs that are no reference would be refused for their length
    curve = follow(measured(song), measured(reference), 1.0).curve_db
    assert curve is not None
    return MatchEq(curve_db=curve)


def gained(settings_: MatchEq, song: Block) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """What each band has more behind the equaliser."""
    made = process(settings_, song, RATE)
    return np.asarray(heard(made).third_octaves_db() - heard(song).third_octaves_db())


def difference(song: Block, reference: Block) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Bands of the reference over the song's, loudness apart; as the spectrum has them."""
    raw = heard(reference).third_octaves_db() - heard(song).third_octaves_db()
    return np.asarray(raw - raw[COMPARED].mean())


@pytest.mark.parametrize("one", CHOSEN)
@pytest.mark.parametrize("other", CHOSEN)
def test_tone_comes_within_one_decibel_where_the_bounds_permit(
    one: programmes.Genre, other: programmes.Genre
) -> None:
    """From two analyses to the sound: residual over third octaves, 60 Hz to 12 kHz."""
    song, reference = PLAYED[one], PLAYED[other]
    aim = decided(song, reference)
    wanted = difference(song, reference)
    within = COMPARED & (np.abs(wanted) < MATCH_LIMIT_DB)
    rest = (wanted - gained(fitted(aim, heard(song)), song))[within]
    assert np.std(rest) <= 1.0


@pytest.mark.parametrize("one", CHOSEN)
def test_fitting_comes_nearer_to_what_was_decided(one: programmes.Genre) -> None:
    aim = decided(PLAYED[one], PLAYED["pop" if one != "pop" else "jazz"])
    wanted = np.array(aim.curve_db)
    plain = (wanted - gained(aim, PLAYED[one]))[COMPARED]
    made = (wanted - gained(fitted(aim, heard(PLAYED[one])), PLAYED[one]))[COMPARED]
    assert np.std(made) < np.std(plain)


def test_a_known_equaliser_is_found_back() -> None:
    bands = (EqBand(hz=250, db=-4, q=0.8), EqBand(kind="high_shelf", hz=5_000, db=3))
    song = PLAYED["pop"]
    bent = process(Eq(bands=bands), song, RATE)
    made = process(fitted(decided(song, bent), heard(song)), song, RATE)
    rest = difference(made, bent)[COMPARED]
    assert np.std(rest) < 0.5


curves = st.lists(
    st.floats(-MATCH_LIMIT_DB, MATCH_LIMIT_DB),
    min_size=len(THIRD_OCTAVES_HZ),
    max_size=len(THIRD_OCTAVES_HZ),
)


@settings(max_examples=30)
@given(genre=st.sampled_from(CHOSEN), curve=curves)
def test_any_curve_stays_within_its_bounds(genre: programmes.Genre, curve: list[float]) -> None:
    found = fitted(MatchEq(curve_db=tuple(curve)), heard(PLAYED[genre]))
    assert max(map(abs, found.curve_db)) <= MATCH_LIMIT_DB
    MatchEq.model_validate(found.model_dump())


def test_a_song_matched_to_itself_stays() -> None:
    aim = decided(PLAYED["rock"], PLAYED["rock"])
    found = fitted(aim, heard(PLAYED["rock"]))
    assert max(map(abs, found.curve_db)) < 0.01


@pytest.mark.parametrize(
    "sound",
    [np.zeros((2, RATE)), sine(440, 12), noise(3, RATE, channels=1)],
    ids=["silence", "a tone", "mono noise"],
)
def test_whatever_is_no_music_keeps_the_bounds(sound: Block) -> None:
    aim = MatchEq(curve_db=(3.0,) * len(THIRD_OCTAVES_HZ))
    assert max(map(abs, fitted(aim, heard(sound)).curve_db)) <= MATCH_LIMIT_DB


def test_the_renderer_fits_what_was_decided(tmp_path: Path) -> None:
    song = PLAYED["jazz"]
    soundfile.write(tmp_path / "song.wav", song.T, RATE, subtype="FLOAT")
    aim = decided(song, PLAYED["pop"])
    render(tmp_path / "song.wav", Chain(modules=(aim,)), tmp_path / "out.wav")
    made, _ = soundfile.read(tmp_path / "out.wav", always_2d=True)
    expected = process(fitted(aim, heard(song)), song, RATE)
    assert np.allclose(made.T, expected, atol=2e-3)
    assert not np.allclose(made.T, process(aim, song, RATE), atol=2e-3)
