from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from processors.alignment.espeak import Espeak
from processors.alignment.languages import LANGUAGES, UnknownLanguage, reader, resolve, script
from processors.alignment.pronunciation import LONGEST_WORD, Pronouncer, spelling


@pytest.fixture(scope="module")
def pronouncer() -> Iterator[Pronouncer]:
    one = Pronouncer()
    yield one
    one.close()


def say(pronouncer: Pronouncer, word: str, language: str = "en") -> str:
    return " ".join(pronouncer.pronounce([word], language)[0].phones)


def test_english_words_come_from_the_dictionary(pronouncer: Pronouncer) -> None:
    assert say(pronouncer, "Hello,") == "HH AH L OW"
    assert say(pronouncer, "don’t") == "D OW N T"


def test_words_that_no_dictionary_has_are_spoken_anyway(pronouncer: Pronouncer) -> None:
    assert say(pronouncer, "zorblings").startswith("Z AO R B L")


@pytest.mark.parametrize("number", ["42", "1999", "7", "3.5"])
@pytest.mark.parametrize("language", ["en", "ru", "de", "cv"])
def test_numbers_are_spoken(pronouncer: Pronouncer, number: str, language: str) -> None:
    assert len(say(pronouncer, number, language).split()) >= 2


def test_a_number_is_spoken_in_the_language_of_the_lyrics(pronouncer: Pronouncer) -> None:
    assert say(pronouncer, "42").startswith("F AO R")
    assert say(pronouncer, "42", "ru").startswith("S")


@pytest.mark.parametrize("token", ["🎵", "...", "—", "!?", "🎤🎶", "-", "'", ""])
def test_what_holds_no_letters_has_a_reason_instead(pronouncer: Pronouncer, token: str) -> None:
    (found,) = pronouncer.pronounce([token], "en")
    assert found.phones == ()
    assert found.reason == "it holds no letters or digits"


def test_a_word_that_no_word_is_that_long_has_a_reason(pronouncer: Pronouncer) -> None:
    (found,) = pronouncer.pronounce(["ab" * LONGEST_WORD], "en")
    assert found.phones == ()
    assert "longer than any word" in (found.reason or "")


@pytest.mark.parametrize(
    ("language", "word", "phones"),
    [
        ("en", "привет", "P R IY V EH T"),
        ("ru", "hello", "HH AH L OW"),
        ("el", "love", "L AH V"),
    ],
)
def test_words_of_another_script_get_a_voice_that_reads_it(
    pronouncer: Pronouncer, language: str, word: str, phones: str
) -> None:
    assert say(pronouncer, word, language) == phones


def test_capitals_are_shouted_not_spelled(pronouncer: Pronouncer) -> None:
    us = pronouncer.pronounce(["THEY", "GAVE", "IT", "TO", "US"], "de")[-1]
    assert us == pronouncer.pronounce(["us"], "de")[0]


def test_drawn_out_and_hyphenated_words_are_spoken(pronouncer: Pronouncer) -> None:
    assert spelling("looooove!") == "loove"
    assert spelling("«rock-n-roll»") == "rock-n-roll"
    assert spelling("1000") == "1000"
    assert say(pronouncer, "rock-n-roll")


def test_a_word_is_asked_for_once() -> None:
    asked: list[str] = []

    class Listening(Espeak):
        def ipa(self, voice: str, words: Sequence[str]) -> list[str]:
            asked.extend(words)
            return super().ipa(voice, words)

    with Listening() as espeak:
        pronouncer = Pronouncer(espeak)
        first = pronouncer.pronounce(["мир", "мир", "дом"], "ru")
        assert pronouncer.pronounce(["дом", "мир"], "ru") == [first[2], first[0]]
    assert asked == ["мир", "дом"]


@pytest.mark.parametrize(
    ("tag", "language"),
    [
        ("en", "en-us"),
        ("EN", "en-us"),
        ("en-AU", "en-us"),
        ("en-GB", "en-gb"),
        ("pt_BR", "pt-br"),
        ("pt-AO", "pt"),
        ("zh-Hant-TW", "cmn"),
        ("no", "nb"),
        ("de-CH-1996", "de"),
    ],
)
def test_tags_resolve_to_the_nearest_voice(tag: str, language: str) -> None:
    assert resolve(tag) == language
    assert language in LANGUAGES


@pytest.mark.parametrize("tag", ["", "xx", "klingon", "-", "12"])
def test_an_unknown_language_is_named_with_what_to_do(tag: str) -> None:
    with pytest.raises(UnknownLanguage, match="BCP-47") as refused:
        resolve(tag)
    assert refused.value.code == "unknown_language"


def test_every_language_reads_latin_or_its_own_script() -> None:
    for language in LANGUAGES:
        assert reader("love", language) in (language, "en-us")
        assert reader("12", language) == language
    assert script("ёлка") == "CYRILLIC"
    assert script("…") is None
    assert reader("любовь", "fr-fr") == "ru"
    assert reader("любовь", "uk") == "uk"
