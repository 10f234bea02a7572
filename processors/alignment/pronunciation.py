"""How words are sung: spelling → ARPABET phones, for every language espeak-ng speaks.

English words come from the CMU dictionary in pocketsphinx's wheel (the acoustic model was trained
on it); everything else, and what it lacks, from espeak-ng (see ``espeak``) through ``phones``.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pocketsphinx

from processors.alignment.espeak import Espeak
from processors.alignment.languages import VOICES, reader, resolve
from processors.alignment.phones import to_arpabet

LONGEST_WORD = 60
"""Letters; the longest word in any dictionary of a sung language is shorter. What is longer isn't a
word that could be placed (a URL, a separator line, a whole text without spaces)."""

_CACHE_WORDS = 50_000
"""Pronunciations kept, about 20 MB: several hundred songs."""

_APOSTROPHES = str.maketrans({"’": "'", "ʼ": "'", "‘": "'", "`": "'", "´": "'", "＇": "'"})
_DRAWN_OUT = re.compile(
    r"([^\W\d_])\1{2,}", re.IGNORECASE
)  # "looooove": the letter, thrice or more


@dataclass(frozen=True, slots=True)
class Pronunciation:
    """Phones of one word; when there are none, ``reason`` says why the word can't be sung."""

    phones: tuple[str, ...]
    reason: str | None = None


class Pronouncer:
    """Spelling to phones, with a cache. One espeak-ng process serves all calls."""

    def __init__(self, espeak: Espeak | None = None) -> None:
        self._espeak = espeak or Espeak()
        self._known: dict[tuple[str, str], Pronunciation] = {}

    def close(self) -> None:
        """End the espeak-ng process."""
        self._espeak.close()

    def pronounce(self, words: Sequence[str], language: str) -> list[Pronunciation]:
        """One pronunciation a word, in order. Raises ``UnknownLanguage``, ``EspeakFailed``."""
        resolved = resolve(language)
        shouted = _shouted(words)
        keys: list[tuple[str, str]] = []
        for word in words:
            spelled = spelling(word)
            spelled = spelled.lower() if shouted else spelled
            keys.append((reader(spelled, resolved), spelled))
        wanted: dict[str, list[str]] = {}
        fresh: dict[tuple[str, str], Pronunciation] = {}
        for language_, spelled in dict.fromkeys(keys):
            if (language_, spelled) in self._known:
                fresh[language_, spelled] = self._known[language_, spelled]
                continue
            known = _without_espeak(spelled, language_)
            if known is not None:
                fresh[language_, spelled] = known
            else:
                wanted.setdefault(language_, []).append(spelled)
        for language_, spellings in wanted.items():
            for spelled, pronunciation in zip(
                spellings, self._speak(spellings, language_), strict=True
            ):
                fresh[language_, spelled] = pronunciation
        if len(self._known) + len(fresh) > _CACHE_WORDS:
            self._known.clear()
        self._known.update(fresh)
        return [fresh[key] for key in keys]

    def _speak(self, spellings: Sequence[str], language: str) -> list[Pronunciation]:
        spoken = self._espeak.ipa(VOICES[language], spellings)
        pronunciations: list[Pronunciation] = []
        for spelled, ipa in zip(spellings, spoken, strict=True):
            phones = to_arpabet(ipa, english=language.startswith("en")).phones
            if not phones and language != "en-us" and any(map(str.isalnum, spelled)):
                # some voices know no numbers, or none of the word's letters
                english = self._espeak.ipa(VOICES["en-us"], [spelled])[0]
                phones = to_arpabet(english, english=True).phones
            pronunciations.append(
                Pronunciation(phones)
                if phones
                else Pronunciation((), f"the {language} voice doesn't pronounce it")
            )
        return pronunciations


def spelling(word: str) -> str:
    """What of a lyric's word is read aloud.

    Letters, digits, combining marks, and the apostrophes and hyphens between them; a letter drawn
    out three times or more ("loooove") counts twice, so that it keeps its sound.
    """
    kept = "".join(
        letter if unicodedata.category(letter)[0] in "LNM" or letter in "'-\u200c\u200d" else " "
        for letter in unicodedata.normalize("NFC", word).translate(_APOSTROPHES)
    )
    pieces = (piece.strip("-") for piece in kept.split())
    joined = " ".join(piece for piece in pieces if any(map(str.isalnum, piece)))
    return _DRAWN_OUT.sub(r"\1\1", joined)


def _shouted(words: Sequence[str]) -> bool:
    """Whether lyrics are set in capitals, so that none of them means spelling a word out."""
    long = [word for word in words if sum(map(str.isalpha, word)) >= 2]
    capitals = sum(word.isupper() for word in long)
    return len(long) >= 2 and capitals > len(long) / 2


def _without_espeak(spelled: str, language: str) -> Pronunciation | None:
    if not spelled:
        return Pronunciation((), "it holds no letters or digits")
    if len(spelled) > LONGEST_WORD:
        return Pronunciation((), f"it is longer than any word ({len(spelled)} letters)")
    if language == "en-us":
        phones = _dictionary().get(spelled.lower())
        if phones is not None:
            return Pronunciation(phones)
    return None


@cache
def _dictionary() -> dict[str, tuple[str, ...]]:
    """The CMU dictionary's first pronunciation of each word (126,000 words, 40 ms to read)."""
    path = Path(pocketsphinx.get_model_path("en-us/cmudict-en-us.dict"))
    entries: dict[str, tuple[str, ...]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        word, *phones = line.split()
        entries.setdefault(word, tuple(map(sys.intern, phones)))
    return entries
