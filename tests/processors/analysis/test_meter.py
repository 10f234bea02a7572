"""The whole meter: plain songs, odd songs, hostile files, hours of sound."""

from __future__ import annotations

import math
import tracemalloc
from pathlib import Path

import jsonschema
import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from processors.analysis.meter import Meter, describe, measure, measure_blocks
from processors.audio.undecodable import Undecodable
from schemas.documents.analysis import MEASUREMENTS, MOST_POINTS, Analysis
from tests import programmes

pytestmark = pytest.mark.slow

Wave = npt.NDArray[np.float64]
RATE = 44_100


def _sine(hz: float, peak: float, seconds: float, rate: int = RATE) -> Wave:
    return peak * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)


def _read(wave: Wave, rate: int = RATE, encoding: str = "float") -> Analysis:
    frames = wave if wave.ndim == 2 else wave[:, None]
    return measure_blocks([frames], rate=rate, channels=frames.shape[1], encoding=encoding)


def _stereo(left: Wave, right: Wave) -> Wave:
    return np.stack([left, right], axis=1)


def test_a_sine_measures_as_a_sine() -> None:
    tone = _sine(1_000, 0.5, 8)
    found = _read(_stereo(tone, tone))
    assert found.peaks.sample_peak_dbfs == pytest.approx(-6.02, abs=0.01)
    assert found.peaks.true_peak_dbtp == pytest.approx(-6.02, abs=0.05)
    assert found.dynamics.rms_dbfs == pytest.approx(-9.03, abs=0.01)
    assert found.dynamics.crest_db == pytest.approx(3.01, abs=0.01)
    assert found.dynamics.dr_db == pytest.approx(0, abs=0.05)
    assert found.loudness.integrated_lufs == pytest.approx(-6.02, abs=0.05)
    assert found.dynamics.psr_db == pytest.approx(0, abs=0.15)
    by_hz = {band.centre_hz: band.level_dbfs for band in found.balance.third_octaves}
    assert by_hz[1000.0] == pytest.approx(-9.03, abs=0.05)
    assert found.balance.named.mid.share_db == pytest.approx(0, abs=0.01)
    assert found.channels.identical
    assert found.stereo.correlation == 1
    assert found.stereo.width == 0


@pytest.mark.parametrize("block", [1_000, 44_100, 100_000])
def test_block_sizes_do_not_matter(block: int) -> None:
    song = programmes.make(0, genre="pop", seconds=7)
    whole = measure_blocks([song.audio.samples.T], rate=RATE, channels=2)
    assert measure_blocks(song.blocks(block), rate=RATE, channels=2) == whole


def test_the_document_survives_its_json_and_fits_its_schema() -> None:
    song = programmes.make(3, genre="jazz", channels=1, seconds=7)
    found = measure_blocks(song.blocks(), rate=RATE, channels=1)
    assert Analysis.from_json(found.to_json()) == found
    schema = Analysis.model_json_schema(mode="serialization")
    jsonschema.validate(found.model_dump(mode="json"), schema)
    for path in MEASUREMENTS - {"source.bitDepth"}:
        assert found.value(path) is not None or found.reason(path)


@pytest.mark.parametrize(
    ("wave", "why"),
    [
        (np.zeros((5 * RATE, 2)), "silence"),
        (np.zeros((0, 2)), "no samples"),
        (np.full((5 * RATE, 2), 0.25), "DC"),
        (np.full((5 * RATE, 2), 1e-5) * np.sin(np.arange(5 * RATE))[:, None], "-70 LUFS"),
    ],
    ids=["silence", "nothing", "dc", "inaudible"],
)
def test_what_holds_no_music_has_no_loudness_and_says_why(wave: Wave, why: str) -> None:
    found = _read(wave)
    assert found.loudness.integrated_lufs is None
    assert why in (found.reason("loudness.integratedLufs") or "")
    assert found.dynamics.crest_db is None
    assert b"NaN" not in found.to_json()


def test_a_fifth_of_a_second_has_peaks_but_no_loudness() -> None:
    found = _read(_stereo(_sine(440, 0.5, 0.2), _sine(550, 0.4, 0.2)))
    assert found.peaks.true_peak_dbtp == pytest.approx(-6.0, abs=0.2)
    assert found.loudness.integrated_lufs is None
    assert "0.4 s" in (found.reason("loudness.integratedLufs") or "")
    assert "window" in (found.reason("loudness.shortTermMaxLufs") or "")


def test_a_dead_channel_is_named_and_the_rest_measured() -> None:
    found = _read(_stereo(_sine(440, 0.5, 4), np.zeros(4 * RATE)))
    assert found.channels.dead == (1,)
    assert found.stereo.correlation is None
    assert found.reason("stereo.correlation")
    assert found.loudness.integrated_lufs == pytest.approx(-9.8, abs=0.3)


def test_an_inverted_channel_is_told() -> None:
    song = programmes.make(2, genre="pop", channels=1, seconds=7).audio.samples[0]
    found = _read(_stereo(song.astype(np.float64), -song.astype(np.float64)))
    assert found.channels.inverted
    assert found.stereo.correlation == -1
    assert found.stereo.width == 1
    assert found.pumping.tempo_bpm is not None


def test_direct_current_is_measured_beside_the_music() -> None:
    found = _read(_stereo(_sine(440, 0.5, 4) + 0.02, _sine(440, 0.5, 4)))
    assert found.dc.worst_dbfs == pytest.approx(20 * math.log10(0.02), abs=0.01)
    assert found.dc.offsets == pytest.approx((0.02, 0), abs=1e-6)


def test_floats_beyond_full_scale_are_overs_and_not_clipped() -> None:
    tone = _sine(440, 2.5, 4)
    found = _read(_stereo(tone, tone))
    assert found.clipping.overs > 0
    assert found.clipping.runs == 0
    assert found.peaks.true_peak_dbtp == pytest.approx(7.96, abs=0.02)


def test_peaks_between_the_samples_are_counted() -> None:
    tone = 1.3 * np.sin(np.pi / 2 * np.arange(RATE) + np.pi / 4)
    found = _read(_stereo(tone, tone))
    assert found.clipping.overs == 0
    assert found.clipping.inter_sample_overs > RATE / 2


def test_low_notes_with_round_tops_are_not_clipped() -> None:
    step = 2.0**-15
    tone = np.round(_sine(40, 0.9, 4) / step) * step
    assert _read(tone, encoding="pcm_16").clipping.runs == 0


def test_eight_kilohertz_ends_at_four() -> None:
    song = programmes.make(1, genre="pop", rate=8_000, seconds=7)
    found = measure_blocks(song.blocks(), rate=8_000, channels=2)
    assert found.loudness.integrated_lufs is not None
    assert found.balance.named.air.level_dbfs is None
    assert found.reason("balance.named.air.levelDbfs")


def test_silence_at_the_ends_is_measured() -> None:
    tone = _sine(440, 0.5, 3)
    found = _read(np.concatenate([np.zeros(RATE), tone, np.zeros(RATE // 2)]))
    assert found.silence.start_s == pytest.approx(1, abs=0.001)
    assert found.silence.end_s == pytest.approx(0.5, abs=0.001)
    assert found.silence.share == pytest.approx(1.5 / 4.5, abs=0.01)


def test_the_noise_floor_is_what_the_pauses_hold() -> None:
    random = np.random.default_rng(1)
    music = _sine(440, 0.5, 6)
    music[2 * RATE : 3 * RATE] = 0
    found = _read(music + 10 ** (-60 / 20) * random.standard_normal(len(music)))
    assert found.noise.floor_dbfs == pytest.approx(-60, abs=0.5)
    assert found.noise.flatness is not None


def test_hum_is_told_with_its_frequency() -> None:
    song = programmes.make(5, genre="acoustic", seconds=12, rms_dbfs=-20).audio.samples
    time = np.arange(song.shape[1]) / RATE
    mains = sum(10 ** (-34 / 20) * np.sin(2 * np.pi * 60 * n * time) for n in range(1, 5))
    found = _read((song + mains).T.astype(np.float64)).hum
    assert found.fundamental_hz == 60
    assert {partial.frequency_hz for partial in found.partials} >= {60, 120, 180}
    assert found.partials[0].level_dbfs == pytest.approx(-37, abs=4)  # read at its lowest


def test_memory_does_not_grow_with_the_song() -> None:
    """Ten times the length: the same memory, and curves of bounded length."""
    random = np.random.default_rng(0)
    second = random.standard_normal((8_000, 2)).astype(np.float32) / 8

    def peak(seconds: int) -> tuple[int, Analysis]:
        tracemalloc.start()
        meter = Meter(8_000, 2)
        for _ in range(seconds):
            meter.add(second)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most, meter.finish(describe("memory", "float", 8_000, 2, meter.frames))

    short, _ = peak(40)
    long, found = peak(400)
    assert long < 1.2 * short + 200_000
    assert len(found.waveform.low) <= MOST_POINTS
    assert len(found.curve.short_term_lufs) <= MOST_POINTS
    assert found.waveform.step_s * len(found.waveform.low) == pytest.approx(400, abs=4)


@pytest.mark.parametrize(
    ("container", "subtype", "bits"),
    [
        ("WAV", "PCM_U8", 8),
        ("WAV", "PCM_16", 16),
        ("WAV", "PCM_24", 24),
        ("WAV", "FLOAT", 32),
        ("AIFF", "PCM_16", 16),
        ("AIFF", "FLOAT", 32),
        ("FLAC", "PCM_24", 24),
    ],
)
def test_files_are_measured_as_they_are(
    tmp_path: Path, container: str, subtype: str, bits: int
) -> None:
    song = programmes.make(0, genre="pop", seconds=4).audio
    path = tmp_path / "song"
    soundfile.write(path, song.samples.T, RATE, subtype, format=container)
    found = measure(path, max_seconds=60)
    assert found.source.bit_depth == bits
    assert found.source.encoding == subtype.lower()
    assert found.source.frames == song.frames
    exact = _read(song.samples.T.astype(np.float64)).loudness.integrated_lufs
    assert found.loudness.integrated_lufs == pytest.approx(exact, abs=0.02)


def _broken(path: Path, kind: str) -> None:
    wave = programmes.make(0, genre="pop", seconds=3).audio.samples.T.copy()
    if kind == "nan":
        wave[70_000, 1] = np.nan
    if kind == "absurd":
        wave[70_000, 1] = 1e30
    soundfile.write(path, wave, RATE, "FLOAT" if kind in ("nan", "absurd") else "PCM_16",
                    format="WAV")  # fmt: skip
    data = bytearray(path.read_bytes())
    at = data.index(b"data")
    if kind == "no data":
        data[at + 4 : at + 8] = bytes(4)
        data = data[: at + 8]
    if kind == "truncated":
        data = data[: len(data) // 2]
    if kind == "text":
        data = bytearray(b"these are the lyrics\n" * 100)
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("nan", "not_finite"),
        ("absurd", "damaged"),
        ("no data", "no_samples"),
        ("truncated", "truncated"),
        ("text", "not_audio"),
    ],
)
def test_hostile_files_are_refused_by_name(tmp_path: Path, kind: str, code: str) -> None:
    path = tmp_path / "song.wav"
    _broken(path, kind)
    with pytest.raises(Undecodable) as refusal:
        measure(path, max_seconds=60)
    assert refusal.value.code == code
    assert str(tmp_path) not in refusal.value.message


def test_limits_of_length_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "song.wav"
    soundfile.write(path, _sine(440, 0.5, 3), RATE)
    with pytest.raises(Undecodable) as long:
        measure(path, max_seconds=2)
    with pytest.raises(Undecodable) as short:
        measure(path, max_seconds=9, min_seconds=4)
    assert (long.value.code, short.value.code) == ("too_long", "too_short")
