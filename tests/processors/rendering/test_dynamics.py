"""Static curves, times and what bands have to do with each other; saturation's harmonics."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import signal

from processors.rendering.modules import process
from schemas.documents.chain import (
    Compressor,
    CompressorBand,
    DynamicEq,
    DynamicEqBand,
    Expander,
    Saturation,
)
from tests.processors.rendering.sounds import decibels, gain_at, noise, sine

RATE = 44_100


def level_change(dry: np.ndarray, wet: np.ndarray) -> float:
    """In the settled second half, dB."""
    half = dry.shape[1] // 2
    return decibels(float(np.std(wet[:, half:]) / np.std(dry[:, half:])))


@pytest.mark.parametrize("ratio", [1.5, 2.0, 4.0])
@pytest.mark.parametrize("over_db", [-6.0, 6.0, 12.0])
def test_compressor_follows_its_static_curve(ratio: float, over_db: float) -> None:
    band = CompressorBand(threshold_db=-20, ratio=ratio, knee_db=0, makeup_db=2)
    sound = sine(1_000, 2, level=10 ** ((-20 + over_db) / 20) * np.sqrt(2))
    made = process(Compressor(crossovers_hz=(), bands=(band,)), sound, RATE)
    expected = 2 - max(0.0, over_db) * (1 - 1 / ratio)
    assert level_change(sound, made) == pytest.approx(expected, abs=0.1)


def test_bands_are_compressed_apart() -> None:
    low, high = sine(60, 2, level=0.8), sine(3_000, 2, level=0.05)
    hard = CompressorBand(threshold_db=-30, ratio=10)
    gentle = CompressorBand(threshold_db=0, ratio=1)
    made = process(Compressor(crossovers_hz=(500.0,), bands=(hard, gentle)), low + high, RATE)
    assert gain_at(low, made, 60, RATE) < -15
    assert gain_at(high, made, 3_000, RATE) == pytest.approx(0, abs=0.1)


def test_attack_and_release_take_their_time() -> None:
    quiet, loud = sine(1_000, 1, level=0.01), sine(1_000, 1, level=1.0)
    band = CompressorBand(threshold_db=-23.01, ratio=20, knee_db=0, attack_ms=50, release_ms=200)
    sound = np.concatenate((quiet, loud, quiet), axis=1)
    made = process(Compressor(crossovers_hz=(), bands=(band,)), sound, RATE)
    ratio = np.abs(made[0]).reshape(-1, 441).max(axis=1) / np.abs(sound[0]).reshape(-1, 441).max(
        axis=1
    )
    taken = -20 * np.log10(ratio)  # every 10 ms
    whole = taken[190:199].mean()
    assert whole == pytest.approx(19, abs=0.3)
    # 63 % after the time constant, and 5 ms more for the level
    assert taken[105] == pytest.approx(0.63 * whole, abs=0.12 * whole)
    assert taken[221] == pytest.approx(0.37 * whole, abs=0.12 * whole)


@pytest.mark.parametrize("range_db", [-4.0, 3.0])
def test_dynamic_eq_moves_its_band_within_its_range(range_db: float) -> None:
    settings = DynamicEq(
        bands=(DynamicEqBand(hz=100, q=1, threshold_db=-40, ratio=10, range_db=range_db),)
    )
    boom, rest = sine(100, 2, level=0.5), sine(2_000, 2, level=0.1)
    made = process(settings, boom + rest, RATE)
    assert gain_at(boom, made, 100, RATE) == pytest.approx(range_db, abs=0.2)
    assert gain_at(rest, made, 2_000, RATE) == pytest.approx(0, abs=0.1)
    calm = process(settings, 0.001 * boom + rest, RATE)
    assert gain_at(boom, calm, 100, RATE) == pytest.approx(-60, abs=0.2)


def test_upward_expansion_gives_crest_back() -> None:
    beat = np.tile(np.repeat([1.0, 0.35], [2_205, 19_845]), 6)[np.newaxis]
    sound = noise(1, beat.shape[1], 1, level=0.15) * beat
    made = process(Expander(threshold_db=-22, ratio=2, range_db=6, attack_ms=1), sound, RATE)
    before, after = (decibels(np.percentile(np.abs(s), 99.9) / s.std()) for s in (sound, made))
    assert after > before + 1


def test_downward_expansion_lowers_pauses_within_its_range() -> None:
    sound = noise(2, 2 * RATE, 1, level=0.001)
    made = process(Expander(mode="downward", threshold_db=-40, ratio=4, range_db=10), sound, RATE)
    assert level_change(sound, made) == pytest.approx(-10, abs=0.1)


@pytest.mark.parametrize("oversampling", [2, 4, 8])
def test_saturation_makes_odd_harmonics_that_do_not_fold_back(oversampling: int) -> None:
    settings = Saturation.model_validate({"driveDb": 9, "oversampling": oversampling})
    made = process(settings, sine(6_300, 2, level=0.5), RATE)
    level = np.abs(np.fft.rfft(made[0, :RATE] * np.blackman(RATE)))
    level /= level.max()
    assert -40 < decibels(float(level[18_900])) < -15  # the third
    # the fifth and seventh would lie at 31.5 and 44.1 kHz, folded at 12.6 kHz and 0
    folded = decibels(float(level[12_550:12_650].max()))
    assert folded < {2: -40, 4: -75, 8: -75}[oversampling]


def test_saturation_leaves_quiet_sound_alone() -> None:
    low = signal.butter(10, 12_000, fs=RATE, output="sos")  # well within the filters' pass band
    quiet = signal.sosfilt(low, noise(3, RATE, level=1e-3), axis=1)
    made = process(Saturation(drive_db=12), quiet, RATE)
    assert np.abs(made - quiet)[:, 200:-200].max() < 1e-6
