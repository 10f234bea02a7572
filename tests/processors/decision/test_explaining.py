from __future__ import annotations

import re

from hypothesis import given

from processors.decision.aiming import Request
from processors.decision.deciding import decide
from processors.decision.explaining import RuleExplainer
from processors.decision.overriding import apply_overrides
from processors.decision.refusals import Refused
from processors.decision.rulebook import builtin_rulebook
from processors.decision.wording import number
from schemas.documents.analysis import Analysis
from schemas.documents.decision import Change
from tests.processors.decision.analyses import any_analyses, song

BOOK = builtin_rulebook()


def test_numbers_read_as_people_write_them() -> None:
    assert number(-14, "LUFS") == "−14.0 LUFS"
    assert number(-14.25, "dB", russian=True) == "−14,2 дБ"
    assert number(2_500, "Hz") == "2.5 kHz"
    assert number(50.1, "Hz", russian=True) == "50 Гц"
    assert number(-0.01, "dB") == "0.0 dB"
    assert number(0.333) == "0.33"


def test_a_healthy_song_is_told_that_nothing_is_wrong() -> None:
    text = RuleExplainer().explain(decide(song(), BOOK), song())
    assert any("Nothing needs mending" in sentence for sentence in text.en)
    assert any("Исправлять нечего" in sentence for sentence in text.ru)
    assert "−17.0 LUFS" in text.en[0]
    assert "−17,0 LUFS" in text.ru[0]


def test_reason_and_doing_are_told_with_their_numbers() -> None:
    boomy = song({"balance.named.bass.deviationDb": 9.0})
    text = RuleExplainer().explain(decide(boomy, BOOK), boomy)
    [english] = [s for s in text.en if "bass" in s.lower()]
    [russian] = [s for s in text.ru if "бас" in s.lower()]
    assert "9.0 dB" in english
    assert "−4.0 dB" in english
    assert "100 Hz" in english
    assert "9,0 дБ" in russian


def test_compromises_near_misses_and_changes_by_hand_are_told() -> None:
    dense = song({"peaks.truePeakDbtp": 0.0, "pumping.duckDb": 8.0, "pumping.depthDb": 9.0,
                  "balance.named.lowMid.deviationDb": 4.2, "hum.prominenceDb": 30.0,
                  "hum.levelDbfs": -40.0})  # fmt: skip
    decision = decide(dense, BOOK, Request(lufs=-5.0))
    decision = apply_overrides(decision, [Change(move="hum", drop=True)])
    told = RuleExplainer().explain(decision, dense)
    assert any("out of reach" in sentence for sentence in told.en)
    assert any("недостижимо" in sentence for sentence in told.ru)
    assert any(sentence.startswith("mud: close") for sentence in told.en)
    assert "You left out hum." in told.en


@given(any_analyses())
def test_every_song_is_explained_in_both_languages_without_gaps(analysis: Analysis) -> None:
    try:
        decision = decide(analysis, BOOK)
    except Refused:
        return
    told = RuleExplainer().explain(decision, analysis)
    assert told.en
    assert told.ru
    for sentence in (*told.en, *told.ru):
        assert not re.search(r"\{[a-z]|\bnan\b|\bNone\b|\binf\b", sentence)
    assert all(re.search("[а-яё]", sentence) for sentence in told.ru)
