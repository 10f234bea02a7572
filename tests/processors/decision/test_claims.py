from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.decision.claims import Known, known_numbers, unfounded
from processors.decision.wording import number

KNOWN = frozenset(
    known_numbers(
        {
            "loudness.integratedLufs": -16.94,
            "rangeDb": -3.0,
            "hz": 2_500.0,
            "attackMs": 20.0,
            "durationS": 200.0,
            "confidence": 0.8,
            "because": {"value": 7.25, "unit": "dB"},
            "ratio": 2.0,
        }
    )
)


@pytest.mark.parametrize(
    "sentence",
    [
        "The song measures −16.9 LUFS.",
        "The song measures -17 LUFS.",
        "Громкость −16,9 LUFS.",
        "The bass is 7.3 dB (or 7.2 dB) too strong and is cut by 3 dB.",
        "Around 2.5 kHz, that is 2500 Hz, with 20 ms of attack.",
        "Около 2,5 кГц, атака 20 мс.",
        "We are 80 % sure.",
        "A ratio of two to 2.",
        "An MP3 has no numbers here, nor has EBU R128.",
        "Nothing was changed.",
    ],
)
def test_what_was_measured_may_be_said(sentence: str) -> None:
    assert unfounded(sentence, KNOWN) is None


@pytest.mark.parametrize(
    ("sentence", "claim"),
    [
        ("The song measures −15.9 LUFS.", "−15.9 LUFS"),
        ("The song measures 17 Hz.", "17 Hz"),
        ("It is cut by 4 dB.", "4 dB"),
        ("It is raised by +3 dB.", "+3 dB"),
        ("Cut at −7.2 dB.", "−7.2 dB"),
        ("Around 2.6 kHz.", "2.6 kHz"),
        ("Удержано на 12 дБ.", "12 дБ"),
        ("It became three times louder.", "three"),
        ("Стало втрое громче.", "втрое"),
        ("We are 95 % sure.", "95 %"),
        ("It lasts 20 s.", "20 s"),
        ("It is louder by three decibels.", "three"),
        ("The goal is −3 LUFS.", "−3 LUFS"),
    ],
)
def test_another_number_is_found(sentence: str, claim: str) -> None:
    assert unfounded(sentence, KNOWN) == claim


@given(st.floats(-120, 120), st.booleans(), st.integers(0, 2))
def test_our_own_way_of_writing_a_number_is_always_borne_out(
    value: float, russian: bool, decimals: int
) -> None:
    told = number(value, "dB", russian=russian, decimals=decimals)
    assert unfounded(f"It is {told}.", frozenset({Known(value, "level")})) is None


@given(st.floats(-120, 120), st.floats(0.06, 50))
def test_a_number_that_is_off_is_always_found(value: float, off: float) -> None:
    told = number(value + off, "dB", decimals=2)
    assert unfounded(f"It is {told}.", frozenset({Known(value, "level")})) is not None or (
        # The same size with the minus left out is the same claim.
        not told.startswith("−") and abs(abs(value) - abs(value + off)) < 0.011
    )
