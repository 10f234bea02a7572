"""Separation by a Demucs model: weights from its own hub, or from a folder.

Demucs' own `Separator` holds every stem of the whole song at once, four times what is wanted, and
computes the parts of a bag of models that have no say in the voice. Here its models are applied
window by window through `demucs.apply.apply_model`, and only the voice is kept: the same sound,
less memory, and for fine-tuned bags (``htdemucs_ft``) a quarter of the time.

The song is not brought to unit variance first, as `Separator` does, because that has to wait for
its last sample; the models do it for every window themselves. What it leaves to them is a scale
for their guard against silence, which is fixed here (`_TYPICAL_STD`).

So a window's voice is known as soon as the window is, and can be found `ahead` of the rest of the
song. It is kept with a digest of what went in: the song is separated as a whole all the same, and
finds the voice of those windows that turn out to be its own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soxr

from processors.audio.samples import Audio, Samples
from processors.choices import ModelUnavailable
from processors.gpu import MIB, Device, ran_out, released
from processors.separation.separator import Progress, Stems
from processors.weights import digest, weight_mib

_OVERLAP = 0.25  # of a window; Demucs' default, what its published figures were measured with
_TYPICAL_STD = np.float32(0.1)  # of a song at -20 dBFS RMS
_SHORTEST_WINDOW_S = 1.5  # below that the models have no context left and the CPU is the better way

# What htdemucs takes beside its weights, in MiB of memory on the CPU (torch 2.15): windows of
# 1.95, 3.9 and 7.8 s took 220, 359 and 606.
_MIB_A_WINDOW, _MIB_A_SECOND = 110, 64
# The factor is an estimate, not measured on a GPU; `capped` keeps it harmless.
_ON_GPU = 2.0  # times that: the workspaces of cuDNN and cuFFT, and what the allocator rounds up
_PROCESS_MIB = 560  # Python with torch, numpy and Demucs loaded
_LONG_SONG_S = 600.0
_SONGS = 4
"""Held at once, as large as the decoded song: the mix, the voice, the rest, and what the allocator
keeps of a hundred windows. Under a limit of 2,000 MiB ten minutes take 1,915; counted as three
they took 2,116 (`bench_demucs --minutes 10 --limit 2000`)."""


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
        device: Callable[[], Device],
        window_s: float | None = None,
        memory_mib: int | None = None,
        wanted: tuple[str, ...] = ("vocals",),
    ) -> None:
        """Load ``model`` from the folder ``repo``, or by name from the hub.

        ``device`` tells where to compute, once the model is there; ``window_s`` shortens the
        models' own window, and so does ``memory_mib``, what the process may take on the CPU for a
        song of ten minutes. ``wanted`` are names of the voice, the first that the model has counts.
        Files ``.th`` are unpickled: ``repo`` has to be a trusted folder.
        Raises `ModelUnavailable`.
        """
        bag = _loaded(model, repo)
        import torch

        self._rate = int(bag.samplerate)
        self._channels = int(bag.audio_channels)
        sources = list(bag.sources)
        known = [name for name in wanted if name in sources]
        if not known:
            raise ModelUnavailable(
                f"separation: the model '{model}' knows {', '.join(sources)} and no {wanted[0]}; "
                f"choose another in {'DEMUCS_MODEL' if wanted[0] == 'vocals' else 'LEAD_SPLIT'}"
            )
        self._voice = sources.index(known[0])
        self._parts = _with_a_say(bag, self._voice)
        self._weight_mib = weight_mib(part.module for part in self._parts)
        longest = min(float(part.module.segment) for part in self._parts)
        short = min(window_s or longest, longest)
        if memory_mib is not None:
            short = min(short, self._window_within(memory_mib))
        self._window_s = longest
        self._shorten(short)
        self.model = f"demucs {model}" + (f", windows of {short:g} s" if short < longest else "")
        self.hash = digest(part.module for part in self._parts)
        self.fallback = ""
        """Why it left its device or its window, in words; empty while it has not."""
        where = device()
        self._threads = torch.get_num_threads()
        self.device: str = where.name
        """Where it computes now: falls to ``cpu`` when the GPU's memory does not suffice."""
        while self.device != "cpu" and self.gpu_mib > where.mib:
            self._give_way()
        self._ahead: dict[int, tuple[bytes, Samples]] = {}

    @property
    def gpu_mib(self) -> int:
        """What it needs of the GPU for its windows; 0 on the CPU."""
        if self.device == "cpu":
            return 0
        return round(_ON_GPU * (self._weight_mib + self._window_mib(self._window_s)))

    def separate(self, mix: Audio, progress: Progress) -> Stems:
        """Separate a mono or stereo mix of any rate from 8 kHz; see ``Separator``."""
        if mix.channels not in (1, 2):
            raise ValueError(f"separation takes mono or stereo, not {mix.channels} channels")
        if mix.rate < 8_000:
            raise ValueError(f"separation needs at least 8000 Hz, not {mix.rate}")
        heard = _as_wanted(mix, self._rate, self._channels)
        try:
            voice = self._voice_of(heard, progress)
        finally:
            self._ahead.clear()
        vocals = _as_given(voice, self._rate, mix)
        progress(1.0)
        return Stems(Audio(vocals, mix.rate), Audio(mix.samples - vocals, mix.rate))

    def window_ahead(self, number: int, rate: int) -> tuple[int, int] | None:
        """Frames of the mix ``[first, last)`` whose voice can be found before the rest is there.

        None where nothing can: at another rate than the model's a song is resampled as a whole,
        and models that look around their windows (Demucs 2 and 3) need what follows.
        """
        if rate != self._rate or any(_looks_around(part.module) for part in self._parts):
            return None
        length = int(self._window_s * self._rate)
        start = number * int((1 - _OVERLAP) * length)
        return start, start + length

    def find_ahead(self, start: int, mix: Audio) -> None:
        """Find the voice of one window, ``mix``, that begins at frame ``start`` of the song.

        Nothing is found when memory does not suffice: that is for the song as a whole to settle.
        """
        heard = _as_wanted(mix, self._rate, self._channels)
        try:
            with released(self.device, [part.module for part in self._parts]):
                voice = self._window(heard, 0, heard.shape[1])
        except RuntimeError as error:
            if self.device == "cpu" or not ran_out(error):
                raise
            return
        self._ahead[start] = _told(heard), voice

    def forget_ahead(self) -> None:
        """Drop what was found ahead of a song that did not come."""
        self._ahead.clear()

    def _voice_of(self, heard: Samples, progress: Progress) -> Samples:
        """The voice in ``(channels, frames)`` at the model's rate, whatever memory allows."""
        while True:
            try:
                with released(self.device, [part.module for part in self._parts]):
                    return self._at_once(heard, progress)
            except RuntimeError as error:
                if self.device == "cpu" or not ran_out(error):
                    raise
            # Outside the except: its traceback would hold on to the memory that is wanted back.
            self._give_way()
            self._ahead.clear()  # of other windows

    def _give_way(self) -> None:
        if self._window_s / 2 >= _SHORTEST_WINDOW_S:
            self._shorten(self._window_s / 2)
            self.fallback = f"the GPU's memory was short: windows of {self._window_s:.1f} s"
        else:
            self.device = "cpu"
            self.fallback = "the GPU's memory was too short: computed on the CPU"

    def _shorten(self, window_s: float) -> None:
        if window_s < self._window_s:
            for part in self._parts:
                # Else a shorter window is padded to the length that the model was trained with.
                part.module.use_train_segment = False
        self._window_s = window_s

    def _window_within(self, memory_mib: int) -> float:
        """Seconds of the longest window that leaves room for a long song and both its stems."""
        song = 4 * self._channels * self._rate * _LONG_SONG_S / MIB
        rest = memory_mib - _PROCESS_MIB - self._weight_mib - _MIB_A_WINDOW - _SONGS * song
        if rest < _MIB_A_SECOND * _SHORTEST_WINDOW_S:
            least = memory_mib - rest + _MIB_A_SECOND * _SHORTEST_WINDOW_S
            raise ModelUnavailable(
                f"separation: {memory_mib} MiB do not suffice for this model and a song of ten "
                f"minutes; give SEPARATION_MEMORY_LIMIT at least {least:.0f}, or choose the light "
                "backend"
            )
        return rest / _MIB_A_SECOND

    @staticmethod
    def _window_mib(window_s: float) -> float:
        return _MIB_A_WINDOW + _MIB_A_SECOND * window_s

    def _at_once(self, heard: Samples, progress: Progress) -> Samples:
        frames = heard.shape[1]
        length = int(self._window_s * self._rate)
        # A triangle, so that neighbours fade into each other.
        rise = np.arange(1, length // 2 + 1, dtype=np.float32)
        fade = np.concatenate([rise, np.arange(length - length // 2, 0, -1, dtype=np.float32)])
        fade /= fade.max()
        voice = np.zeros_like(heard)
        weight = np.zeros(frames, dtype=np.float32)
        starts = range(0, frames, int((1 - _OVERLAP) * length))
        for number, start in enumerate(starts):
            window = slice(start, min(start + length, frames))
            share = fade[: window.stop - start]
            weight[window] += share
            found = self._known(start, heard[:, window])
            voice[:, window] += share * (
                self._window(heard, start, length) if found is None else found
            )
            progress((number + 1) / len(starts))
        voice *= _TYPICAL_STD
        voice /= weight
        return voice

    def _known(self, start: int, heard: Samples) -> Samples | None:
        told, voice = self._ahead.pop(start, (b"", None))
        return voice if voice is not None and told == _told(heard) else None

    def _window(self, heard: Samples, start: int, length: int) -> Samples:
        """The voice of one window, at the models' own scale."""
        import torch
        from demucs.apply import apply_model

        # torch counts them for each thread, and another count adds up in another order.
        torch.set_num_threads(self._threads)
        voice: Any = 0.0
        for part in self._parts:
            found = apply_model(
                part.module,
                _chunk(heard, start, length),
                shifts=0,  # a random shift would make two runs of a song differ
                split=False,
                segment=self._window_s,
                device=self.device,
            )
            voice = voice + part.weight * found[0, self._voice].cpu().numpy()
        return np.asarray(voice, dtype=np.float32)


def _chunk(heard: Samples, start: int, length: int) -> Any:
    """A window of the song with as much around it as a model may look at, at the usual scale."""
    import torch
    from demucs.apply import TensorChunk

    first = max(0, start - length)
    around = heard[:, first : start + 2 * length] / _TYPICAL_STD
    return TensorChunk(torch.from_numpy(around)[None], start - first, length)


def _looks_around(module: Any) -> bool:
    from demucs.htdemucs import HTDemucs

    return not isinstance(module, HTDemucs)


def _told(heard: Samples) -> bytes:
    return hashlib.blake2b(np.ascontiguousarray(heard).data).digest()


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
    if voice.shape == mix.samples.shape:
        return voice
    out = np.zeros((mix.channels, mix.frames), dtype=np.float32)
    n = min(mix.frames, voice.shape[1])  # resampling may miss by a sample
    out[:, :n] = voice[:, :n]
    return out
