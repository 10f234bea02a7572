"""Headers that others read, rounding that keeps what fits, and dither that is what it says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from processors.rendering.dithering import Depth, Quantiser, pcm
from processors.rendering.files import SongFile, wave_header, writing
from tests.processors.rendering.sounds import decibels, noise


@pytest.mark.parametrize(("depth", "subtype"), [(16, "PCM_16"), (24, "PCM_24"), (32, "FLOAT")])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("frames", [1, 44_101])
def test_others_read_what_is_written(
    depth: Depth, subtype: str, channels: int, frames: int, tmp_path: Path
) -> None:
    sound = Quantiser(depth, None)(noise(1, frames, channels))
    song = SongFile(tmp_path, 96_000, channels, frames, depth)
    with writing(tmp_path / "out.wav", song, depth) as file:
        file.add(sound)
    facts = soundfile.info(str(tmp_path / "out.wav"))
    assert (facts.samplerate, facts.frames, facts.subtype) == (96_000, frames, subtype)
    read, _ = soundfile.read(tmp_path / "out.wav", dtype="float64", always_2d=True)
    assert np.array_equal(read.T, sound)


def test_beyond_four_gigabytes_it_is_rf64() -> None:
    head = wave_header(192_000, 2, 1 << 30, 24)
    assert head[:4] == b"RF64"
    assert int.from_bytes(head[28:36], "little") == 6 << 30
    assert int.from_bytes(head[20:28], "little") == len(head) - 8 + (6 << 30)
    small = wave_header(44_100, 1, 3, 24)
    assert int.from_bytes(small[4:8], "little") == len(small) - 8 + 10  # one byte of padding


@given(st.lists(st.integers(-32_768, 32_767), min_size=1), st.sampled_from([16, 24, 32]))
def test_what_fits_is_kept(steps: list[int], depth: Depth) -> None:
    sound = np.array([steps]) / 32_768
    kept = Quantiser(depth, None)
    assert np.array_equal(kept(sound), sound)
    assert kept.clipped == 0


def test_dither_is_triangular_and_leaves_no_distortion() -> None:
    tone = 0.4 / 32_768 * np.sin(2 * np.pi * 1_000 * np.arange(1 << 18) / 44_100)[np.newaxis]
    made = Quantiser(16, 1)(tone)
    noise_ = (made - tone) * 32_768
    # two uniform variables of one step each, and the rounding: 3 · 1/12 of a step squared
    assert noise_.var() == pytest.approx(0.25, rel=0.02)
    assert np.abs(np.corrcoef(noise_[0], tone[0])[0, 1]) < 0.01  # undithered it would vanish
    level = np.abs(np.fft.rfft(made[0] * np.blackman(1 << 18)))
    third = round(3_000 * (1 << 18) / 44_100)
    floor = np.median(level[third - 500 : third + 500])
    assert decibels(float(level[third - 3 : third + 4].max() / floor)) < 12


def test_dither_does_not_depend_on_blocks() -> None:
    sound = noise(2, 10_000, level=0.1)
    whole = Quantiser(16, 7)(sound)
    parts = Quantiser(16, 7)
    cut = [parts(part) for part in np.split(sound, [1, 77, 5_000], axis=1)]
    assert np.array_equal(np.concatenate(cut, axis=1), whole)
    assert not np.array_equal(Quantiser(16, 8)(sound), whole)


def test_clipping_is_counted() -> None:
    quantise = Quantiser(16, None)
    made = quantise(np.array([[1.5, -1.5, 0.5]]))
    assert quantise.clipped == 2
    assert made.tolist() == [[1 - 2**-15, -1.0, 0.5]]
    assert pcm(made, 16) == b"\xff\x7f\x00\x80\x00\x40"
    assert pcm(made[:, 1:], 24) == b"\x00\x00\x80\x00\x00\x40"
