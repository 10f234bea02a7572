"""``clap``: what a sound is about, as a vector that text can be compared with (optional).

A CLAP model (Wu et al., ICASSP 2023) through transformers, from a folder or its cache; no weights
come with the product and none are fetched here. Ten-second pieces are embedded as the song goes
by, and their mean is the song's.
"""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import soxr

from processors import gpu
from processors.extraction.extractor import (
    Context,
    Cost,
    Extraction,
    Features,
    NotAvailable,
    Sound,
)
from processors.extraction.frames import Rows, rounded
from processors.extraction.sound import Block

RATE_HZ = 48_000
_PIECE_S = 10
MODEL = "CLAP_MODEL"
"""The setting that names the model: a folder, or a name that is in the hub's cache."""
_AT_ONCE = 4  # pieces


class ClapExtractor:
    """See the module."""

    name, version, device = "clap", "1", "shared"
    description = "CLAP embedding of the sound (needs the extra `models` and weights, CLAP_MODEL)."

    def cost(self, seconds: float, rate: int) -> Cost:
        """A transformer over ten-second pieces; 600 MB of weights."""
        return Cost(0.15 * seconds, 1 << 30)

    def extract(self, audio: Sound, context: Context) -> Extraction:
        """Begin with a file. Raises `NotAvailable` without transformers or weights."""
        name = str(context.parameters.get("model") or os.environ.get(MODEL, ""))
        if not name:
            raise NotAvailable(f"no model is named; set {MODEL} to a folder with CLAP weights")
        return _Clap(audio.rate, load(name, context.device.removeprefix("torch:")), name)


class Clap:
    """A loaded model: ``(pieces, samples)`` at 48 kHz to unit vectors ``(pieces, size)``."""

    def __init__(self, model: Any, features: Any, device: str) -> None:
        self._model, self._features, self._device = model, features, device

    def embed(self, pieces: list[npt.NDArray[np.float32]]) -> npt.NDArray[np.float32]:
        """Embed some pieces at once."""
        import torch

        try:
            self._model.to(self._device)
            asked = self._features(pieces, sampling_rate=RATE_HZ, return_tensors="pt")
            with gpu.watched(), torch.inference_mode():
                answer = self._model.get_audio_features(**asked.to(self._device))
        except RuntimeError as error:
            if not gpu.ran_out(error):
                raise
            if self._device == "cpu":
                raise MemoryError from None
            torch.cuda.empty_cache()
            if len(pieces) > 1:
                half = len(pieces) // 2
                return np.concatenate([self.embed(pieces[:half]), self.embed(pieces[half:])])
            self._device = "cpu"
            return self.embed(pieces)
        # a tensor up to transformers 4, an output with the pooled one since
        vectors = answer if isinstance(answer, torch.Tensor) else answer.pooler_output
        found: npt.NDArray[np.float32] = vectors.float().cpu().numpy()
        lengths = np.linalg.norm(found, axis=1, keepdims=True)
        return np.asarray(found / np.maximum(lengths, 1e-12), np.float32)

    def rest(self) -> None:
        """Hold nothing of a GPU until there is more to do."""
        self._model.to("cpu")


_loaded: list[Clap] = []


def rest() -> None:
    """Loaded models leave the GPU."""
    for clap in _loaded:
        clap.rest()


@lru_cache(maxsize=1)
def load(name: str, device: str) -> Clap:
    """A model by folder or by its name in the local cache. Raises `NotAvailable`."""
    try:
        import transformers
    except ImportError:
        raise NotAvailable("transformers is not installed; install the extra `models`") from None
    level = transformers.logging.get_verbosity()
    transformers.logging.set_verbosity_error()  # loading is chatty, and draws bars
    bars = transformers.logging.is_progress_bar_enabled()
    transformers.logging.disable_progress_bar()
    try:
        model = transformers.ClapModel.from_pretrained(name, local_files_only=True)
        features = transformers.ClapFeatureExtractor.from_pretrained(name, local_files_only=True)
    except (OSError, ValueError, KeyError):
        shown = Path(name).name
        raise NotAvailable(f"no CLAP model can be loaded from '{shown}' ({MODEL})") from None
    finally:
        transformers.logging.set_verbosity(level)
        if bars:
            transformers.logging.enable_progress_bar()
    _loaded[:] = [Clap(model.eval(), features, device)]
    return _loaded[0]


class _Clap:
    def __init__(self, rate: int, clap: Clap, name: str) -> None:
        self._clap, self._name = clap, Path(name).name
        self._resampler = soxr.ResampleStream(rate, RATE_HZ, 1, dtype="float32")
        self._waiting = np.zeros(0, np.float32)
        self._vectors = Rows()

    def add(self, block: Block) -> None:
        mono = np.ascontiguousarray(block.native.mean(axis=0, dtype=np.float32))
        self._take(self._resampler.resample_chunk(mono))

    def _take(self, sound: npt.NDArray[np.float32], last: bool = False) -> None:
        size = _PIECE_S * RATE_HZ
        joined = np.concatenate([self._waiting, sound])
        pieces = [joined[at : at + size] for at in range(0, len(joined) - size + 1, size)]
        self._waiting = joined[len(pieces) * size :]
        # a rest of less than a second says little, unless it is all there is
        known = bool(pieces) or len(self._vectors.whole()) > 0
        if last and len(self._waiting) and (len(self._waiting) >= RATE_HZ or not known):
            pieces.append(self._waiting)
        for at in range(0, len(pieces), _AT_ONCE):
            self._vectors.add(self._clap.embed(pieces[at : at + _AT_ONCE]))

    def finish(self) -> Features:
        self._take(self._resampler.resample_chunk(np.zeros(0, np.float32), last=True), last=True)
        vectors = self._vectors.whole()
        mean = vectors.mean(axis=0)
        agreement = float(np.linalg.norm(mean))
        return Features(
            {
                "size": int(vectors.shape[1]),
                "pieces": len(vectors),
                "agreement": rounded(agreement),
            },
            arrays={"embedding": mean / max(agreement, 1e-12), "pieces": vectors},
            units={"embedding": "unit vector", "pieces": "one a ten seconds"},
            parameters={"model": self._name, "piece_s": _PIECE_S},
        )
