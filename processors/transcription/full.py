"""The full recognizer: the likeliest words of a CTC speech model, where somebody sings."""

from __future__ import annotations

from processors.alignment.ears import ears
from processors.alignment.full import SpeechHeard
from processors.audio.activity import detect
from processors.audio.samples import Audio
from processors.speech import SpeechBackend
from processors.transcription.phrasing import supported, to_lines
from processors.transcription.recognizer import Progress, RecognizedWord, Transcript

_TAIL_FRAMES = 3  # about a syllable at 40 or 80 ms; alignment finds the true end


class SpeechRecognizer(SpeechBackend):
    """Recognizes whatever language its model was trained on."""

    def transcribe(self, vocals: Audio, language: str | None, progress: Progress) -> Transcript:
        """See ``Recognizer.transcribe``. The model is the language's, or decides about it."""
        heard = self._speech.hear(vocals, progress)
        song_ms = int(vocals.frames * 1000 // vocals.rate)
        words = self._speech.words(heard)
        ends = [word.first for word in words[1:]] + [heard.frames]
        spoken = []
        for word, following in zip(words, ends, strict=True):
            # A token is told in one frame of its sound: the word goes on for a while behind it.
            last = min(word.last + _TAIL_FRAMES, following)
            spoken.append(
                RecognizedWord(
                    word.text,
                    min(round(word.first * heard.frame_ms), song_ms),
                    min(round(max(last, word.first + 1) * heard.frame_ms), song_ms),
                    round(min(1.0, word.probability), 3),
                )
            )
        activity = detect(vocals)
        speech = self._speech
        listens = ears(vocals, activity)
        kept = SpeechHeard(speech.vocabulary, speech.fingerprint, heard, activity, song_ms, listens)
        return Transcript(to_lines(supported(spoken, activity)), kept.arrays())
