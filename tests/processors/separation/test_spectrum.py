import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.separation.spectrum import Transform


@given(length=st.integers(0, 500), size=st.sampled_from([4, 16, 64]), seed=st.integers(0, 99))
def test_inverse_undoes_forward_at_any_length(length: int, size: int, seed: int) -> None:
    samples = np.random.default_rng(seed).uniform(-1, 1, (2, length)).astype(np.float32)
    transform = Transform(size)
    back = transform.inverse(transform.forward(samples), length)
    np.testing.assert_allclose(back, samples, atol=2e-6)


@pytest.mark.parametrize("hertz", [500.0, 2000.0])
def test_a_tone_lands_in_its_bin(hertz: float) -> None:
    samples = np.sin(2 * np.pi * hertz * np.arange(8000) / 8000).astype(np.float32)[None]
    spectrum = np.abs(Transform(512).forward(samples))
    assert spectrum.mean(axis=1).argmax() == round(hertz * 512 / 8000)
