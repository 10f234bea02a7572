"""What a speech model is asked for when a word is to be placed."""

from __future__ import annotations

import string

import pytest

from processors.alignment.sayable import spelt

LETTERS = string.ascii_lowercase + "'"


def latin(run: str) -> tuple[int, ...]:
    return tuple(LETTERS.index(letter) for letter in run.lower() if letter in LETTERS)


def said(word: str, language: str = "en") -> str:
    (one,) = spelt([word], language, latin)
    return "".join(LETTERS[token] for token in one.tokens)


@pytest.mark.parametrize(
    ("word", "letters"),
    [("Don’t,", "don't"), ("well-known", "wellknown"), ("«Hey!»", "hey"), ("'cause", "cause")],
)
def test_marks_are_left_to_the_surface(word: str, letters: str) -> None:
    assert said(word) == letters


@pytest.mark.parametrize(
    ("word", "language", "letters"),
    [
        ("21", "en", "twentyone"),
        ("2nd", "en", "twond"),
        ("99", "de", "neunundneunzig"),
        ("7", "fr", "sept"),
        ("007", "en", "zerozeroseven"),
    ],
)
def test_numbers_are_read_out(word: str, language: str, letters: str) -> None:
    pytest.importorskip("num2words", reason="comes with the models")
    assert said(word, language) == letters


@pytest.mark.parametrize(
    ("word", "why"),
    [("🎉", "no letters or digits"), ("река", "cyrillic letters"), ("abc" * 30, "longer than any")],
)
def test_what_cannot_be_sung_says_why(word: str, why: str) -> None:
    (one,) = spelt([word], "en", latin)
    assert one.tokens == ()
    assert one.reason is not None
    assert why in one.reason
