"""What a GPU's memory is enough for; no GPU is needed to say it."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors import gpu
from processors.extraction import gpu_plan, isolated
from processors.extraction.devices import AT_ONCE, FEWEST, Device
from processors.extraction.isolated import Voice
from processors.extraction.orders import Order
from processors.extraction.spectra import CpuSpectra
from processors.settings import StageSettings
from tests.processors.runtime.rig import settings_in


@given(st.integers(1, 100_000), st.booleans())
def test_what_is_sent_at_once_fits_and_twice_as_much_would_not(mib: int, clap: bool) -> None:
    windows = gpu_plan.windows_within(mib, clap=clap)
    assert windows == 0 or gpu_plan.needed_mib(windows, clap=clap) <= mib
    if windows < AT_ONCE:
        more = 2 * windows or FEWEST
        assert gpu_plan.needed_mib(more, clap=clap) > mib
    assert windows in {0, *(AT_ONCE >> n for n in range(7))}


def test_a_gpu_is_looked_for_only_where_a_driver_is(tmp_path: Path) -> None:
    (tmp_path / "driver").touch()
    assert gpu_plan.may_have_gpu([str(tmp_path / "driver")])
    assert not gpu_plan.may_have_gpu([str(tmp_path / "none")])


class OnGpu(CpuSpectra):
    """Spectra that say they are on a GPU."""

    def __init__(self, name: str) -> None:
        self.device = f"torch:{name}"


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> SimpleNamespace:
    """A machine with a GPU of 1000 MiB, as torch would tell of it."""
    told = SimpleNamespace(best="cuda", total=1000, capped=[], given_back=0)
    torch = ModuleType("processors.extraction.torch_spectra")
    vars(torch).update(best_device=lambda: told.best, TorchSpectra=OnGpu)
    monkeypatch.setitem(sys.modules, torch.__name__, torch)
    monkeypatch.setattr(gpu_plan, "may_have_gpu", lambda: True)
    monkeypatch.setattr(gpu, "total_mib", lambda limit: min(limit or told.total, told.total))
    monkeypatch.setattr(gpu, "capped", told.capped.append)
    monkeypatch.setattr(gpu, "shared", lambda settings: gpu.GpuMemory(tmp_path / "gpu", told.total))

    def back() -> None:
        told.given_back += 1

    monkeypatch.setattr(isolated, "_give_back", back)
    return told


def order(device: str, *names: str) -> Order:
    return Order("", "", names, {}, device, 1.0, "", "")


@contextmanager
def chosen(
    settings: StageSettings, device: str, *names: str
) -> Iterator[tuple[Device, list[dict[str, Any]]]]:
    out = io.StringIO()
    with isolated._device(order(device, *names), settings, Voice(out)) as found:
        yield found, [json.loads(line) for line in out.getvalue().splitlines()]


def test_a_gpu_is_used_within_its_memory(tmp_path: Path, machine: SimpleNamespace) -> None:
    with chosen(settings_in(tmp_path), "auto", "mfcc") as (device, said):
        assert (device.device, device.fallback, said) == ("torch:cuda", None, [])
        assert machine.capped == [gpu_plan.needed_mib(AT_ONCE, clap=False)]
        assert machine.given_back == 0
    assert machine.given_back == 1


def test_fewer_windows_where_the_limit_is_low(tmp_path: Path, machine: SimpleNamespace) -> None:
    limited = settings_in(tmp_path, gpu_memory_limit=200)
    with chosen(limited, "gpu", "mfcc") as (device, _):
        assert device.device == "torch:cuda"
    assert machine.capped[0] <= 200
    with chosen(limited, "gpu", "clap") as (device, _):
        assert device.device == "cpu"
        assert device.fallback is not None
        assert "200 MiB" in device.fallback.reason


@pytest.mark.parametrize(
    ("device", "use_gpu", "best", "reason"),
    [
        ("cpu", True, "cuda", None),
        ("auto", False, "cuda", None),
        ("gpu", False, "cuda", "USE_GPU"),
        ("auto", True, "cpu", None),
        ("gpu", True, "cpu", "no GPU here"),
    ],
)
def test_where_the_cpu_computes_and_what_is_said_of_it(
    tmp_path: Path,
    machine: SimpleNamespace,
    device: str,
    use_gpu: bool,
    best: str,
    reason: str | None,
) -> None:
    machine.best = best
    with chosen(settings_in(tmp_path, use_gpu=use_gpu), device, "mfcc") as (found, _):
        assert found.device == "cpu"
        assert (found.fallback is None) == (reason is None)
        assert reason is None or (found.fallback and reason in found.fallback.reason)
    assert machine.capped == []


def test_two_share_the_gpu_where_the_settings_let_them(
    tmp_path: Path, machine: SimpleNamespace
) -> None:
    settings = settings_in(tmp_path, max_gpu_workers=2)
    with chosen(settings, "gpu", "mfcc"), chosen(settings, "gpu", "mfcc") as (second, said):
        assert second.device == "torch:cuda"
        assert said == []
