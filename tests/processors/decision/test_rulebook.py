from __future__ import annotations

import random
from importlib.resources import files
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from processors.decision.deciding import decide
from processors.decision.refusals import RuleError
from processors.decision.rulebook import (
    Rulebook,
    at_end,
    builtin_rulebook,
    load_rulebook,
    parse_rulebook,
)
from processors.decision.rules import Linear
from processors.decision.wording import sentences
from tests.processors.decision.analyses import song
from tests.processors.runtime.rig import settings_in

BOOK = builtin_rulebook()
OWN = {
    name: files("processors.decision").joinpath("data", name).read_bytes() for name in BOOK.files
}

RULE = """
schema: rules/1
rules:
  - name: my-loud-bass
    subject: tone
    priority: 60
    when: {measurement: balance.named.bass.deviationDb, above: 2.0, hysteresis: 0.5}
    do:
      - module: eq
        parameters:
          kind: low_shelf
          hz: 100.0
          db: {base: -1.0, slope: -0.5, min: -4.0, max: 0.0}
        says: {en: "Shelf {db}.", ru: "Полка {db}."}
    reason: {en: "Bass {value}.", ru: "Бас {value}."}
"""


def written(text: str) -> Rulebook:
    return parse_rulebook(OWN, {"mine.yaml": text.encode()})


def test_a_further_file_adds_rules_and_is_named_in_the_decision(tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text(RULE, "utf-8")
    book = load_rulebook([mine])
    decision = decide(song({"balance.named.bass.deviationDb": 3.0}), book)
    [move] = [move for move in decision.moves if move.rule == "my-loud-bass"]
    assert move.parameters["db"] == -1.5
    assert "mine.yaml" in decision.made_by.files
    assert str(tmp_path) not in decision.to_json().decode()
    assert book.sha256 != BOOK.sha256


def test_a_further_file_replaces_what_has_the_same_name() -> None:
    book = written(RULE.replace("my-loud-bass", "heavy-bass"))
    assert len(book.rules) == len(BOOK.rules)
    [rule] = [rule for rule in book.rules if rule.name == "heavy-bass"]
    assert rule.priority == 60


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("above: 2.0", "above: loud", "rule 'my-loud-bass': when"),
        ("above: 2.0", "over: 2.0", "when.test.over"),
        ("above: 2.0", "above: 2.0, below: 3.0", "exactly one of above, below, is"),
        ("bass.deviationDb", "bass.boom", "'balance.named.bass.boom' is no measurement"),
        ("module: eq", "module: reverb", "do.0.module"),
        ("kind: low_shelf", "kind: notch", "do.0.parameters.kind"),
        ("min: -4.0", "min: -40.0", "do.0.parameters.db"),
        ("min: -4.0", "min: 4.0", "db: Value error, min exceeds max"),
        ("slope: -0.5", "slope: steep", "db.slope"),
        ("hz: 100.0", "hertz: 100.0", "do.0.parameters.hertz: Extra"),
        ("hz: 100.0", "hz: .nan", "do.0.parameters.hz"),
        ("priority: 60", "priority: 600", "priority"),
        ("Shelf {db}.", "Shelf {dB}.", "do.0.says"),
        ("Bass {value}.", "{value.__class__}", "reason"),
        ("subject: tone", "subject: taste", "subject"),
        ("rules/1", "rules/2", "schema"),
        ("name: my-loud-bass", "name: My Rule", "rule 'My Rule': name"),
        ("priority: 60", "priority: 60\n    veto: {rules: [no-such]}", "no rule 'no-such'"),
        ("rules:\n", "rules: !!python/object/apply:os.getcwd []\nrest:\n", "no YAML at line 3"),
    ],
)
def test_a_mistake_is_told_with_file_rule_and_field(old: str, new: str, said: str) -> None:
    assert old in RULE
    with pytest.raises(RuleError) as refused:
        written(RULE.replace(old, new))
    assert said in str(refused.value)
    if "no-such" not in new:
        assert str(refused.value).startswith("mine.yaml: ")


def test_files_that_are_none_are_told_without_their_folder(tmp_path: Path) -> None:
    for text, said in (("[1, 2]", "is a mapping"), ("a: b: c", "no YAML at line 1")):
        with pytest.raises(RuleError, match=said):
            written(text)
    with pytest.raises(RuleError, match=r"^nowhere\.yaml: cannot be read") as refused:
        load_rulebook([tmp_path / "nowhere.yaml"])
    assert str(tmp_path) not in str(refused.value)
    (tmp_path / "rules.yaml").write_text(RULE, "utf-8")
    with pytest.raises(RuleError, match="rename it"):
        load_rulebook([tmp_path / "rules.yaml"])


def test_two_rules_of_one_name_are_a_mistake() -> None:
    with pytest.raises(RuleError, match="rule 'my-loud-bass': name: it is defined twice"):
        parse_rulebook(OWN, {"a.yaml": RULE.encode(), "b.yaml": RULE.encode()})


@settings(max_examples=10)  # each reads every rule again
@given(st.integers(0, 2**32))
def test_the_order_of_rules_and_files_means_nothing(seed: int) -> None:
    order = random.Random(seed)
    names = list(SHUFFLED)
    order.shuffle(names)
    texts = {}
    for name in names:
        raw = dict(SHUFFLED[name])
        raw["rules"] = order.sample(raw.get("rules", []), len(raw.get("rules", [])))
        texts[name] = yaml.safe_dump(raw, allow_unicode=True).encode()
    assert parse_rulebook(texts, {}).rules == BOOK.rules


SHUFFLED = {name: yaml.safe_load(text) for name, text in OWN.items()}


@given(
    st.floats(allow_nan=False), st.floats(-50, 50), st.floats(-5, 5), st.floats(-9, 0),
    st.floats(0, 9),
)  # fmt: skip
def test_a_line_never_leaves_its_bounds(
    x: float, base: float, slope: float, low: float, high: float
) -> None:
    if abs(x) < float("inf"):
        assert low <= Linear(base=base, slope=slope, min=low, max=high).at(x) <= high


def test_every_name_that_the_rules_use_is_said_in_both_languages() -> None:
    for rule in BOOK.rules:
        for path in rule.effects:
            assert path in BOOK.readings
        for said in (rule.reason, *(action.says for action in rule.do)):
            assert said.placeholders() <= {
                "value", "threshold", "distance",
                *(n for a in rule.do for n in _names(at_end(a.parameters, "min"))),
            }  # fmt: skip
    for name, sentence in sentences().items():
        english = sorted(p for p in sentence.placeholders() if f"{{{p}}}" in sentence.en)
        russian = sorted(p for p in sentence.placeholders() if f"{{{p}}}" in sentence.ru)
        assert english == russian, name


def _names(values: object, prefix: str = "") -> list[str]:
    if isinstance(values, dict):
        pairs = [(str(key), value) for key, value in values.items()]
    elif isinstance(values, tuple):
        pairs = [(str(index), value) for index, value in enumerate(values)]
    else:
        return [prefix.rstrip(".")]
    return [name for key, value in pairs for name in _names(value, f"{prefix}{key}.")]


def test_a_mistake_in_a_rule_file_ends_the_start(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("rules:\n  - name: x\n")
    with pytest.raises(ValidationError, match="rule 'x': subject"):
        settings_in(tmp_path, mastering_rules=str(tmp_path / "mine.yaml"))
    with pytest.raises(ValidationError, match=r"gone\.yaml: cannot be read"):
        settings_in(tmp_path, mastering_rules=str(tmp_path / "gone.yaml"))
