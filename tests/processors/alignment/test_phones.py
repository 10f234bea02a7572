from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.alignment.acoustic_model import english
from processors.alignment.espeak import Espeak
from processors.alignment.languages import VOICES
from processors.alignment.phones import PHONES, to_arpabet

# numbers are spoken in nearly every language; the words bring scripts and rarer sounds
WORDS = """
hello schön naïve ça ñandú żółć čeština jungle thing vision привет ещё съешь γειά σου мир ўсё ңөң
你好 사랑 こんにちは שלום مرحبا नमस्ते สวัสดี გამარჯობა բարեւ ሰላም வணக்கம்
"""
TEXTS = [
    *(str(number) for number in (*range(60), 70, 80, 90, 100, 1000, 1999)),
    *"abcdefghijklmnopqrstuvwxyz",
    *WORDS.split(),
]


@pytest.fixture(scope="module")
def espeak() -> Iterator[Espeak]:
    with Espeak() as running:
        yield running


def test_every_phone_of_the_table_is_in_the_acoustic_model() -> None:
    known = set(english().phones)
    assert {phone for phones in PHONES.values() for phone in phones} <= known


def test_no_symbol_of_any_language_is_without_a_phone(espeak: Espeak) -> None:
    unmapped = {}
    for language, voice in VOICES.items():
        for text, ipa in zip(TEXTS, espeak.ipa(voice, TEXTS), strict=True):
            found = to_arpabet(ipa, english=language.startswith("en"))
            if found.unmapped:
                unmapped[language, text] = (ipa, found.unmapped)
    assert unmapped == {}


@pytest.mark.parametrize(
    ("ipa", "phones"),
    [
        ("h_ə_l_ˈoʊ", "HH AH L OW"),
        ("tʃ_ˈɜː_tʃ", "CH ER CH"),
        ("p__rʲ_i_vʲ_ˈe_t", "P R IY V EH T"),
        ("(en)_h_ə_l_ˈəʊ_(ru)", "HH AH L OW"),
        ("n_i2_χ_ˈɑu2_", "N IY HH AW"),
        ("ɑ̃", "AA"),
        ("ˈiː", "IY"),
        ("ʔ", ""),
        ("", ""),
    ],
)
def test_stress_length_tone_and_language_marks_leave_only_phones(ipa: str, phones: str) -> None:
    found = to_arpabet(ipa)
    assert " ".join(found.phones) == phones
    assert found.unmapped == ()


def test_english_short_vowels_differ_from_the_full_ones_of_other_languages() -> None:
    assert to_arpabet("l_ˈʌ_v", english=True).phones == ("L", "AH", "V")
    assert to_arpabet("d_ʌ").phones == ("D", "AA")


@given(st.text(alphabet=st.characters(categories=["L"]), min_size=1, max_size=12))
def test_a_letter_is_mapped_or_reported_but_never_dropped(text: str) -> None:
    found = to_arpabet(text)
    if not found.phones:
        # only marks that colour a neighbour, and the glottal stop, are silent
        assert all(to_arpabet("a" + letter).phones == ("AA",) for letter in text)
    assert len(found.unmapped) <= len(found.phones)
