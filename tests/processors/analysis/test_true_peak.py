"""The pruned true peak is the true peak."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import signal

from processors.analysis.true_peak import BEND, PHASES, Samples, TruePeakMeter

Kind = Literal["noise", "low", "clipped", "square", "sparse", "tone"]


def _wave(seed: int, kind: Kind, frames: int) -> Samples:
    random = np.random.default_rng(seed)
    noise = random.standard_normal((2, frames))
    if kind == "low":
        noise = np.asarray(signal.lfilter([0.02], [1, -0.98], noise))
    elif kind == "clipped":
        noise = np.clip(np.asarray(signal.lfilter([0.2], [1, -0.8], noise)), -0.3, 0.3)
    elif kind == "square":
        noise = np.sign(np.sin(np.arange(frames) * random.uniform(0.01, 3)))[None].repeat(2, 0)
    elif kind == "sparse":
        noise *= random.uniform(size=noise.shape) > 0.99
    elif kind == "tone":
        noise = np.sin(np.arange(frames) * random.uniform(0.01, 3.1) + seed)[None].repeat(2, 0)
    loud = random.uniform(0.05, 2.0) / max(float(np.abs(noise).max()), 1e-9)
    return (noise * loud).astype(np.float32)


def _measured(wave: Samples, slab: int, pruned: bool) -> tuple[list[float], int]:
    meter = TruePeakMeter(len(wave), pruned=pruned)
    found = [meter.add(wave[:, start : start + slab]) for start in range(0, wave.shape[1], slab)]
    found.append(meter.finish())
    peaks = np.max([each.peaks for each in found], axis=0)
    return peaks.tolist(), sum(each.overs for each in found)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    kind=st.sampled_from(["noise", "low", "clipped", "square", "sparse", "tone"]),
    frames=st.integers(1, 6_000),
    slab=st.sampled_from([1_000, 4_410, 10_000]),
)
def test_pruning_changes_nothing(seed: int, kind: Kind, frames: int, slab: int) -> None:
    wave = _wave(seed, kind, frames)
    peaks, overs = _measured(wave, slab, pruned=True)
    everywhere, all_overs = _measured(wave, slab, pruned=False)
    assert peaks == pytest.approx(everywhere, rel=1e-5)
    assert overs == all_overs


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**31), slab=st.integers(1, 3_000))
def test_slabs_of_any_size_give_the_same_peak(seed: int, slab: int) -> None:
    wave = _wave(seed, "clipped", 3_000)
    whole, _ = _measured(wave, 3_000, pruned=True)
    assert _measured(wave, max(slab, 50), pruned=True)[0] == pytest.approx(whole, rel=1e-5)


def test_every_phase_keeps_straight_lines_straight() -> None:
    """What the bound rests on."""
    places = np.arange(PHASES.shape[1]) - (PHASES.shape[1] // 2 - 1)
    phases = np.arange(1, len(PHASES) + 1) / (len(PHASES) + 1)
    assert PHASES.sum(axis=1) == pytest.approx(np.ones(len(PHASES)), abs=1e-12)
    assert PHASES @ places == pytest.approx(phases, abs=1e-10)
    assert 0 < BEND < 1


@pytest.mark.parametrize("seed", range(4))
def test_it_reads_what_dense_oversampling_reads(seed: int) -> None:
    """Against 16 times by a long polyphase filter, on noise up to 0.4 of the rate."""
    random = np.random.default_rng(seed)
    sections = signal.butter(8, 0.8, output="sos")
    wave = np.asarray(signal.sosfilt(sections, random.standard_normal((1, 8_000)))) / 4
    dense = signal.resample_poly(wave[0], 16, 1, window=("kaiser", 10.0))
    peaks, _ = _measured(wave.astype(np.float32), 8_000, pruned=True)
    assert 20 * np.log10(peaks[0] / np.abs(dense).max()) == pytest.approx(0, abs=0.15)
