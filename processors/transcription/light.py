"""The light recognizer: pocketsphinx with its US English language model, phrase by phrase.

It was made for speech. Of singing it gets some words right and invents others, so its text is a
draft for a person to correct; the point of it is that a song without lyrics goes through without
any model to download. Cutting at vocal energy and dropping text over silence is what helps songs
most (Jam-ALT: WER 23.0 to 20.4 by segmentation alone).
"""

from __future__ import annotations

from importlib.metadata import version

import numpy as np
import pocketsphinx
import soxr

from processors.audio.activity import detect
from processors.audio.phrases import phrases
from processors.audio.samples import Audio
from processors.transcription.phrasing import supported, to_lines
from processors.transcription.recognizer import (
    LanguageNotRecognized,
    Progress,
    RecognizedWord,
    Transcript,
)

_RATE = 16_000
_FRAME_MS = 10
_MOST_STATES = 3000
"""States alive in a frame (30,000 by default): singing fits everything a little, and on separated
vocals the bound is a third faster at the same word error rate."""
_PEAK = 0.5  # phrases are brought to −6 dBFS: the front end's dynamic range is 16 bits


class LightRecognizer:
    """English only, on the CPU, honest about both."""

    name = "light"
    hash = ""
    device = "cpu"
    gpu_mib = 0

    def __init__(self) -> None:
        self._decoder: pocketsphinx.Decoder | None = None

    @property
    def model(self) -> str:
        """The acoustic and language model and the wheel they came in."""
        return f"pocketsphinx-{version('pocketsphinx')}-en-us-lm"

    def transcribe(self, vocals: Audio, language: str | None, progress: Progress) -> Transcript:
        """See ``Recognizer.transcribe``."""
        primary = (language or "en").strip().lower().replace("_", "-").partition("-")[0]
        if primary not in ("en", "eng"):
            raise LanguageNotRecognized(
                f"transcription: light transcription knows English only, this song is in "
                f"{language!r}; give the lyrics"
            )
        activity = detect(vocals)
        song_ms = int(vocals.frames * 1000 // vocals.rate)
        spans = phrases(activity, song_ms)
        mono = vocals.mono()
        words: list[RecognizedWord] = []
        for done, span in enumerate(spans, start=1):
            first = span.start_ms * vocals.rate // 1000
            last = span.end_ms * vocals.rate // 1000
            words += self._decode(mono[first:last], vocals.rate, span.start_ms, span.end_ms)
            progress(done / len(spans))
        return Transcript(to_lines(supported(words, activity)))

    def _decode(
        self, sound: np.ndarray, rate: int, start_ms: int, end_ms: int
    ) -> list[RecognizedWord]:
        if self._decoder is None:
            # loaded once: 27 MB of language model, 1 s
            self._decoder = pocketsphinx.Decoder(loglevel="FATAL", maxhmmpf=_MOST_STATES)
        decoder = self._decoder
        speech = soxr.resample(sound, rate, _RATE) if rate != _RATE else sound
        peak = float(np.abs(speech).max(initial=0.0))
        if peak <= 0.0 or len(speech) < _RATE // 10:
            return []
        pcm = (speech * (_PEAK / peak) * 32767).astype("<i2").tobytes()
        decoder.start_utt()
        decoder.process_raw(pcm, no_search=False, full_utt=True)
        decoder.end_utt()
        words: list[RecognizedWord] = []
        for segment in decoder.seg() or ():
            text = segment.word.partition("(")[0]  # "the(2)" is another pronunciation of "the"
            if not text or text[0] in "<[+":  # silence and noise
                continue
            words.append(
                RecognizedWord(
                    text,
                    min(start_ms + segment.start_frame * _FRAME_MS, end_ms),
                    min(start_ms + (segment.end_frame + 1) * _FRAME_MS, end_ms),
                    round(min(1.0, float(segment.prob)), 3),  # posterior in the word lattice
                )
            )
        return words
