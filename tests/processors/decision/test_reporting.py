from __future__ import annotations

import pytest
from hypothesis import given

from processors.decision.deciding import decide
from processors.decision.refusals import Refused
from processors.decision.reporting import report
from processors.decision.rulebook import builtin_rulebook
from schemas.documents.analysis import Analysis
from schemas.documents.report import Report
from tests.processors.decision.analyses import any_analyses, song

BOOK = builtin_rulebook()
AS_PROMISED = {"loudness.integratedLufs": -14.0, "peaks.truePeakDbtp": -1.2, "dynamics.plrDb": 13.0}


def test_what_came_true_is_said() -> None:
    told = report(decide(song(), BOOK), song(), song(AS_PROMISED))
    assert not told.misses
    assert told.summary.en == "Everything came out as predicted: −14.0 LUFS, true peak −1.2 dBTP."
    assert told.summary.ru == "Всё вышло, как предсказано: −14,0 LUFS, истинный пик −1,2 dBTP."
    [loudness] = [o for o in told.outcomes if o.measurement == "loudness.integratedLufs"]
    assert (loudness.before, loudness.predicted, loudness.after) == (-17.0, -14.0, -14.0)
    assert "as promised" in loudness.words.en
    assert Report.from_json(told.to_json()) == told


@pytest.mark.parametrize(
    ("after", "missed"),
    [
        ({"loudness.integratedLufs": -14.2}, ["loudness.integratedLufs"]),
        ({"loudness.integratedLufs": -14.09}, []),
        ({"peaks.truePeakDbtp": -0.7}, ["peaks.truePeakDbtp"]),
        ({"peaks.truePeakDbtp": -6.0}, []),
        ({"loudness.rangeLu": 12.0}, ["loudness.rangeLu"]),
    ],
)
def test_a_miss_is_stated(after: dict[str, float], missed: list[str]) -> None:
    told = report(decide(song(), BOOK), song(), song({**AS_PROMISED, **after}))
    assert [outcome.measurement for outcome in told.misses] == missed
    for outcome in told.misses:
        assert "was expected" in outcome.words.en
        assert "ожидалось" in outcome.words.ru
    assert ("missed: 1" in told.summary.en) == bool(missed)


def test_what_could_not_be_measured_afterwards_is_neither_kept_nor_missed() -> None:
    after = song({**AS_PROMISED, "loudness.rangeLu": None})
    told = report(decide(song(), BOOK), song(), after)
    [outcome] = [o for o in told.outcomes if o.measurement == "loudness.rangeLu"]
    assert outcome.kept is None
    assert "not measured in this test" in outcome.words.en


@given(any_analyses(), any_analyses())
def test_any_two_analyses_make_a_report(before: Analysis, after: Analysis) -> None:
    try:
        decision = decide(before, BOOK)
    except Refused:
        return
    told = report(decision, before, after)
    assert Report.from_json(told.to_json()).to_json() == told.to_json()
    assert set(told.misses) <= set(told.outcomes)
