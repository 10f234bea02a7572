"""One decode and one set of spectra, whatever the pieces that come."""

from __future__ import annotations

import numpy as np
import pytest

from processors.extraction.spectra import HOP, RATE_HZ, CpuSpectra
from tests import features
from tests.features import Wave
from tests.processors.extraction.listening import read


class Counting(CpuSpectra):
    """Counts how many windows were transformed."""

    def __init__(self) -> None:
        super().__init__()
        self.windows = 0

    def magnitudes(self, windows):  # type: ignore[no-untyped-def]
        self.windows += len(windows)
        return super().magnitudes(windows)


@pytest.fixture(scope="module")
def wave() -> Wave:
    return features.rhythm(1, groove="rock", seconds=30).wave


@pytest.mark.parametrize("size", [1, 777, 1 << 16, 1 << 22])
def test_the_pieces_do_not_show(wave: Wave, size: int) -> None:
    wave = wave[: 3 * features.RATE] if size == 1 else wave
    whole = list(read(wave))
    cut = list(read(wave, size=size))
    for name in ("mel", "cepstra", "chroma", "shapes", "rises", "rms"):
        one = np.concatenate([getattr(block, name) for block in whole])
        other = np.concatenate([getattr(block, name) for block in cut])
        assert one.shape == other.shape
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-3)


def test_windows_are_centred_on_the_hops(wave: Wave) -> None:
    found = list(read(wave))
    frames = sum(len(block.windows) for block in found)
    samples = sum(len(block.mono) for block in found)
    assert samples == pytest.approx(len(wave) / 2, abs=2)
    assert frames == 1 + samples // HOP
    assert [block.first for block in found][1:] == list(
        np.cumsum([len(block.windows) for block in found])[:-1]
    )
    assert sum(block.native.shape[1] for block in found) == len(wave)


def test_spectra_are_computed_once(wave: Wave) -> None:
    spectra = Counting()
    frames = count = 0
    for block in read(wave, spectra=spectra):
        count += 1
        for _ in range(3):
            assert len(block.mel) == len(block.cepstra) == len(block.chroma) == len(block.rises)
        frames += len(block.windows)
    # and one more for each block but the first: rises need the window before
    assert spectra.windows == frames + count - 1


def test_a_rate_that_needs_no_resampling_is_taken_as_it_is() -> None:
    from processors.extraction.sound import Bill, blocks

    noise = np.random.default_rng(1).uniform(-1, 1, (RATE_HZ, 1)).astype(np.float32)
    (block,) = blocks([noise], rate=RATE_HZ, channels=1, spectra=CpuSpectra(), bill=Bill())
    np.testing.assert_array_equal(block.mono, noise[:, 0])
