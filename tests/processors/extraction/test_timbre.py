"""Loudness, spectrum, cepstra, onsets, voice and structure of sounds that are known."""

from __future__ import annotations

import itertools

import mir_eval
import numpy as np
import pytest

from processors.analysis.meter import measure_blocks
from processors.extraction.loudness import LoudnessExtractor
from processors.extraction.mfcc import MfccExtractor
from processors.extraction.onsets import OnsetExtractor
from processors.extraction.spectral import SpectralExtractor
from processors.extraction.structure import StructureExtractor
from processors.extraction.voice_activity import VoiceActivityExtractor
from tests import features
from tests.features import RATE
from tests.processors.extraction.listening import heard, number, pieces

EVERY = (LoudnessExtractor, MfccExtractor, OnsetExtractor, SpectralExtractor, StructureExtractor,
         VoiceActivityExtractor)  # fmt: skip


def sine(hz: float, seconds: float = 4.0, level: float = 0.25) -> features.Wave:
    return level * np.sin(2 * np.pi * hz * np.arange(round(seconds * RATE)) / RATE)


def test_loudness_is_the_meters() -> None:
    wave = features.rhythm(1, groove="rock", bpm=100, seconds=12.3).wave
    stereo = np.stack([wave, 0.5 * wave], axis=1)
    found = heard(LoudnessExtractor(), stereo, size=1000)
    meter = measure_blocks(pieces(stereo), rate=RATE, channels=2)
    assert number(found, "integrated_lufs") == round(meter.loudness.integrated_lufs or 0, 2)
    assert number(found, "range_lu") == round(meter.loudness.range_lu or 0, 2)
    assert number(found, "true_peak_dbtp") == round(meter.peaks.true_peak_dbtp or 0, 2)
    assert number(found, "rms_dbfs") == round(meter.dynamics.rms_dbfs or 0, 2)


def test_a_sine_lies_where_it_is() -> None:
    found = heard(SpectralExtractor(), sine(1000.0))
    assert number(found, "centroid_hz.median") == pytest.approx(1000, abs=2)
    assert number(found, "rolloff_hz.median") == pytest.approx(1000, abs=22)
    assert number(found, "flatness.median") < 1e-3
    assert number(found, "rms.median") == pytest.approx(0.25 / np.sqrt(2), rel=1e-3)
    assert number(found, "zero_crossing_rate.median") == pytest.approx(2000 / 22_050, rel=0.05)


def test_white_noise_is_flat_and_wide() -> None:
    found = heard(SpectralExtractor(), features.noise(1, "white"))
    # exp(−γ) = 0.56 for the bins of noise, less what the resampler takes above 10 kHz
    assert 0.3 < number(found, "flatness.median") < np.exp(-np.euler_gamma)
    assert number(found, "centroid_hz.median") == pytest.approx(22_050 / 4, rel=0.05)


def test_ten_decibels_more_move_the_first_coefficient_alone() -> None:
    wave = features.rhythm(2, groove="ballad", seconds=6).wave
    one, other = heard(MfccExtractor(), wave), heard(MfccExtractor(), wave * 10**-0.5)
    gap = one.arrays["mfcc"] - other.arrays["mfcc"]
    assert gap[20:-20, 0] == pytest.approx(10 * np.sqrt(128), abs=0.05)
    assert np.abs(gap[20:-20, 1:]).max() < 0.05


def test_onsets_are_where_sounds_begin() -> None:
    times = np.cumsum(np.random.default_rng(3).uniform(0.15, 0.5, 60)) + 0.3
    wave = np.zeros(round((times[-1] + 1) * RATE))
    for at, midi in zip(times, np.random.default_rng(4).integers(45, 75, 60), strict=True):
        note = features.tone(float(midi), 0.4, decay=8.0, attack_s=0.003)
        start = round(at * RATE)
        wave[start : start + len(note)] += 0.2 * note
    found = heard(OnsetExtractor(), wave).arrays["onsets_s"]
    score, _, _ = mir_eval.onset.f_measure(times, found, window=0.05)
    assert score >= 0.97


def test_a_hiss_has_no_onsets_but_its_beginning() -> None:
    wave = np.concatenate([features.silence(1), features.noise(1, "pink", seconds=10)])
    assert number(heard(OnsetExtractor(), wave), "count") <= 2


def test_a_melody_is_a_voice_and_noise_is_none() -> None:
    made = features.melody(3, low=50, high=70, notes=12)
    wave = np.concatenate([features.silence(2), made.wave, features.noise(1, "white", seconds=4)])
    found = heard(VoiceActivityExtractor(), wave)
    voice = found.arrays["voice"]
    seconds = np.arange(len(voice)) * 512 / 22_050
    end = 2 + len(made.wave) / RATE
    sung = (seconds > 2.4) & (seconds < end - 0.5)
    assert voice[sung].mean() > 0.85
    assert not voice[(seconds < 1.8) | (seconds > end + 0.3)].any()
    assert found.arrays["sound"][seconds > end + 0.3].all()


@pytest.mark.parametrize("letters", ["AB", "ABAB", "AABC", "ABCBA"])
def test_parts_begin_where_they_were_joined(letters: str) -> None:
    wave, borders = features.form(1, letters)
    found = heard(StructureExtractor(), wave)
    expected = [at for at, (a, b) in zip(borders[1:-1], itertools.pairwise(letters), strict=True)
                if a != b]  # fmt: skip
    heard_borders = found.arrays["borders_s"]
    assert heard_borders[0] == 0.0
    assert heard_borders[-1] == pytest.approx(borders[-1], abs=0.1)
    inner = heard_borders[1:-1].tolist()
    assert len(inner) == len(expected)
    assert inner == pytest.approx(expected, abs=1.0)
    merged = "".join(c for i, c in enumerate(letters) if i == 0 or letters[i - 1] != c)
    assert found.values["form"] == merged


@pytest.mark.parametrize("extractor", EVERY)
@pytest.mark.parametrize("seconds", [0.001, 0.3, 2.0])
def test_short_silence_gives_finite_features(extractor: type, seconds: float) -> None:
    found = heard(extractor(), features.silence(seconds))
    for array in found.arrays.values():
        assert np.isfinite(array).all()
    nulls = {name for name, value in found.values.items() if value is None}
    assert nulls <= set(found.reasons)
