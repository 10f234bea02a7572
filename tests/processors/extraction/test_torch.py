"""torch computes what the CPU does, and both what librosa calls by the same names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from processors.audio import yin
from processors.extraction.extracting import Options, extract_file
from processors.extraction.sound import Bill, blocks
from processors.extraction.spectra import RATE_HZ, CpuSpectra
from tests import features
from tests.models import require
from tests.processors.extraction.listening import save

pytestmark = pytest.mark.models

require("torch")

from processors.extraction.torch_spectra import TorchDifferences, TorchSpectra  # noqa: E402


def block_of(spectra: CpuSpectra | TorchSpectra, seconds: float = 8.0):  # type: ignore[no-untyped-def]
    wave = features.rhythm(2, groove="rock", seconds=seconds).wave[::2, None].astype(np.float32)
    (block,) = blocks([wave], rate=RATE_HZ, channels=1, spectra=spectra, bill=Bill())
    return block


def test_torch_and_cpu_agree() -> None:
    cpu, torch = block_of(CpuSpectra()), block_of(TorchSpectra("cpu"))
    np.testing.assert_allclose(torch.magnitudes, cpu.magnitudes, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(torch.mel, cpu.mel, rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(torch.cepstra, cpu.cepstra, atol=0.02)
    shapes = np.abs(torch.shapes - cpu.shapes)
    assert shapes[:, :2].max() <= 1.0  # Hz
    assert shapes[:, 2].max() <= 11.0  # a bin
    assert shapes[:, 3].max() <= 1e-4
    # a peak on the border of two thirds of a semitone may fall to either side
    whole = float(cpu.chroma.sum())
    assert float(np.abs(torch.chroma - cpu.chroma).sum()) <= 1e-3 * whole


def test_torchs_difference_function_agrees() -> None:
    sound = features.melody(1, notes=4).wave[::3].astype(np.float32)
    cut = yin.frames(sound, 480).copy()
    ours, theirs = yin.normalised_difference(cut), TorchDifferences("torch:cpu")(cut)
    loud = np.sqrt((cut**2).mean(axis=1)) > 1e-3
    np.testing.assert_allclose(theirs[loud], ours[loud], atol=2e-3)


def test_a_whole_file_has_the_same_features(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from processors.extraction import extracting
    from processors.extraction.devices import Device

    path = save(tmp_path / "song.wav", features.melody(2).wave)
    cpu = extract_file(path, None, Options(), tmp_path / "cpu")
    monkeypatch.setattr(
        extracting, "chosen_device", lambda asked: Device(asked, TorchSpectra("cpu"))
    )
    torch = extract_file(path, None, Options(), tmp_path / "torch")
    assert all(part.status == "ok" for part in torch.extractors)
    assert torch.result("pitch_extractor").device == "torch:cpu"
    for name, feature in (
        ("chroma_key", "key"),
        ("structure", "form"),
        ("pitch_extractor", "notes"),
    ):
        assert torch.result(name).features[feature] == cpu.result(name).features[feature]
    with (
        np.load(tmp_path / "cpu" / "pitch_extractor.npz") as one,
        np.load(tmp_path / "torch" / "pitch_extractor.npz") as other,
    ):
        both = one["voiced"] & other["voiced"]
        assert both.sum() >= 0.995 * one["voiced"].sum()
        cents = 1200 * np.abs(np.log2(one["f0_hz"][both] / other["f0_hz"][both]))
        assert np.percentile(cents, 99) <= 1.0


def test_mel_and_cepstra_are_librosas() -> None:
    librosa = pytest.importorskip("librosa")
    wave = features.rhythm(2, groove="rock", seconds=8).wave[::2].astype(np.float32)
    block = block_of(CpuSpectra())
    mel = librosa.feature.melspectrogram(y=wave, sr=RATE_HZ, n_fft=2048, hop_length=512).T
    np.testing.assert_allclose(block.mel, mel, rtol=1e-3, atol=1e-6)
    levels = librosa.power_to_db(mel.T, top_db=None)
    cepstra = librosa.feature.mfcc(S=levels, n_mfcc=20).T
    np.testing.assert_allclose(block.cepstra, cepstra, atol=0.02)
    centroid = librosa.feature.spectral_centroid(y=wave, sr=RATE_HZ)[0]
    bandwidth = librosa.feature.spectral_bandwidth(y=wave, sr=RATE_HZ)[0]
    rolloff = librosa.feature.spectral_rolloff(y=wave, sr=RATE_HZ)[0]
    flatness = librosa.feature.spectral_flatness(y=wave)[0]
    np.testing.assert_allclose(block.shapes[:, 0], centroid, atol=1.0)
    np.testing.assert_allclose(block.shapes[:, 1], bandwidth, atol=1.0)
    np.testing.assert_allclose(block.shapes[:, 2], rolloff, atol=11.0)
    np.testing.assert_allclose(block.shapes[:, 3], flatness, atol=1e-4)
