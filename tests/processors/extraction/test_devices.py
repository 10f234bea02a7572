"""A device without memory gives way, and says so."""

from __future__ import annotations

import numpy as np

from processors.extraction.devices import Device, chosen_device
from processors.extraction.spectra import WINDOW, CpuSpectra, Floats


class Small(CpuSpectra):
    """A device that holds so many windows."""

    device = "torch:small"

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = most
        self.largest = 0

    def magnitudes(self, windows: Floats) -> Floats:
        if len(windows) > self.most:
            raise MemoryError
        self.largest = max(self.largest, len(windows))
        return super().magnitudes(windows)


def noise(count: int) -> Floats:
    return np.random.default_rng(1).standard_normal((count, WINDOW)).astype(np.float32)


def test_fewer_windows_at_once_when_memory_runs_out() -> None:
    small = Small(300)
    device = Device("auto", small)
    windows = noise(1000)
    np.testing.assert_array_equal(device.magnitudes(windows), CpuSpectra().magnitudes(windows))
    assert 64 <= small.largest <= 300
    assert device.fallback is None


def test_the_cpu_takes_over_when_nothing_fits() -> None:
    device = Device("cuda", Small(0))
    windows = noise(200)
    np.testing.assert_array_equal(device.magnitudes(windows), CpuSpectra().magnitudes(windows))
    assert device.device == "cpu"
    assert device.fallback is not None
    assert (device.fallback.asked, device.fallback.used) == ("cuda", "cpu")


def test_no_windows_are_no_trouble() -> None:
    assert Device("x", Small(10)).magnitudes(noise(0)).shape == (0, WINDOW // 2 + 1)


def test_a_device_that_is_not_there_is_the_cpu_with_a_reason() -> None:
    device = chosen_device("cuda:77")
    assert device.device == "cpu"
    assert device.fallback is not None
    assert chosen_device("cpu").fallback is None
