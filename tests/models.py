"""Tiny models with random weights, saved the way that real ones are, for the real loading code."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import yaml


def require(*packages: str) -> None:
    """Skip the module where the extra ``models`` is not installed; CI demands it."""
    if not os.environ.get("MELISMA_REQUIRE_MODELS"):
        for package in packages:
            pytest.importorskip(
                package, reason="the full backends are left out: `make setup-models` installs them"
            )
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
    real: bool = False,
) -> Path:
    """A folder with a bag of HTDemucs models, as ``DEMUCS_REPO`` names one: yaml and ``.th``.

    ``real``: as large as htdemucs, whose window is its own.
    """
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
        if real:
            kwargs = {
                "sources": list(sources),
                "bottom_channels": 512,
                "t_layers": 5,
                "segment": Fraction(39, 5),
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


_FEATURES: dict[str, Any] = {
    "_target_": "nemo.collections.asr.modules.AudioToMelSpectrogramPreprocessor",
    "sample_rate": 16_000,
    "normalize": "per_feature",
    "window_size": 0.025,
    "window_stride": 0.01,
    "features": 80,
    "n_fft": 512,
}
"""What NeMo's models of speech hear, as their configurations say it."""


def nemo_model(path: Path, texts: Sequence[str], *, seed: int = 0, ctc: bool = True) -> Path:
    """A ``.nemo`` file of a Conformer-CTC with a BPE tokenizer of these texts, as NeMo saves it."""
    import sentencepiece
    import torch
    from nemo.collections.asr.models import EncDecCTCModelBPE, EncDecRNNTBPEModel
    from omegaconf import OmegaConf

    tokenizer = path.parent / f"{path.stem}-tokenizer"
    tokenizer.mkdir(parents=True, exist_ok=True)
    corpus = tokenizer / "corpus.txt"
    corpus.write_text("\n".join(texts), "utf-8")
    sentencepiece.SentencePieceTrainer.train(
        input=str(corpus),
        model_prefix=str(tokenizer / "tokenizer"),
        vocab_size=48,
        model_type="bpe",
        character_coverage=1.0,
        hard_vocab_limit=False,
        minloglevel=2,
    )
    pieces = sentencepiece.SentencePieceProcessor(str(tokenizer / "tokenizer.model"))
    names = [pieces.id_to_piece(number) for number in range(pieces.get_piece_size())]
    (tokenizer / "vocab.txt").write_text("\n".join(names), "utf-8")
    width = 16
    config: dict[str, Any] = {
        "sample_rate": 16_000,
        "preprocessor": _FEATURES,
        "encoder": {
            "_target_": "nemo.collections.asr.modules.ConformerEncoder",
            "feat_in": 80,
            "feat_out": -1,
            "n_layers": 2,
            "d_model": width,
            "subsampling": "striding",
            "subsampling_factor": 4,
            "subsampling_conv_channels": 16,
            "ff_expansion_factor": 2,
            "self_attention_model": "rel_pos",
            "n_heads": 2,
            "conv_kernel_size": 9,
        },
        "decoder": {
            "_target_": "nemo.collections.asr.modules.ConvASRDecoder",
            "feat_in": width,
            "num_classes": -1,
            "vocabulary": [],
        },
        "tokenizer": {"dir": str(tokenizer), "type": "bpe"},
        "decoding": {"strategy": "greedy"},
    }
    if not ctc:
        config |= {
            "decoding": {"strategy": "greedy", "greedy": {"max_symbols": 10}},
            "labels": [],
            "model_defaults": {"enc_hidden": width, "pred_hidden": width, "joint_hidden": width},
            "decoder": {
                "_target_": "nemo.collections.asr.modules.RNNTDecoder",
                "normalization_mode": None,
                "random_state_sampling": False,
                "blank_as_pad": True,
                "prednet": {"pred_hidden": width, "pred_rnn_layers": 1},
            },
            "joint": {
                "_target_": "nemo.collections.asr.modules.RNNTJoint",
                "log_softmax": None,
                "jointnet": {
                    "joint_hidden": width,
                    "activation": "relu",
                    "encoder_hidden": width,
                    "pred_hidden": width,
                },
            },
            "loss": {"loss_name": "default"},
        }
    torch.manual_seed(seed)
    kind = EncDecCTCModelBPE if ctc else EncDecRNNTBPEModel
    kind(cfg=OmegaConf.create(config)).save_to(str(path))
    return path


def language_model(
    path: Path,
    sounds: Mapping[str, Sequence[Any]],
    *,
    seed: int = 0,
    steps: int = 60,
    angular: bool = False,
) -> Path:
    """A ``.nemo`` file of a spoken-language model, trained until it tells these sounds apart.

    ``sounds``: mono samples at 16 kHz by label, ``(samples,)``; a label without any is never heard.
    ``angular``: with a head that gives cosines, as speaker models have it.
    """
    import torch
    from nemo.collections.asr.models import EncDecSpeakerLabelModel
    from omegaconf import OmegaConf

    width = 16
    config: dict[str, Any] = {
        "sample_rate": 16_000,
        "preprocessor": _FEATURES,
        "encoder": {
            "_target_": "nemo.collections.asr.modules.ConvASREncoder",
            "feat_in": 80,
            "activation": "relu",
            "conv_mask": True,
            "jasper": [
                {
                    "filters": width,
                    "repeat": 1,
                    "kernel": [5],
                    "stride": [1],
                    "dilation": [1],
                    "dropout": 0.0,
                    "residual": False,
                    "separable": False,
                }
            ],
        },
        "decoder": {
            "_target_": "nemo.collections.asr.modules.SpeakerDecoder",
            "feat_in": width,
            "num_classes": len(sounds),
            "pool_mode": "xvector",
            "emb_sizes": width,
            "angular": angular,
        },
        "loss": {"_target_": "nemo.collections.common.losses.cross_entropy.CrossEntropyLoss"},
    }
    scale = 30.0 if angular else 1.0
    if angular:
        config["loss"] = {
            "_target_": "nemo.collections.asr.losses.angularloss.AngularSoftmaxLoss",
            "scale": scale,
            "margin": 0.2,
        }
    torch.manual_seed(seed)
    model = EncDecSpeakerLabelModel(cfg=OmegaConf.create(config))
    data = {"sample_rate": 16_000, "labels": list(sounds), "manifest_filepath": None}
    model.cfg = OmegaConf.create(config | {"train_ds": data})  # where training leaves the labels
    model.preprocessor.featurizer.dither = 0.0
    taught = [(sound, number) for number, each in enumerate(sounds.values()) for sound in each]
    if not taught:
        model.save_to(str(path))
        return path
    lengths = torch.tensor([len(sound) for sound, _ in taught])
    signal = torch.zeros(len(taught), int(lengths.max()))
    for row, (sound, _) in enumerate(taught):
        signal[row, : len(sound)] = torch.as_tensor(sound)
    wanted = torch.tensor([number for _, number in taught])
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    model.train()
    for _ in range(steps):
        logits, _ = model(input_signal=signal, input_signal_length=lengths)
        loss = torch.nn.functional.cross_entropy(scale * logits, wanted)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.eval()
    model.save_to(str(path))
    return path
