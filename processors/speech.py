"""A CTC speech model of NeMo: what alignment and transcription hear a vocal stem with.

Both work on the same log-probabilities, so that the model runs once a stem, and a transcript's
times are those that alignment would find. Models without a CTC head (RNN-T, encoder-decoder) give
no such thing and are refused by name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import soxr

from processors.alignment.ctc import Emissions
from processors.audio.activity import detect
from processors.audio.phrases import phrases
from processors.audio.samples import Audio, Samples
from processors.choices import ModelUnavailable
from processors.gpu import Device, ran_out, released
from processors.nemo import repeatable, restored
from processors.speech_models import fingerprint, title
from processors.vocabulary import Vocabulary
from processors.weights import digest, weight_mib

Progress = Callable[[float], None]

_SHORTEST_S = 0.1  # less is no frame of the model
_TRIAL_S = 10.24  # 1,024 frames of 10 ms: every subsampling up to 16 is told by it
_PHRASE_MIB = 100
"""What a phrase of 10 s, the longest, takes beside the weights on the CPU: 98 in the encoder of a
Conformer of 115 million parameters (torch 2.15)."""
# An estimate, not measured on a GPU; `capped` keeps it harmless.
_ON_GPU = 2.0  # times that: the workspaces of cuDNN and cuBLAS, and what the allocator rounds up
_CERTAIN = np.float16(-20.0)  # nats: of every token but blank where nobody sings


@dataclass(frozen=True, slots=True)
class HeardWord:
    """A word of the likeliest path: frames ``[first, last]`` of its tokens, mean probability."""

    text: str
    first: int
    last: int
    probability: float


class SpeechModel:
    """One loaded model. Not for several threads."""

    def __init__(self, model: str, *, device: Callable[[], Device]) -> None:
        """Load a ``.nemo`` file, or a model by name from its hub. Raises `ModelUnavailable`."""
        self._net = _loaded(model)
        self._weight_mib = weight_mib([self._net])
        self.fallback = ""
        """Why it left its device, in words; empty while it has not."""
        where = device()
        self.device: str = where.name
        """Where it computes now: falls to ``cpu`` when the GPU's memory does not suffice."""
        if self.device != "cpu" and self.gpu_mib > where.mib:
            self._give_way()
        self.model = title(model)
        self.hash = digest([self._net])
        self.fingerprint = fingerprint(model)
        self._net.eval()
        config = self._net.cfg.preprocessor
        self._rate = int(config.sample_rate)
        self._hop = round(float(config.window_stride) * self._rate)
        repeatable(self._net)
        self._subsampling = self._frames_a_step()
        self.vocabulary = Vocabulary.of_net(self._net)

    @property
    def gpu_mib(self) -> int:
        """What it needs of the GPU to hear a stem; 0 on the CPU."""
        if self.device == "cpu":
            return 0
        return round(_ON_GPU * (self._weight_mib + _PHRASE_MIB))

    def _give_way(self) -> None:
        self.device = "cpu"
        self.fallback = "the GPU's memory was too short: computed on the CPU"

    def _frames_a_step(self) -> int:
        """Feature frames that one frame of log-probabilities stands for."""
        factor = getattr(self._net.encoder, "subsampling_factor", None)
        if factor is not None:
            return int(factor)
        # Convolutional encoders (Citrinet, QuartzNet) say it nowhere: it is told by trying.
        trial = self._log_probs(self._trial(), "cpu")
        return round(_TRIAL_S * self._rate / self._hop / len(trial))

    def _trial(self) -> Samples:
        return np.zeros(round(_TRIAL_S * self._rate), np.float32)

    def hear(self, vocals: Audio, progress: Progress) -> Emissions:
        """Log-probabilities of a whole stem, phrase by phrase; silence where nobody sings.

        Recognition of songs gains from being cut along vocal energy (Jam-ALT), memory follows the
        longest phrase, and nothing is invented over a break.
        """
        while True:
            try:
                with released(self.device, [self._net]):
                    self._net.to(self.device)
                    return self._heard(vocals, progress)
            except RuntimeError as error:
                if self.device == "cpu" or not ran_out(error):
                    raise
            # Outside the except: its traceback would hold on to the memory that is wanted back.
            self._give_way()

    def _heard(self, vocals: Audio, progress: Progress) -> Emissions:
        mono = vocals.mono()
        speech = soxr.resample(mono, vocals.rate, self._rate) if vocals.rate != self._rate else mono
        step = self._hop * self._subsampling
        frames = max(1, -(-len(speech) // step))
        tokens = len(self.vocabulary.pieces) + 1
        heard = np.full((frames, tokens), _CERTAIN, np.float16)
        heard[:, -1] = 0.0
        spans = phrases(detect(vocals), int(vocals.frames * 1000 // vocals.rate))
        for done, span in enumerate(spans, start=1):
            # Phrases begin on the grid of frames, so that theirs are the song's.
            first = span.start_ms * self._rate // 1000 // step
            stop = -(-span.end_ms * self._rate // 1000 // step)
            sound = speech[first * step : stop * step]
            if len(sound) >= _SHORTEST_S * self._rate:
                found = self._log_probs(sound, self.device)[: frames - first]
                heard[first : first + len(found)] = found
            progress(done / len(spans))
        return Emissions(heard.astype(np.float32), tokens - 1, 1000.0 * step / self._rate)

    def _log_probs(self, sound: Samples, device: str) -> np.ndarray:
        import torch

        with torch.inference_mode():
            signal = torch.from_numpy(np.ascontiguousarray(sound))[None].to(device)
            length = torch.tensor([signal.shape[1]], device=device)
            features, count = self._net.preprocessor(input_signal=signal, length=length)
            encoded, count = self._net.encoder(audio_signal=features, length=count)
            head = getattr(self._net, "ctc_decoder", self._net.decoder)
            found = head(encoder_output=encoded)[0, : int(count[0])]
            return np.asarray(found.float().cpu().numpy(), np.float16)

    def words(self, heard: Emissions) -> list[HeardWord]:
        """The likeliest words: the best token of each frame, collapsed (CTC's greedy decoding)."""
        best = heard.log_probs.argmax(axis=1)
        words: list[HeardWord] = []
        pieces: list[str] = []
        told: list[int] = []

        def ends() -> None:
            text = "".join(pieces).strip()
            if text:
                sure = np.exp(heard.log_probs[told, best[told]])
                words.append(HeardWord(text, told[0], told[-1], float(sure.mean())))
            pieces.clear()
            told.clear()

        before = heard.blank
        for frame, token in enumerate(best.tolist()):
            if token != before and token != heard.blank:
                piece = self.vocabulary.pieces[token]
                if piece.startswith(("▁", " ")):
                    ends()
                pieces.append(piece.lstrip("▁ "))
            if token not in (heard.blank, self.vocabulary.space):
                told.append(frame)
            before = token
        ends()
        return words


class SpeechBackend:
    """What a `processors.backend.Backend` says of itself where a speech model computes."""

    name = "full"

    def __init__(self, speech: SpeechModel) -> None:
        self._speech = speech

    @property
    def model(self) -> str:
        """The speech model."""
        return self._speech.model

    @property
    def hash(self) -> str:
        """SHA-256 of its weights in hex."""
        return self._speech.hash

    @property
    def device(self) -> str:
        """Where it computes."""
        return self._speech.device

    @property
    def gpu_mib(self) -> int:
        """What the model needs of the GPU."""
        return self._speech.gpu_mib


def _loaded(model: str) -> Any:
    net = restored(
        "ASRModel",
        model,
        doing="speech",
        remedy="check SPEECH_MODELS, .nemo files or models' names, or choose the light backend",
    )
    head = getattr(net, "ctc_decoder", getattr(net, "decoder", None))
    if not hasattr(head, "vocabulary"):
        raise ModelUnavailable(
            f"speech: '{model}' is a {type(net).__name__} without a CTC head, which alignment "
            "needs; choose a CTC or hybrid model in SPEECH_MODELS"
        )
    return net
