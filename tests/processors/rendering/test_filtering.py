"""Curves come out as asked, at either phase, and notches and blockers take what they name."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processors.rendering.equaliser import curve_at
from processors.rendering.filters import biquad, magnitude
from processors.rendering.modules import process
from schemas.documents.chain import (
    THIRD_OCTAVES_HZ,
    DcBlock,
    Dehum,
    Eq,
    EqBand,
    MatchEq,
    Stereo,
)
from tests.processors.rendering.sounds import CURVE, decibels, gain_at, noise, sine

RATE = 44_100


@pytest.mark.parametrize(
    ("band", "hz", "expected_db"),
    [
        (EqBand(hz=1_000, db=6, q=1), 1_000, 6.0),
        (EqBand(hz=1_000, db=-6, q=1), 1_000, -6.0),
        (EqBand(hz=1_000, db=6, q=1), 50, 0.0),
        (EqBand(kind="low_shelf", hz=200, db=4), 30, 4.0),
        (EqBand(kind="low_shelf", hz=200, db=4), 8_000, 0.0),
        (EqBand(kind="high_shelf", hz=4_000, db=-5), 18_000, -5.0),
        (EqBand(kind="high_shelf", hz=4_000, db=-5), 100, 0.0),
        (EqBand(kind="highpass", hz=100), 100, -3.01),
        (EqBand(kind="lowpass", hz=8_000), 8_000, -3.01),
    ],
)
def test_biquads_do_what_the_cookbook_says(band: EqBand, hz: float, expected_db: float) -> None:
    gain = magnitude(np.array([biquad(band, RATE)]), np.array([hz]), RATE)[0]
    assert decibels(float(gain)) == pytest.approx(expected_db, abs=0.15)


@pytest.mark.parametrize("rate", [44_100, 96_000])
def test_both_phases_have_the_same_magnitude(rate: int) -> None:
    bands = (EqBand(hz=60, db=5, q=2), EqBand(hz=3_000, db=-6), EqBand(kind="highpass", hz=25))
    click = np.zeros((1, 4 * rate))
    click[0, 2 * rate] = 1.0
    spectra = [
        np.abs(np.fft.rfft(process(Eq(bands=bands, phase=phase), click, rate)[0]))
        for phase in ("linear", "minimum")
    ]
    where = np.fft.rfftfreq(click.shape[1], 1 / rate)
    heard = (where > 20) & (where < 0.45 * rate)
    assert np.abs(20 * np.log10(spectra[0] / spectra[1]))[heard].max() < 0.3


def test_linear_phase_is_symmetric() -> None:
    click = np.zeros((1, 60_001))
    click[0, 30_000] = 1.0
    made = process(Eq(bands=(EqBand(hz=100, db=6),)), click, RATE)[0]
    assert np.allclose(made, made[::-1], atol=1e-12)


@pytest.mark.parametrize("phase", ["linear", "minimum"])
def test_match_curve_goes_through_its_points(phase: str) -> None:
    sound = noise(1, 8 * RATE, 1)
    made = process(MatchEq.model_validate({"curveDb": CURVE, "phase": phase}), sound, RATE)
    for index in range(6, 29, 3):
        hz = THIRD_OCTAVES_HZ[index]
        assert gain_at(sound, made, hz, RATE) == pytest.approx(CURVE[index], abs=0.35)


@settings(max_examples=50)
@given(st.lists(st.floats(-6, 6), min_size=len(THIRD_OCTAVES_HZ), max_size=len(THIRD_OCTAVES_HZ)))
def test_a_curve_never_passes_its_bounds(points: list[float]) -> None:
    made = curve_at(tuple(points), np.geomspace(1, 24_000, 2_000))
    assert made.min() >= min(points) - 1e-9
    assert made.max() <= max(points) + 1e-9


def test_hum_goes_and_its_neighbours_stay() -> None:
    sound = sine(50, 4) + sine(150, 4) + sine(80, 4)
    made = process(Dehum(hz=50, harmonics=3, depth_db=30), sound, RATE)[:, 2 * RATE :]
    level = np.abs(np.fft.rfft(made[0])) / made.shape[1] * 2
    at = {hz: decibels(level[round(hz * made.shape[1] / RATE)]) for hz in (50, 80, 150)}
    assert at[50] < -28
    assert at[150] < -28
    assert abs(at[80]) < 0.2


@pytest.mark.parametrize("known", [True, False])
def test_an_offset_goes_without_a_thump(known: bool) -> None:
    sound = sine(440, 4, level=0.1) + 0.05
    settings_ = DcBlock(offset=(0.05,) if known else ())
    made = process(settings_, sound, RATE)
    assert decibels(abs(float(made.mean()))) < -80
    assert np.abs(made).max() < 0.102


def test_bass_goes_to_the_middle_and_the_sum_stays() -> None:
    sound = noise(2, 4 * RATE)
    made = process(Stereo(widths=(1.5,), mono_below_hz=150), sound, RATE)
    side, wider = (one[:1] - one[1:] for one in (sound, made))
    assert gain_at(side, wider, 50, RATE) < -30
    assert gain_at(side, wider, 2_000, RATE) == pytest.approx(decibels(1.5), abs=0.2)
    assert np.allclose(made.sum(axis=0), sound.sum(axis=0), atol=1e-12)
