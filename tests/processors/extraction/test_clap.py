"""CLAP through its real loading code, with a tiny random model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from processors.extraction.extracting import Options, extract_file
from tests import features
from tests.models import require
from tests.processors.extraction.listening import save

pytestmark = pytest.mark.models

require("torch", "transformers")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CLAP model of a few thousand weights, saved as real ones are."""
    import torch
    from transformers import ClapConfig, ClapFeatureExtractor, ClapModel

    torch.manual_seed(0)
    config = ClapConfig(
        text_config={
            "vocab_size": 20, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
            "intermediate_size": 16, "max_position_embeddings": 20,
        },
        audio_config={
            "window_size": 8, "num_mel_bins": 64, "spec_size": 256, "patch_size": 4,
            "patch_stride": [4, 4], "depths": [1, 1], "num_attention_heads": [2, 2],
            "patch_embeds_hidden_size": 16, "hidden_size": 32, "num_hidden_layers": 2,
        },
        projection_dim=24,
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("clap")
    ClapModel(config).save_pretrained(folder)
    ClapFeatureExtractor(feature_size=64, truncation="rand_trunc").save_pretrained(folder)
    return folder


def test_a_file_becomes_a_unit_vector(model: Path, tmp_path: Path) -> None:
    path = save(tmp_path / "song.wav", features.rhythm(1, seconds=23).wave)
    options = Options(parameters={"clap": {"model": str(model)}})
    part = extract_file(path, ["clap"], options, tmp_path).result("clap")
    assert part.error is None
    assert (part.features["size"], part.features["pieces"]) == (24, 3)
    with np.load(tmp_path / "clap.npz") as arrays:
        assert np.linalg.norm(arrays["embedding"]) == pytest.approx(1.0, abs=1e-5)
    assert part.parameters["model"] == model.name  # a manifest holds no machine path


@pytest.mark.parametrize("name", ["", "/nowhere/at-all"])
def test_without_weights_it_says_what_is_missing(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLAP_MODEL", name)
    path = save(tmp_path / "song.wav", features.silence(1.0))
    part = extract_file(path, ["clap", "loudness"], Options(), tmp_path)
    error = part.result("clap").error
    assert error is not None
    assert error.code == "not_available"
    assert "CLAP" in error.message
    assert "/nowhere" not in error.message
    assert part.result("loudness").status == "ok"
