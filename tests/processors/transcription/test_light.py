from __future__ import annotations

import numpy as np
import pytest

from processors.audio.samples import Audio
from processors.transcription.light import LightRecognizer
from processors.transcription.recognizer import LanguageNotRecognized, Recognizer
from tests import songs

pytestmark = pytest.mark.slow


def quiet(_share: float) -> None:
    """Progress that nobody watches."""


@pytest.mark.parametrize("language", ["ru", "de-DE", "xx"])
def test_other_languages_are_refused_with_what_to_do(language: str) -> None:
    recognizer: Recognizer = LightRecognizer()
    silence = Audio(np.zeros((1, 16_000), np.float32), 16_000)
    with pytest.raises(LanguageNotRecognized, match=r"English only.*give the lyrics") as refused:
        recognizer.transcribe(silence, language, quiet)
    assert refused.value.code == "language_not_recognized"


@pytest.mark.parametrize("language", ["en", "en-GB", "EN_us", None])
def test_silence_holds_no_lines(language: str | None) -> None:
    silence = Audio(np.zeros((2, 16_000), np.float32), 16_000)
    assert LightRecognizer().transcribe(silence, language, quiet).lines == []


def test_a_sung_phrase_becomes_a_line_of_words_where_it_is_sung() -> None:
    song = songs.make("short", 3)
    end_ms = song.lines[0][-1].end_ms + 200
    frames = end_ms * song.vocals.rate // 1000
    phrase = Audio(song.vocals.samples[:, :frames], song.vocals.rate)
    shares: list[float] = []
    lines = LightRecognizer().transcribe(phrase, "en", shares.append).lines
    words = [word for line in lines for word in line.words]
    assert len(words) >= 2
    latest = 0
    for word in words:
        assert word.text.strip() == word.text
        assert "(" not in word.text
        assert latest <= word.start_ms < word.end_ms <= end_ms
        assert 0.0 <= word.confidence <= 1.0
        latest = word.end_ms
    # the text of sung words is a guess, but their place is not
    assert abs(words[0].start_ms - song.words[0].start_ms) < 500
    assert shares[-1] == 1.0
