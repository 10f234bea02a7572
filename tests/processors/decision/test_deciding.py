from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from processors.decision.aiming import Request
from processors.decision.deciding import decide
from processors.decision.refusals import Refused
from processors.decision.rulebook import builtin_rulebook
from schemas.documents.analysis import Analysis
from schemas.documents.chain import Chain
from schemas.documents.decision import SETTINGS, Decision
from tests.processors.decision.analyses import any_analyses, song

BOOK = builtin_rulebook()
FINISH = {"loudness-target", "ceiling", "dither"}

requests = st.builds(
    Request,
    preset=st.sampled_from(sorted(BOOK.presets)),
    lufs=st.none() | st.floats(-60, 10),
    true_peak_dbtp=st.none() | st.floats(-30, 6),
    reference_amount=st.floats(-1, 2),
    reference_without=st.frozensets(st.sampled_from(("eq", "loudness", "dynamics", "width"))),
    bits=st.sampled_from((None, 16, 24)),
)


def rules_of(decision: Decision) -> set[str]:
    return {move.rule for move in decision.moves} | {note.code for note in decision.notes}


@given(any_analyses(), requests, st.none() | any_analyses())
def test_whatever_was_measured_every_move_is_within_its_bounds(
    analysis: Analysis, request: Request, reference: Analysis | None
) -> None:
    try:
        decision = decide(analysis, BOOK, request, reference=reference)
    except Refused:
        assert analysis.loudness.integrated_lufs is None
        return
    for move in decision.moves:
        SETTINGS[move.module].model_validate(dict(move.parameters))
        assert 0 <= move.confidence <= 1
    again = Decision.from_json(decision.to_json())
    assert again.to_json() == decision.to_json()
    assert Chain.from_json(decision.chain.to_json()) == decision.chain
    names = [module.module for module in decision.chain.modules]
    assert names[-2:] == ["limiter", "dither"]
    told = decision.to_json().decode()
    assert not re.search(r"\bnan\b|\binf\b|Infinity", told)
    assert decide(analysis, BOOK, request, reference=reference).to_json() == decision.to_json()


@given(any_analyses(), st.sampled_from(sorted(BOOK.presets)))
def test_what_is_predicted_keeps_the_ceiling_and_never_exceeds_the_goal(
    analysis: Analysis, preset: str
) -> None:
    assume(analysis.loudness.integrated_lufs is not None)
    decision = decide(analysis, BOOK, Request(preset=preset))
    loudness = decision.prediction("loudness.integratedLufs")
    assert loudness is not None
    assert loudness.after <= decision.target.lufs + 0.01
    short = [c for c in decision.compromises if c.about == "loudness.integratedLufs"]
    if loudness.after < decision.target.lufs - 0.06:
        assert short
    peak = decision.prediction("peaks.truePeakDbtp")
    assert peak is None or peak.after <= decision.target.true_peak_dbtp


@pytest.mark.parametrize("preset", sorted(BOOK.presets))
def test_a_healthy_song_gets_loudness_limiter_and_dither_only(preset: str) -> None:
    decision = decide(song(), BOOK, Request(preset=preset))
    assert {move.rule for move in decision.moves} == FINISH
    assert not decision.conflicts
    assert [module.module for module in decision.chain.modules] == ["limiter", "dither"]
    assert decision.chain.loudness is not None
    assert decision.chain.loudness.lufs == BOOK.presets[preset].target.lufs


FAULTS: dict[str, tuple[dict[str, Any], str | None]] = {
    "low-crest": ({"dynamics.crestDb": 5.0, "dynamics.psrDb": 6.0}, "expander"),
    "heavy-bass": ({"balance.named.bass.deviationDb": 9.0}, "dynamic_eq"),
    "heavy-sub": ({"balance.named.sub.deviationDb": 12.0}, "eq"),
    "thin-bass": ({"balance.named.bass.deviationDb": -13.0}, "eq"),
    "mud": ({"balance.named.lowMid.deviationDb": 7.0}, "eq"),
    "harsh-highs": ({"balance.named.highMid.deviationDb": 8.0}, "dynamic_eq"),
    "dull-highs": ({"balance.named.air.deviationDb": -12.0}, "eq"),
    "sharp-air": ({"balance.named.air.deviationDb": 10.0}, "eq"),
    "hum": ({"hum.prominenceDb": 25.0, "hum.levelDbfs": -50.0}, "dehum"),
    "dc-offset": ({"dc.worstDbfs": -40.0, "dc.offsets": (0.01, 0.01)}, "dc_block"),
    "narrow": ({"stereo.sideToMidDb": -28.0}, "stereo"),
    "too-wide": ({"stereo.sideToMidDb": 2.0}, "stereo"),
    "wide-bass": ({"stereo.bassWidth": 0.8}, "stereo"),
    "inverted-channel": ({"channels.inverted": True, "stereo.sideToMidDb": 60.0}, None),
    "mono-in-stereo": ({"channels.identical": True, "stereo.sideToMidDb": None}, None),
    "one-channel-silent": ({"stereo.balanceDb": -90.0}, None),
    "pumping": ({"pumping.duckDb": 8.0, "pumping.depthDb": 9.0}, None),
    "clipping": ({"clipping.runsPerMinute": 80.0, "clipping.runs": 300}, None),
    "noise-floor": (
        {"noise.floorDbfs": -50.0, "noise.flatness": 0.8, "noise.snrDb": 33.0},
        "expander",
    ),
    "too-dynamic": ({"loudness.rangeLu": 19.0}, "compressor"),
    "high-peaks": ({"peaks.truePeakDbtp": 6.0}, "compressor"),
    "silence-at-start": ({"silence.startS": 8.0}, None),
    "silence-at-end": ({"silence.endS": 20.0}, None),
    "lossy-origin": ({"balance.highestHz": 15_800.0}, None),
    "low-rate": ({"source.rateHz": 8_000, "balance.highestHz": 4_000.0}, None),
    "few-bits": ({"source.bitDepth": 8}, None),
    "above-full-scale": ({"clipping.overs": 12}, None),
    "mono-loss": ({"stereo.monoLossDb": -9.0}, None),
    "very-quiet": ({"loudness.integratedLufs": -45.0, "peaks.truePeakDbtp": -33.0}, None),
    "already-loud": ({"loudness.integratedLufs": -8.0}, None),
    "very-short": ({"source.durationS": 4.0}, None),
}


@pytest.mark.parametrize("rule", FAULTS)
def test_each_fault_leads_to_its_rule_and_to_nothing_else(rule: str) -> None:
    changes, module = FAULTS[rule]
    decision = decide(song(changes), BOOK)
    assert rules_of(decision) == FINISH | {rule}
    found = [move for move in decision.moves if move.rule == rule]
    assert [move.module for move in found] == ([module] if module else [])
    for move in found:
        assert move.because.measurement in {*changes, *DERIVED.get(rule, ())}
        assert "{" not in move.words.en + move.words.ru
    if rule == "low-crest":
        assert found[0].parameters["mode"] == "upward"


DERIVED = {
    "dc-offset": ("target.dcDbfs",),
    "too-dynamic": ("target.excessRangeLu",),
    "high-peaks": ("target.limitingDb",),
}


def test_every_rule_that_a_song_can_cause_is_tried_here() -> None:
    of_references = {rule.name for rule in BOOK.rules if rule.name.startswith("reference-")}
    assert {rule.name for rule in BOOK.rules} == {*FAULTS, *FINISH, *of_references}


@pytest.mark.parametrize("rule", ["heavy-bass", "hum", "narrow", "too-dynamic"])
def test_the_worse_it_is_the_more_is_done_up_to_the_bound(rule: str) -> None:
    changes, _ = FAULTS[rule]
    path = next(iter(changes))
    parameter = {"heavy-bass": "rangeDb", "hum": "depthDb", "narrow": "widths"}.get(rule, "bands")

    def done(value: float) -> object:
        decision = decide(song({**changes, path: value}), BOOK)
        [move] = [move for move in decision.moves if move.rule == rule]
        return move.parameters[parameter]

    sign = -1 if rule == "narrow" else 1
    there = float(changes[path])
    more, most, beyond = (done(there + sign * step) for step in (3.0, 100.0, 200.0))
    assert more != done(there)
    assert most == beyond


def test_what_pumps_is_not_compressed_further_and_it_is_said() -> None:
    changes = FAULTS["pumping"][0] | FAULTS["too-dynamic"][0]
    decision = decide(song(changes), BOOK)
    assert "compressor" not in {move.module for move in decision.moves}
    [conflict] = decision.conflicts
    assert (conflict.kept, conflict.dropped) == ("pumping", "too-dynamic")
    [entry] = [c for c in decision.considered if c.why == "outweighed"]
    assert (entry.rule, entry.outweighed_by) == ("too-dynamic", "pumping")


def test_two_rules_for_one_parameter_are_settled_by_priority() -> None:
    changes = {"stereo.sideToMidDb": 2.0, "stereo.bassWidth": 0.8}
    both = decide(song(changes), BOOK)
    assert {move.rule for move in both.moves} == FINISH | {"too-wide", "wide-bass"}
    [stereo] = [m for m in both.chain.modules if m.module == "stereo"]
    assert stereo.mono_below_hz == 120.0
    assert stereo.widths[1] < 1
    clash = decide(song({"loudness.rangeLu": 22.0, "peaks.truePeakDbtp": 6.0}), BOOK)
    assert [(c.kept, c.dropped) for c in clash.conflicts] == [("too-dynamic", "high-peaks")]


def test_clipped_songs_are_limited_gently() -> None:
    clipped = decide(song(FAULTS["clipping"][0]), BOOK)
    assert clipped.target.most_limiting_db == 4.0
    assert clipped.chain.loudness is not None
    assert clipped.chain.loudness.most_limiting_db == 4.0


def test_an_unreachable_target_is_stated_with_what_is_promised_instead() -> None:
    # It pumps, so no compressor helps: 10 dB of limiting under a ceiling of -1 dBTP, and peaks
    # that stand 17 dB above the loudness.
    pumps = song(FAULTS["pumping"][0] | {"peaks.truePeakDbtp": 0.0})
    decision = decide(pumps, BOOK, Request(lufs=-5.0))
    [compromise] = decision.compromises
    assert compromise.wanted == -5.0
    assert compromise.promised == pytest.approx(-1.0 + 10.0 - 17.0)
    assert "−8.0 LUFS" in compromise.words.en
    assert "−8,0 LUFS" in compromise.words.ru
    outside = decide(song(), BOOK, Request(lufs=3.0, true_peak_dbtp=2.0))
    wanted = {c.wanted: c.promised for c in outside.compromises}
    assert (wanted[3.0], wanted[2.0]) == (-4.0, 0.0)


def test_hysteresis_keeps_a_rule_that_acted_and_names_what_comes_near() -> None:
    near = song({"balance.named.bass.deviationDb": 4.5})
    before = decide(song(FAULTS["heavy-bass"][0]), BOOK)
    fresh = decide(near, BOOK)
    assert "heavy-bass" not in rules_of(fresh)
    assert [c.why for c in fresh.considered if c.rule == "heavy-bass"] == ["near"]
    held = decide(near, BOOK, previous=before)
    assert "heavy-bass" in rules_of(held)
    far = decide(song({"balance.named.bass.deviationDb": 3.9}), BOOK, previous=before)
    assert "heavy-bass" not in rules_of(far)


def test_a_preset_leaves_rules_out_and_shifts_others() -> None:
    narrow = song(FAULTS["narrow"][0])
    assert "narrow" not in rules_of(decide(narrow, BOOK, Request(preset="podcast")))
    skipped = decide(narrow, BOOK, Request(preset="podcast")).considered
    assert [c.why for c in skipped if c.rule == "narrow"] == ["preset"]
    bass = song({"balance.named.bass.deviationDb": 7.0})
    assert "heavy-bass" in rules_of(decide(bass, BOOK))
    assert "heavy-bass" not in rules_of(decide(bass, BOOK, Request(preset="club")))


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"source.durationS": 0.2}, "too-short"),
        ({"dc.worstDbfs": -6.0, "dynamics.rmsDbfs": -6.0}, "dc-only"),
        ({"peaks.samplePeakDbfs": None, "silence.share": 1.0}, "silent"),
        ({}, "not-measured"),
    ],
)
def test_what_holds_no_music_is_refused_in_words(changes: dict[str, Any], code: str) -> None:
    with pytest.raises(Refused) as refused:
        decide(song({"loudness.integratedLufs": None, **changes}), BOOK)
    assert refused.value.code == code
    assert "{" not in refused.value.words.en + refused.value.words.ru


def test_an_unknown_preset_names_the_known_ones() -> None:
    with pytest.raises(Refused, match=r"streaming"):
        decide(song(), BOOK, Request(preset="vinyl"))


def test_a_missing_measurement_is_no_reason_to_act() -> None:
    decision = decide(song({"hum.prominenceDb": None, "hum.levelDbfs": None}), BOOK)
    assert rules_of(decision) == FINISH
    [hum] = [c for c in decision.considered if c.rule == "hum"]
    assert hum.why == "not measured"
    assert "not measured in this test" in hum.words.en
