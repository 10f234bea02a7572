"""Separation by a Demucs model: weights from its own hub, or from a folder.

Demucs' own `Separator` holds every stem of the whole song at once, four times what is wanted, and
computes the parts of a bag of models that have no say in the voice. Here its models are applied
window by window through `demucs.apply.apply_model`, and only the voice is kept: the same sound,
less memory, and for fine-tuned bags (``htdemucs_ft``) a quarter of the time.

The song is not brought to unit variance first, as `Separator` does, because that has to wait for
its last sample; the models do it for every window themselves. What it leaves to them is a scale
for their guard against silence, which is fixed here (`_TYPICAL_STD`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soxr

from processors.audio.samples import Audio, Samples
from processors.choices import ModelUnavailable
from processors.separation.separator import Progress, Stems
from processors.weights import digest

_OVERLAP = 0.25  # of a window; Demucs' default, what its published figures were measured with
_TYPICAL_STD = np.float32(0.1)  # of a song at -20 dBFS RMS
_SHORTEST_WINDOW_S = 1.5  # below that the models have no context left and the CPU is the better way


@dataclass(frozen=True, slots=True)
class _Part:
    """One model of a bag and its say in the voice."""

    module: Any
    weight: float


class DemucsSeparator:
    """One loaded Demucs model or bag of models. Not for several threads."""

    name = "full"

    def __init__(
        self,
        model: str,
        *,
        repo: Path | None,
        device: Callable[[], str],
        window_s: float | None = None,
    ) -> None:
        """Load ``model`` from the folder ``repo``, or by name from the hub.

        ``device`` tells ``cpu`` or ``cuda``, once the model is there; ``window_s`` shortens the
        models' own window. Files ``.th`` are unpickled: ``repo`` has to be a trusted folder.
        Raises `ModelUnavailable`.
        """
        bag = _loaded(model, repo)
        self.device = device()
        """Where it computes now: falls to ``cpu`` when the GPU's memory does not suffice."""
        self.model = f"demucs {model}" + (f", windows of {window_s:g} s" if window_s else "")
        self.fallback = ""
        """Why it left its device or its window, in words; empty while it has not."""
        self._rate = int(bag.samplerate)
        self._channels = int(bag.audio_channels)
        sources = list(bag.sources)
        if "vocals" not in sources:
            raise ModelUnavailable(
                f"separation: the model '{model}' knows {', '.join(sources)} and no vocals; "
                "choose another in DEMUCS_MODEL"
            )
        self._voice = sources.index("vocals")
        self._parts = _with_a_say(bag, self._voice)
        longest = min(float(part.module.segment) for part in self._parts)
        self._window_s = min(window_s or longest, longest)
        self.hash = digest(part.module for part in self._parts)

    def separate(self, mix: Audio, progress: Progress) -> Stems:
        """Separate a mono or stereo mix of any rate from 8 kHz; see ``Separator``."""
        if mix.channels not in (1, 2):
            raise ValueError(f"separation takes mono or stereo, not {mix.channels} channels")
        if mix.rate < 8_000:
            raise ValueError(f"separation needs at least 8000 Hz, not {mix.rate}")
        heard = _as_wanted(mix, self._rate, self._channels)
        voice = self._voice_of(heard, progress)
        vocals = _as_given(voice, self._rate, mix)
        progress(1.0)
        return Stems(Audio(vocals, mix.rate), Audio(mix.samples - vocals, mix.rate))

    def _voice_of(self, heard: Samples, progress: Progress) -> Samples:
        """The voice in ``(channels, frames)`` at the model's rate, whatever memory allows."""
        import torch

        while True:
            try:
                return self._at_once(heard, progress)
            except torch.OutOfMemoryError:
                if self.device == "cpu":
                    raise
            # Outside the except: its traceback would hold on to the memory that is wanted back.
            self._give_way()

    def _give_way(self) -> None:
        import torch

        torch.cuda.empty_cache()
        if self._window_s / 2 >= _SHORTEST_WINDOW_S:
            self._window_s /= 2
            for part in self._parts:
                # Else a shorter window is padded to the length that the model was trained with.
                part.module.use_train_segment = False
            self.fallback = f"the GPU's memory was short: windows of {self._window_s:.1f} s"
        else:
            self.device = "cpu"
            self.fallback = "the GPU's memory was too short: computed on the CPU"

    def _at_once(self, heard: Samples, progress: Progress) -> Samples:
        import torch
        from demucs.apply import TensorChunk, apply_model

        frames = heard.shape[1]
        length = int(self._window_s * self._rate)
        # A triangle, so that neighbours fade into each other.
        rise = np.arange(1, length // 2 + 1, dtype=np.float32)
        fade = np.concatenate([rise, np.arange(length - length // 2, 0, -1, dtype=np.float32)])
        fade /= fade.max()
        voice = np.zeros_like(heard)
        weight = np.zeros(frames, dtype=np.float32)
        mix = torch.from_numpy(heard / _TYPICAL_STD)[None]
        starts = range(0, frames, int((1 - _OVERLAP) * length))
        try:
            for number, start in enumerate(starts):
                window = slice(start, min(start + length, frames))
                share = fade[: window.stop - start]
                weight[window] += share
                for part in self._parts:
                    found = apply_model(
                        part.module,
                        TensorChunk(mix, start, length),
                        shifts=0,  # a random shift would make two runs of a song differ
                        split=False,
                        segment=self._window_s,
                        device=self.device,
                    )
                    sound = found[0, self._voice].cpu().numpy()
                    voice[:, window] += part.weight * share * sound
                progress((number + 1) / len(starts))
        finally:
            if self.device != "cpu":  # an idle stage holds none of the memory that others need
                for part in self._parts:
                    part.module.to("cpu")
                torch.cuda.empty_cache()
        voice *= _TYPICAL_STD / weight
        return voice


def _loaded(model: str, repo: Path | None) -> Any:
    try:
        from demucs.apply import BagOfModels
        from demucs.pretrained import get_model
    except ImportError as error:
        raise ModelUnavailable(
            f"separation: Demucs is not installed ({error.name}); `pip install 'melisma[models]'`"
        ) from error
    where = f"the folder '{repo}'" if repo else "the hub"
    try:
        found = get_model(model, repo)
    except SystemExit:  # Demucs ends the process over a folder that is not there
        raise ModelUnavailable(
            f"separation: {where} does not exist; set DEMUCS_REPO to the folder of the model"
        ) from None
    except Exception as error:  # pickles and hubs fail in ways of their own
        raise ModelUnavailable(
            f"separation: '{model}' cannot be loaded from {where} ({type(error).__name__}: {error})"
            "; check DEMUCS_MODEL and DEMUCS_REPO, or choose the light backend"
        ) from error
    return found if isinstance(found, BagOfModels) else BagOfModels([found])


def _with_a_say(bag: Any, voice: int) -> tuple[_Part, ...]:
    total = sum(weights[voice] for weights in bag.weights)
    return tuple(
        _Part(module, weights[voice] / total)
        for module, weights in zip(bag.models, bag.weights, strict=True)
        if weights[voice]
    )


def _as_wanted(mix: Audio, rate: int, channels: int) -> Samples:
    samples = mix.samples
    if mix.rate != rate:
        samples = soxr.resample(samples.T, mix.rate, rate).T
    if channels == 1:
        samples = samples.mean(axis=0, keepdims=True)
    elif len(samples) == 1:
        samples = np.repeat(samples, channels, axis=0)
    return np.ascontiguousarray(samples, dtype=np.float32)


def _as_given(voice: Samples, rate: int, mix: Audio) -> Samples:
    if rate != mix.rate:
        voice = soxr.resample(voice.T, rate, mix.rate).T
    if len(voice) != mix.channels:
        mean = voice.mean(axis=0, keepdims=True)
        voice = np.repeat(mean, mix.channels, axis=0)
    out = np.zeros((mix.channels, mix.frames), dtype=np.float32)
    n = min(mix.frames, voice.shape[1])  # resampling may miss by a sample
    out[:, :n] = voice[:, :n]
    return out
