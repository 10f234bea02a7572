from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.decision.aiming import Request
from processors.decision.deciding import decide
from processors.decision.overriding import apply_overrides
from processors.decision.refusals import OverrideRefused
from processors.decision.rulebook import builtin_rulebook
from schemas.documents.decision import SETTINGS, Change, Decision, Overrides
from tests.processors.decision.analyses import song

BOOK = builtin_rulebook()
FAULTY = song(
    {
        "balance.named.bass.deviationDb": 9.0,
        "hum.prominenceDb": 30.0,
        "hum.levelDbfs": -40.0,
        "stereo.bassWidth": 0.8,
    }
)
DECISION = decide(FAULTY, BOOK)


def test_a_dropped_move_takes_its_prediction_and_its_module_with_it() -> None:
    left = apply_overrides(DECISION, [Change(move="hum", drop=True)])
    assert "hum" not in {move.id for move in left.moves}
    assert "dehum" not in {module.module for module in left.chain.modules}
    assert DECISION.prediction("hum.prominenceDb")
    assert left.prediction("hum.prominenceDb") is None
    assert left.prediction("balance.named.bass.deviationDb") == DECISION.prediction(
        "balance.named.bass.deviationDb"
    )
    assert left.overrides == (Change(move="hum", drop=True),)
    assert Decision.from_json(left.to_json()).to_json() == left.to_json()


def test_a_changed_move_keeps_what_was_not_named() -> None:
    changes = Overrides(changes=(Change(move="heavy-bass", parameters={"rangeDb": -2.5}),))
    [move] = [m for m in apply_overrides(DECISION, changes).moves if m.id == "heavy-bass"]
    [was] = [m for m in DECISION.moves if m.id == "heavy-bass"]
    assert move.parameters == {**was.parameters, "rangeDb": -2.5}
    assert move.by_hand
    assert move.because == was.because
    assert "−2.5 dB" in move.words.en
    assert "−2,5 дБ" in move.words.ru


def test_another_goal_is_promised_anew() -> None:
    louder = apply_overrides(DECISION, [Change(move="loudness-target", parameters={"lufs": -4.0})])
    promised = louder.prediction("loudness.integratedLufs")
    [compromise] = louder.compromises
    assert promised is not None
    assert promised.after == compromise.promised < -4.0
    back = apply_overrides(louder, [Change(move="loudness-target", parameters={"lufs": -14.0})])
    assert not back.compromises
    assert back.predicted[0].after == -14.0


@pytest.mark.parametrize(
    ("changes", "code", "parameter"),
    [
        ([Change(move="reverb", drop=True)], "unknown-move", None),
        ([Change(move="hum", drop=True)] * 2, "unknown-move", None),
        ([Change(move="hum", parameters={"depth": 3})], "unknown-parameter", "depth"),
        ([Change(move="hum", parameters={"module": "eq"})], "unknown-parameter", "module"),
        ([Change(move="hum", parameters={"depthDb": 99})], "out-of-bounds", "depthDb"),
        ([Change(move="hum", parameters={"depthDb": "deep"})], "out-of-bounds", "depthDb"),
        ([Change(move="ceiling", drop=True)], "needed", None),
        ([Change(move="ceiling", parameters={"enabled": False})], "needed", None),
    ],
)
def test_what_cannot_be_is_refused_by_name(
    changes: list[Change], code: str, parameter: str | None
) -> None:
    with pytest.raises(OverrideRefused) as refused:
        apply_overrides(DECISION, changes)
    assert refused.value.code == code
    assert refused.value.parameter == parameter
    assert refused.value.move in {change.move for change in changes}


def test_a_change_drops_or_sets_never_both() -> None:
    with pytest.raises(ValueError, match="one of the two"):
        Change(move="hum", drop=True, parameters={"depthDb": 3})
    with pytest.raises(ValueError, match="one of the two"):
        Change(move="hum")


def test_the_limiter_may_go_when_the_goal_goes_too() -> None:
    free = apply_overrides(
        DECISION,
        [Change(move="loudness-target", drop=True), Change(move="ceiling", drop=True)],
    )
    assert free.chain.loudness is None
    assert free.chain.limiter() is None


_parameters = st.dictionaries(
    st.sampled_from(["db", "hz", "q", "depthDb", "rangeDb", "lufs", "ceilingDbtp", "wet", "bits"]),
    st.one_of(
        st.floats(-100, 30_000), st.integers(-100, 100), st.none(), st.booleans(), st.just("x")
    ),
    min_size=1,
    max_size=3,
)
_changes = st.lists(
    st.one_of(
        st.builds(Change, move=st.sampled_from([m.id for m in DECISION.moves]), drop=st.just(True)),
        st.builds(
            Change, move=st.sampled_from([m.id for m in DECISION.moves]), parameters=_parameters
        ),
    ),
    max_size=4,
)


@given(_changes)
def test_whatever_a_person_asks_for_is_refused_or_within_bounds(changes: list[Change]) -> None:
    try:
        changed = apply_overrides(DECISION, changes)
    except OverrideRefused:
        return
    for move in changed.moves:
        SETTINGS[move.module].model_validate(dict(move.parameters))
    assert Decision.from_json(changed.to_json()).chain == changed.chain


def test_nothing_changed_changes_nothing() -> None:
    assert apply_overrides(DECISION, []) == DECISION
    asked_too_much = decide(FAULTY, BOOK, Request(lufs=2.0))
    assert apply_overrides(asked_too_much, []) == asked_too_much
