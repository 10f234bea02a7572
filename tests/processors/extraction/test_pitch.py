"""Pitch against melodies whose every 10 ms is known."""

from __future__ import annotations

import mir_eval
import numpy as np
import pytest

from processors.extraction.pitch import PitchExtractor
from tests import features
from tests.processors.extraction.listening import heard, number

RANGES = ((40.0, 55.0), (48.0, 67.0), (60.0, 80.0), (41.0, 81.0))


@pytest.mark.parametrize("low_high", RANGES)
def test_the_pitch_is_found_in_its_octave(low_high: tuple[float, float]) -> None:
    accuracies, middles = [], []
    for seed in range(4):
        made = features.melody(
            700 + seed, low=low_high[0], high=low_high[1], glide_s=0.06 * (seed % 2),
            vibrato_hz=5.5, vibrato_cents=(0.0, 30.0, 60.0, 0.0)[seed], tuning_cents=7.0 * seed,
        )  # fmt: skip
        found = heard(PitchExtractor(), made.wave)
        hz = found.arrays["f0_hz"].astype(np.float64)
        voicing, cents, heard_voicing, heard_cents = mir_eval.melody.to_cent_voicing(
            made.times, made.hz, np.arange(len(hz)) * 0.01, hz
        )
        accuracies.append(
            mir_eval.melody.raw_pitch_accuracy(voicing, cents, heard_voicing, heard_cents)
        )
        both = (voicing > 0) & (heard_voicing > 0)
        middles.append(float(np.median(np.abs(cents - heard_cents)[both])))
    assert np.mean(accuracies) >= 0.99
    assert max(middles) <= 5.0


@pytest.mark.parametrize("colour", features.COLOURS)
@pytest.mark.parametrize("level_db", [-10.0, -40.0])
def test_noise_is_not_voiced(colour: features.Colour, level_db: float) -> None:
    for seed in range(3):
        found = heard(PitchExtractor(), features.noise(seed, colour, level_db=level_db))
        assert not found.arrays["voiced"].any()
        assert "range" in found.reasons


@pytest.mark.parametrize("seconds", [0.01, 0.2, 3.0])
def test_silence_is_not_voiced(seconds: float) -> None:
    found = heard(PitchExtractor(), features.silence(seconds))
    assert not found.arrays["voiced"].any()
    assert found.values["f0_hz"] is None


def test_pauses_between_notes_are_not_voiced() -> None:
    made = features.melody(3, notes=20)
    hz = heard(PitchExtractor(), made.wave).arrays["f0_hz"]
    quiet = made.hz == 0
    # 40 ms about each note belong to it: a frame is that long
    edge = np.convolve(~quiet, np.ones(9), mode="same") > 0
    count = min(len(hz), len(quiet))
    assert not (hz[:count] > 0)[~edge[:count]].any()


@pytest.mark.parametrize(("rate", "depth"), [(5.0, 30.0), (6.5, 60.0), (7.0, 90.0)])
def test_vibrato_has_the_rate_and_depth_that_were_sung(rate: float, depth: float) -> None:
    made = features.melody(11, low=50, high=70, vibrato_hz=rate, vibrato_cents=depth)
    found = heard(PitchExtractor(), made.wave)
    assert number(found, "vibrato.rate_hz") == pytest.approx(rate, abs=0.1)
    assert number(found, "vibrato.depth_cents") == pytest.approx(depth, rel=0.1)


def test_straight_notes_have_no_vibrato() -> None:
    found = heard(PitchExtractor(), features.melody(11, low=50, high=70).wave)
    assert found.values["vibrato"] is None
    assert "shakes" in found.reasons["vibrato"]


@pytest.mark.parametrize("tuning", [-30.0, 0.0, 12.0, 45.0])
def test_tuning_and_intonation(tuning: float) -> None:
    found = heard(PitchExtractor(), features.melody(5, tuning_cents=tuning).wave)
    assert number(found, "intonation.tuning_cents") == pytest.approx(tuning, abs=2)
    assert number(found, "intonation.deviation_cents") <= 2


def test_the_range_is_that_of_the_notes() -> None:
    made = features.melody(8, low=45, high=64, notes=24)
    found = heard(PitchExtractor(), made.wave)
    notes = [note for note, _, _ in made.notes]
    assert min(notes) - 0.5 <= number(found, "range.low_midi") <= np.percentile(notes, 20)
    assert np.percentile(notes, 80) <= number(found, "range.high_midi") <= max(notes) + 0.5
