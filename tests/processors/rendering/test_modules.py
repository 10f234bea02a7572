"""What holds for every module: exact length, no delay, the same bytes for any blocks, a bypass."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import signal

from processors.rendering.blocks import Block
from processors.rendering.modules import apply, moves, process
from schemas.documents.chain import Chain, Compressor, Dither, Gain, Limiter, Module, Stereo
from tests.processors.rendering.sounds import EACH, noise

each = pytest.mark.parametrize("module", EACH, ids=lambda module: module.module)
each_with_a_wet_share = pytest.mark.parametrize(
    "module", [m for m in EACH if not isinstance(m, Limiter)], ids=lambda module: module.module
)


def cut(sound: Block, sizes: list[int]) -> list[Block]:
    ends = itertools.accumulate(itertools.cycle(sizes))
    starts = [0, *itertools.takewhile(lambda end: end < sound.shape[1], ends)]
    return [sound[:, a:b] for a, b in itertools.pairwise([*starts, sound.shape[1]])]


@settings(max_examples=12)
@given(
    module=st.sampled_from(EACH),
    frames=st.integers(1, 30_000),
    sizes=st.lists(st.integers(1, 20_000), min_size=1, max_size=4).filter(lambda s: sum(s) > 300),
)
def test_any_blocks_give_the_same_bytes(module: Module, frames: int, sizes: list[int]) -> None:
    sound = noise(frames, frames)
    rate = 8_000  # a grid of 8,192 frames: several of them in little sound
    whole = process(module, sound, rate)
    parts = np.concatenate(list(apply([module], cut(sound, sizes), rate, 2)), axis=1)
    assert whole.shape == sound.shape
    assert parts.tobytes() == whole.tobytes()


@each
@pytest.mark.parametrize("rate", [44_100, 192_000])
@pytest.mark.parametrize("channels", [1, 2])
def test_nothing_is_late(module: Module, rate: int, channels: int) -> None:
    # The last shared samples would show a delay as well: the end has to come out, too.
    sound = noise(3, rate // 2, channels, level=0.1)
    made = process(module, sound, rate)
    assert made.shape == sound.shape
    lag = signal.correlate(made[0], sound[0], method="fft").argmax() - (sound.shape[1] - 1)
    assert lag == 0
    assert np.isfinite(made).all()


@each
def test_a_module_switched_off_is_bit_exact(module: Module) -> None:
    sound = noise(4, 50_000)
    off = module.model_copy(update={"enabled": False})
    assert process(off, sound, 44_100).tobytes() == sound.tobytes()


@each_with_a_wet_share
def test_a_dry_module_is_bit_exact(module: Module) -> None:
    sound = noise(4, 50_000)
    dry = module.model_copy(update={"wet": 0.0})
    assert process(dry, sound, 44_100).tobytes() == sound.tobytes()


@each_with_a_wet_share
def test_wet_lies_between(module: Module) -> None:
    sound = noise(5, 60_000)
    whole = process(module, sound, 44_100)
    half = process(module.model_copy(update={"wet": 0.5}), sound, 44_100)
    assert np.allclose(half, 0.5 * (sound + whole), atol=1e-12)
    assert not np.allclose(whole, sound, atol=1e-4)


@each
def test_silence_stays_silent(module: Module) -> None:
    if module.module == "dc_block":
        module = module.model_copy(update={"offset": ()})
    made = process(module, np.zeros((2, 40_000)), 44_100)
    assert np.abs(made).max() == 0.0


@each
def test_a_single_frame_comes_back(module: Module) -> None:
    assert process(module, np.full((1, 1), 0.5), 48_000).shape == (1, 1)


def test_what_would_change_nothing_is_left_out() -> None:
    assert not moves(Gain(db=0), 2)
    assert not moves(Stereo(widths=(1.3,)), 1)
    assert not moves(Dither(), 2)
    assert moves(Stereo(widths=(1.3,)), 2)


def test_an_idle_compressor_adds_nothing() -> None:
    quiet = noise(6, 60_000, level=1e-4)
    assert np.array_equal(process(Compressor(), quiet, 44_100), quiet)


def test_a_chain_is_its_modules_in_their_order() -> None:
    sound = noise(7, 50_000)
    chain = Chain(modules=(Gain(db=6), Limiter(ceiling_dbtp=-3)))
    one = np.concatenate(list(apply(chain.modules, [sound], 44_100, 2)), axis=1)
    two = process(chain.modules[1], process(chain.modules[0], sound, 44_100), 44_100)
    assert np.array_equal(one, two)
