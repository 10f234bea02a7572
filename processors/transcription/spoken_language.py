"""Which language is sung, by ear: a spoken-language model of NeMo hears the vocals.

The model tells languages of speech (AmberNet: 107 of them, of VoxLingua107); of singing it is less
sure, and how much less is not measured here, which would need its weights and songs in many
languages. What follows from it is therefore a remark that a person can overrule.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import soxr

from processors.alignment.languages import UnknownLanguage, resolve
from processors.audio.activity import HOP_MS, Activity, Span, detect
from processors.audio.phrases import phrases
from processors.audio.samples import Audio, Samples
from processors.choices import Computing, ModelUnavailable
from processors.nemo import repeatable, restored
from processors.speech_models import model_of, title
from processors.weights import digest
from topics import logs

_log = logs.get(__name__)

LogProbs = npt.NDArray[np.float64]

OFF = "none"
"""The name of no model: a setting that is empty in the environment has its default."""

LIKELY = 0.5
"""Probability of a language from which its model listens: then no other can be likelier."""

SURE = 0.8
"""Probability from which the ear contradicts a person who said the language: four to one."""

_SOUND_MS = 30_000
"""Of a song: the model was trained on utterances of a few seconds, and a handful of phrases of up
to 10 s tell what the whole song would."""
_SHORTEST_MS = 1_000  # a word or two are of many languages
_TRIAL_S = 1.0
_COSINE_SCALE = 20.0  # that of NeMo's AngularSoftmaxLoss, where the configuration has none

_THREE_LETTERS = """
afr=af ara=ar bel=be ben=bn bul=bg cat=ca ces=cs cym=cy dan=da deu=de ell=el eng=en epo=eo est=et
eus=eu fas=fa fin=fi fra=fr gle=ga glg=gl heb=he hin=hi hrv=hr hun=hu hye=hy ind=id isl=is ita=it
jpn=ja kat=ka kaz=kk kin=rw kor=ko lav=lv lit=lt mar=mr mkd=mk msa=ms nld=nl nor=no pol=pl por=pt
ron=ro rus=ru slk=sk slv=sl spa=es srp=sr swe=sv tam=ta tel=te tha=th tur=tr ukr=uk urd=ur uzb=uz
vie=vi zho=zh iw=he in=id jw=jv
"""
_SHORTER = dict(entry.split("=") for entry in _THREE_LETTERS.split())
"""ISO 639-3 → the two letters of BCP-47, and the two letters that were withdrawn."""

_TAG = re.compile(r"[a-z]{2,3}(-[a-z0-9]{2,8})*")


@dataclass(frozen=True, slots=True)
class Spoken:
    """A language, and how likely it is the one that is sung, 0 to 1."""

    language: str
    """BCP-47 tag in lower case."""
    probability: float

    @property
    def percent(self) -> str:
        """The probability for people."""
        return f"{100 * self.probability:.0f} %"


def tag_of(label: str) -> str:
    """The BCP-47 tag of a label, ``en``, ``en: English`` or ``eng``; empty where it is no tag."""
    tag = label.partition(":")[0].strip().lower().replace("_", "-")
    tag = _SHORTER.get(tag, tag)
    return tag if _TAG.fullmatch(tag) else ""


def languages(labels: Sequence[str], log_probs: LogProbs) -> tuple[Spoken, ...]:
    """The languages of some phrases, likeliest first; none without a phrase.

    ``log_probs`` ``(phrases, labels)``, nats: their mean over the phrases counts, so that one
    phrase that the model is sure of does not outvote the others. Labels that are no language keep
    their share of the probability.
    """
    if not len(log_probs):
        return ()
    mean = log_probs.mean(axis=0)
    share = np.exp(mean - mean.max())
    share /= share.sum()
    found: dict[str, float] = {}
    for label, probability in zip(labels, share.tolist(), strict=True):
        tag = tag_of(label)
        if tag:
            found[tag] = found.get(tag, 0.0) + probability
    ranked = sorted(found.items(), key=lambda each: (-each[1], each[0]))
    return tuple(Spoken(tag, probability) for tag, probability in ranked)


def to_listen_with(heard: Sequence[Spoken], chosen: Mapping[str, str]) -> Spoken | None:
    """The likeliest language that can be written down and aligned; None where none is `LIKELY`.

    ``chosen``: the speech models of the settings, as for `model_of`.
    """
    for spoken in heard:  # likeliest first
        if model_of(spoken.language, chosen) and _can_be_read(spoken.language):
            return spoken if spoken.probability >= LIKELY else None
    return None


def other_than(language: str, heard: Sequence[Spoken], least: float) -> Spoken | None:
    """Another language that is heard with a probability of ``least``, 0.5 or more; None if not."""
    if not heard or heard[0].probability < least:
        return None
    return None if _primary(heard[0].language) == _primary(language) else heard[0]


def strongest(activity: Activity, song_ms: int) -> list[Span]:
    """The phrases with the most sound in them, loudest first, up to 30 s in all."""
    sung = [
        span for span in phrases(activity, song_ms) if span.end_ms - span.start_ms >= _SHORTEST_MS
    ]
    energy = np.concatenate([[0.0], np.cumsum(np.square(activity.rms, dtype=np.float64))])

    def loudness(span: Span) -> float:
        first, last = (min(at // HOP_MS, len(activity.rms)) for at in (span.start_ms, span.end_ms))
        return float(energy[last] - energy[first])

    kept: list[Span] = []
    left = _SOUND_MS
    for span in sorted(sung, key=loudness, reverse=True):
        length = span.end_ms - span.start_ms
        if length <= left:
            kept.append(span)
            left -= length
    return kept


class SpokenLanguage:
    """One loaded model. Not for several threads.

    It stays on the CPU: half a minute of sound, once a song, is little beside the whole stem that
    the speech model hears, and the GPU's memory is that one's to reserve.
    """

    def __init__(self, model: str) -> None:
        """Load a ``.nemo`` file, or a model by name from its hub. Raises `ModelUnavailable`."""
        self._net = _loaded(model)
        self._net.eval()
        config = self._net.cfg
        self._rate = int(config.preprocessor.sample_rate)
        repeatable(self._net)
        self._scale = 1.0
        if getattr(self._net.decoder, "angular", False):  # it gives cosines, its loss scales them
            self._scale = float((config.get("loss") or {}).get("scale", _COSINE_SCALE))
        self.model = title(model)
        self.hash = digest([self._net])
        """SHA-256 of its weights in hex."""
        self.labels = _labels(self._net)
        self._check(model)

    def _check(self, model: str) -> None:
        if not any(_can_be_read(tag_of(label)) for label in self.labels):
            raise ModelUnavailable(
                f"spoken language: the labels of '{model}' name no language; choose a model that "
                "tells languages in LANGUAGE_MODEL"
            )
        try:
            scores = self._log_probs(np.zeros(round(_TRIAL_S * self._rate), np.float32))
        except Exception as error:  # a model fails in ways of its own
            raise ModelUnavailable(
                f"spoken language: '{model}' cannot hear ({type(error).__name__}: {error}); check "
                "LANGUAGE_MODEL"
            ) from error
        if len(scores) != len(self.labels):
            raise ModelUnavailable(
                f"spoken language: '{model}' names {len(self.labels)} labels and tells "
                f"{len(scores)} apart; check LANGUAGE_MODEL"
            )

    def hear(self, vocals: Audio) -> tuple[Spoken, ...]:
        """The languages of a vocal stem, likeliest first; none where hardly anybody sings."""
        spans = strongest(detect(vocals), int(vocals.frames * 1000 // vocals.rate))
        mono = vocals.mono()
        heard = []
        for span in spans:
            sound = mono[span.start_ms * vocals.rate // 1000 : span.end_ms * vocals.rate // 1000]
            if vocals.rate != self._rate:
                sound = soxr.resample(sound, vocals.rate, self._rate)
            heard.append(self._log_probs(sound))
        return languages(self.labels, np.array(heard, np.float64))

    def _log_probs(self, sound: Samples) -> LogProbs:
        import torch

        with torch.inference_mode():
            signal = torch.from_numpy(np.ascontiguousarray(sound, np.float32))[None]
            length = torch.tensor([signal.shape[1]])
            logits, _ = self._net(input_signal=signal, input_signal_length=length)
            scores = torch.log_softmax(self._scale * logits[0].double(), dim=-1)
            return np.asarray(scores.numpy(), np.float64)


@lru_cache(maxsize=1)
def spoken_language(name: str, computing: Computing) -> SpokenLanguage | None:
    """The model, held by the child process from one song to the next; None where it is `OFF`,
    and where it cannot be loaded, which the log says: the song is written down without it."""
    if name in ("", OFF):
        return None
    try:
        found = SpokenLanguage(name)
    except ModelUnavailable as error:
        _log.warning("nothing hears which language is sung", reason=str(error))
        return None
    computing.device()  # for its threads
    return found


def _loaded(model: str) -> Any:
    net = restored(
        "EncDecSpeakerLabelModel",
        model,
        doing="spoken language",
        remedy="check LANGUAGE_MODEL, a .nemo file or a model's name, or none",
    )
    from nemo.collections.asr.models import EncDecSpeakerLabelModel

    if not isinstance(net, EncDecSpeakerLabelModel):
        raise ModelUnavailable(
            f"spoken language: '{model}' is a {type(net).__name__}, which tells no languages; "
            "choose an EncDecSpeakerLabelModel in LANGUAGE_MODEL"
        )
    return net


def _labels(net: Any) -> tuple[str, ...]:
    """What the outputs of a label model stand for: NeMo keeps it with the training data."""
    data = net.cfg.get("train_ds") or {}
    return tuple(str(label) for label in data.get("labels") or net.cfg.get("labels") or ())


def _can_be_read(tag: str) -> bool:
    try:
        resolve(tag)
    except UnknownLanguage:
        return False
    return True


def _primary(tag: str) -> str:
    """The language without its region, Nynorsk and Bokmål as one."""
    try:
        tag = resolve(tag)
    except UnknownLanguage:
        tag = tag_of(tag)
    return tag.partition("-")[0]
