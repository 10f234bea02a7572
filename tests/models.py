"""Tiny models with random weights, saved the way that real ones are, for the real loading code."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import yaml


def require(*packages: str) -> None:
    """Skip the module where the extra ``models`` is not installed; CI demands it."""
    if not os.environ.get("MELISMA_REQUIRE_MODELS"):
        for package in packages:
            pytest.importorskip(package, reason="needs the models: `make setup-models`")
    import torch

    torch.set_num_threads(1)  # tests run side by side; threads that spin make them crawl


def demucs_repo(
    folder: Path,
    name: str = "tiny",
    *,
    models: int = 1,
    weights: list[list[float]] | None = None,
    sources: tuple[str, ...] = ("drums", "bass", "other", "vocals"),
    window_s: int = 1,
    seed: int = 0,
) -> Path:
    """A folder with a bag of HTDemucs models, as ``DEMUCS_REPO`` names one: yaml and ``.th``."""
    import torch
    from demucs.htdemucs import HTDemucs
    from demucs.states import get_state, save_with_checksum

    folder.mkdir(parents=True, exist_ok=True)
    signatures = []
    for number in range(models):
        torch.manual_seed(seed + number)
        kwargs: dict[str, Any] = {
            "sources": list(sources),
            "channels": 4,
            "dconv_comp": 2,
            "t_layers": 1,
            "t_heads": 1,
            "bottom_channels": 8,
            "segment": window_s,
        }
        model = HTDemucs(**kwargs)
        signature = f"{name}{number}"
        package = {
            "klass": HTDemucs,
            "args": [],
            "kwargs": kwargs,
            "state": get_state(model, None),
            "training_args": {},
        }
        save_with_checksum(package, folder / f"{signature}.th")
        signatures.append(signature)
    bag: dict[str, Any] = {"models": signatures}
    if weights is not None:
        bag["weights"] = weights
    (folder / f"{name}.yaml").write_text(yaml.safe_dump(bag))
    return folder
