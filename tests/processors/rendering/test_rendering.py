"""The master reaches its goal below its ceiling, keeps the file's format, and says what it did."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from processors.analysis.loudness import LoudnessMeter
from processors.analysis.meter import measure
from processors.audio.samples import Samples
from processors.audio.undecodable import Undecodable
from processors.rendering.limiter import true_peak
from processors.rendering.rendering import render
from schemas.documents.chain import (
    Chain,
    Compressor,
    DcBlock,
    Dither,
    DynamicEq,
    DynamicEqBand,
    Eq,
    EqBand,
    Gain,
    Limiter,
    LoudnessGoal,
    Module,
    Saturation,
    Stereo,
)
from tests import programmes
from tests.processors.rendering.sounds import decibels, noise

pytestmark = pytest.mark.slow

FULL: tuple[Module, ...] = (
    Eq(bands=(EqBand(kind="highpass", hz=25), EqBand(hz=300, db=-2))),
    DynamicEq(bands=(DynamicEqBand(hz=90),)),
    Compressor(),
    Saturation(drive_db=2, wet=0.5),
    Stereo(crossovers_hz=(200, 4_000), widths=(1, 1.1, 1.2), mono_below_hz=100),
)


def chain(lufs: float, *modules: Module, most_limiting_db: float = 12) -> Chain:
    goal = LoudnessGoal(lufs=lufs, most_limiting_db=most_limiting_db)
    return Chain(modules=(*modules, Limiter(), Dither()), loudness=goal)


def written(path: Path, samples: Samples, rate: int, subtype: str = "PCM_16") -> Path:
    soundfile.write(path, samples.T, rate, subtype)
    return path


def heard(path: Path) -> tuple[np.ndarray, int]:
    samples, rate = soundfile.read(path, dtype="float64", always_2d=True)
    return samples.T, rate


def loudness(path: Path) -> float:
    samples, rate = heard(path)
    meter = LoudnessMeter(rate, len(samples))
    whole = samples.shape[1] // rate * rate
    meter.add(samples[:, :whole])
    if samples.shape[1] > whole:
        meter.add(samples[:, whole:])
    found = meter.reading().integrated
    assert found is not None
    return found


@pytest.mark.parametrize("number", range(8))
def test_programmes_reach_their_goal(number: int, tmp_path: Path) -> None:
    """A seeded few; `make bench-mastering` renders hundreds."""
    channels, rate = 1 + (number % 6 != 5), 96_000 if number == 4 else 44_100
    genre = programmes.GENRES[number]
    programme = programmes.make(40 + number, genre=genre, rate=rate, channels=channels, seconds=5)
    source = written(tmp_path / "song.wav", programme.audio.samples, rate)
    target = (-9.0, -14.0, -20.0)[number % 3]
    made = render(source, chain(target, *FULL), tmp_path / "master.wav")
    facts = soundfile.info(str(tmp_path / "master.wav"))
    assert (facts.samplerate, facts.channels, facts.frames, facts.subtype) == (
        rate,
        channels,
        programme.audio.frames,
        "PCM_16",
    )
    lufs = loudness(tmp_path / "master.wav")
    assert made.lufs == pytest.approx(lufs, abs=0.01)
    if made.shortfall is None:
        assert lufs == pytest.approx(target, abs=0.1)
    else:
        assert made.shortfall.lu == pytest.approx(target - lufs, abs=0.02)
        assert made.shortfall.code == "ceiling"
    samples, _ = heard(tmp_path / "master.wav")
    assert decibels(true_peak([samples], channels)) <= -1.0
    assert decibels(float(np.abs(samples.mean(axis=1)).max())) < -80


def test_a_goal_that_the_bound_forbids_falls_short_in_words(tmp_path: Path) -> None:
    clicks = np.zeros((1, 4 * 44_100), dtype=np.float32)
    clicks[0, ::4_410] = 0.9
    clicks += noise(1, clicks.shape[1], 1, level=1e-3).astype(np.float32)
    source = written(tmp_path / "clicks.wav", clicks, 44_100)
    made = render(source, chain(-8, most_limiting_db=3), tmp_path / "master.wav")
    assert made.shortfall is not None
    assert made.shortfall.code == "ceiling"
    assert "3 dB off the peaks" in made.shortfall.message
    assert made.limiting is not None
    assert made.limiting.most_db == pytest.approx(3, abs=0.1)
    assert made.lufs is not None
    assert made.shortfall.lu == pytest.approx(-8 - made.lufs)


@pytest.mark.parametrize("modules", [(), (Gain(db=3, wet=0), Dither()), (Eq(enabled=False),)])
@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT"])
def test_bypass_is_bit_exact(modules: tuple[Module, ...], subtype: str, tmp_path: Path) -> None:
    source = written(tmp_path / "song.wav", noise(2, 70_001, level=0.2).astype(np.float32), 48_000,
                     subtype)  # fmt: skip
    made = render(source, Chain(modules=modules), tmp_path / "master.wav")
    assert not made.changed
    assert not made.dithered
    assert np.array_equal(heard(source)[0], heard(tmp_path / "master.wav")[0])
    assert soundfile.info(str(tmp_path / "master.wav")).subtype == subtype


def test_same_input_same_bytes(tmp_path: Path) -> None:
    programme = programmes.make(5, seconds=4)
    for subtype in ("PCM_16", "FLOAT"):
        source = written(tmp_path / "song.wav", programme.audio.samples, 44_100, subtype)
        for name in ("one", "two"):
            render(source, chain(-12, *FULL), tmp_path / f"{name}.wav")
        assert (tmp_path / "one.wav").read_bytes() == (tmp_path / "two.wav").read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["one.wav", "song.wav", "two.wav"]


def test_the_analysis_reads_no_peak_above_the_ceiling_either(tmp_path: Path) -> None:
    # Noise up to the Nyquist frequency, about which interpolators differ by 0.2 dB.
    hiss = np.random.default_rng(7).normal(0, 0.2, (2, 88_200)).astype(np.float32)
    source = written(tmp_path / "cymbals.wav", hiss, 44_100, "PCM_24")
    rendered = render(source, chain(-7.0), tmp_path / "master.wav")
    assert rendered.true_peak_dbtp is not None
    assert rendered.true_peak_dbtp <= -1.0
    read = measure(tmp_path / "master.wav", max_seconds=60).peaks.true_peak_dbtp
    assert read is not None
    assert read <= -1.0


def test_flac_holds_the_same_samples(tmp_path: Path) -> None:
    programme = programmes.make(6, seconds=3)
    source = written(tmp_path / "song.wav", programme.audio.samples, 44_100, "PCM_24")
    for name in ("master.wav", "master.flac"):
        made = render(source, chain(-14), tmp_path / name)
        assert made.bits == 24
    one, two = (heard(tmp_path / name)[0] for name in ("master.wav", "master.flac"))
    assert np.array_equal(one, two)


@pytest.mark.parametrize(
    ("subtype", "dither", "asked", "bits"),
    [
        ("PCM_U8", None, None, 16),
        ("PCM_16", None, 24, 24),
        ("PCM_24", None, None, 24),
        ("PCM_24", 16, None, 16),
        ("PCM_32", None, None, 32),
        ("FLOAT", 16, None, 16),
        ("FLOAT", None, None, 32),
    ],
)
def test_bit_depth(
    subtype: str, dither: int | None, asked: int | None, bits: int, tmp_path: Path
) -> None:
    source = written(tmp_path / "song.wav", noise(3, 20_000).astype(np.float32), 44_100, subtype)
    settings = Dither.model_validate({"bits": dither})
    made = render(
        source,
        Chain(modules=(Gain(db=-6), settings)),
        tmp_path / "master.wav",
        depth=asked,  # type: ignore[arg-type]
    )
    assert made.bits == bits
    assert made.dithered == (bits < 32)
    expected = {16: "PCM_16", 24: "PCM_24", 32: "FLOAT"}[bits]
    assert soundfile.info(str(tmp_path / "master.wav")).subtype == expected


def test_float_above_full_scale_is_brought_below(tmp_path: Path) -> None:
    source = written(tmp_path / "hot.wav", noise(4, 88_200, level=1.5).astype(np.float32), 44_100,
                     "FLOAT")  # fmt: skip
    made = render(source, Chain(modules=(Limiter(),)), tmp_path / "master.wav")
    assert made.clipped == 0
    assert made.true_peak_dbtp is not None
    assert made.true_peak_dbtp <= -1.0


def test_silence_stays_silence_and_is_said(tmp_path: Path) -> None:
    source = written(tmp_path / "song.wav", np.zeros((2, 44_100), np.float32), 44_100)
    made = render(source, chain(-14, *FULL), tmp_path / "master.wav")
    assert made.lufs is None
    assert made.shortfall is not None
    assert made.shortfall.code == "silent"
    assert np.abs(heard(tmp_path / "master.wav")[0]).max() <= 2 / 32_768  # the dither


def test_a_fifth_of_a_second(tmp_path: Path) -> None:
    source = written(tmp_path / "song.wav", noise(5, 8_820).astype(np.float32), 44_100)
    made = render(source, chain(-14, *FULL), tmp_path / "master.wav")
    assert made.frames == soundfile.info(str(tmp_path / "master.wav")).frames == 8_820
    assert made.shortfall is not None


def test_an_offset_goes(tmp_path: Path) -> None:
    song = programmes.make(8, seconds=5, faults={"dc": 0.03}).audio
    source = written(tmp_path / "song.wav", song.samples, song.rate)
    for modules in ((), (DcBlock(),)):
        made = render(source, chain(-14, *modules), tmp_path / "master.wav")
        assert decibels(max(map(abs, made.offset))) < -80


def test_surround_comes_out_in_stereo(tmp_path: Path) -> None:
    source = written(tmp_path / "song.wav", noise(6, 44_100, 6).astype(np.float32), 48_000)
    made = render(source, chain(-16), tmp_path / "master.wav")
    assert made.channels == soundfile.info(str(tmp_path / "master.wav")).channels == 2


def test_what_is_no_number_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    broken = noise(7, 44_100).astype(np.float32)
    broken[0, 30_000] = np.nan
    source = written(tmp_path / "song.wav", broken, 44_100, "FLOAT")
    for settings in (Chain(), chain(-14)):
        with pytest.raises(Undecodable, match="not numbers"):
            render(source, settings, tmp_path / "master.wav")
    assert [p.name for p in tmp_path.iterdir()] == ["song.wav"]


def test_progress_rises_to_one(tmp_path: Path) -> None:
    told: list[float] = []
    source = written(tmp_path / "song.wav", noise(8, 100_000).astype(np.float32), 44_100)
    render(source, chain(-14), tmp_path / "master.wav", told.append)
    assert told == sorted(told)
    assert told[-1] == 1.0
