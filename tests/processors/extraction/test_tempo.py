"""Tempo and beats against rhythms whose beats were written."""

from __future__ import annotations

import mir_eval
import numpy as np
import pytest

from processors.extraction.tempo import TempoExtractor, fitted, metre, numbered, regularity
from tests import features
from tests.features import GROOVES, Groove
from tests.processors.extraction.listening import heard, number

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("groove", GROOVES)
def test_tempo_and_beats_are_those_that_were_written(groove: Groove) -> None:
    for seed, bpm in enumerate(np.geomspace(42, 218, 6)):
        made = features.rhythm(500 + seed, groove=groove, bpm=float(bpm))
        found = heard(TempoExtractor(), made.wave)
        assert number(found, "tempo_bpm") == pytest.approx(made.bpm, abs=0.05), bpm
        beats = mir_eval.beat.trim_beats(found.arrays["beats_s"])
        truth = mir_eval.beat.trim_beats(made.beats)
        assert mir_eval.beat.f_measure(truth, beats) >= 0.98
        candidates = found.values["candidates"]
        assert isinstance(candidates, list)
        weights = [each["weight"] for each in candidates if isinstance(each, dict)]
        assert sum(w for w in weights if isinstance(w, float)) == pytest.approx(1.0, abs=0.01)


def test_a_tempo_that_changes_is_followed() -> None:
    made = features.rhythm(3, groove="rock", bpm=95, end_bpm=125, seconds=60)
    found = heard(TempoExtractor(), made.wave)
    truth = mir_eval.beat.trim_beats(made.beats)
    beats = mir_eval.beat.trim_beats(found.arrays["beats_s"])
    assert mir_eval.beat.f_measure(truth, beats) >= 0.95
    curve = found.arrays["tempo_curve_bpm"]
    assert found.values["tempo_method"] == "median of the tempo curve"
    assert curve[5] == pytest.approx(97, abs=3)
    assert curve[-5] == pytest.approx(123, abs=3)


@pytest.mark.parametrize("colour", features.COLOURS)
def test_noise_has_no_tempo_and_says_why(colour: features.Colour) -> None:
    found = heard(TempoExtractor(), features.noise(1, colour, seconds=20))
    assert found.values["tempo_bpm"] is None
    assert "no pulse" in found.reasons["tempo_bpm"]
    assert len(found.arrays["beats_s"]) == 0


@pytest.mark.parametrize("seconds", [0.05, 0.5, 5.0])
def test_silence_of_any_length_has_no_tempo(seconds: float) -> None:
    assert heard(TempoExtractor(), features.silence(seconds)).values["tempo_bpm"] is None


def test_bars_begin_where_the_accents_are() -> None:
    made = features.rhythm(4, groove="waltz", bpm=120)
    found = heard(TempoExtractor(), made.wave)
    assert found.values["beats_per_bar"] == 3
    downbeats = found.arrays["downbeats_s"]
    assert mir_eval.beat.f_measure(made.downbeats, downbeats) >= 0.95


def test_a_missed_beat_counts_as_one() -> None:
    beats = np.delete(np.arange(20) * 0.5 + 1.0, [4, 9])
    numbers = numbered(beats, np.full(len(beats), 0.5))
    slope, misses = fitted(numbers, beats)
    assert slope == pytest.approx(0.5)
    assert misses == pytest.approx(0.0, abs=1e-9)


def test_one_beat_far_off_does_not_bend_the_line() -> None:
    beats = np.arange(40).astype(np.float64) * 0.5
    beats[3] += 0.2
    slope, _ = fitted(np.arange(40).astype(np.float64), beats)
    assert slope == pytest.approx(0.5, abs=1e-6)


def test_regular_beats_are_regular_and_others_less() -> None:
    random = np.random.default_rng(0)
    steady = np.arange(50).astype(np.float64) * 0.5
    assert regularity(steady) == pytest.approx(1.0)
    shaky: features.Wave = steady + random.normal(0, 0.02, 50)
    assert regularity(shaky) < 0.8


def test_even_accents_give_no_confident_bar() -> None:
    found = metre(np.zeros(40))
    assert found is not None
    assert found.confidence == pytest.approx(0.0)
    assert metre(np.zeros(5)) is None
