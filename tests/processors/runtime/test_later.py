"""What a stage wants to be told again comes back, once, when it is due, whoever has it then."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.runtime import Later, Sla, Stage
from processors.runtime.conversation import decode, encode, made_by, returned
from processors.runtime.delays import delay_ms
from processors.runtime.endings import Endings, read
from processors.runtime.later import MOST_JITTER
from processors.runtime.testing import StageEnvironment
from schemas import avsc
from schemas.events import GenerationDue
from topics.catalog import RETRY_TIERS_MS, retry_topic
from topics.codec import Codec, Envelope
from topics.log import Record

DUE = GenerationDue.from_wire(avsc.golden("generation-due"))
NOW = 1_800_000_000_000


def waits(event: GenerationDue, task: object) -> Later:
    return Later(event, 20.0, 0.5)


def a_stage(consumes: tuple[type, ...] = (GenerationDue,)) -> Stage:
    return Stage(
        name="patient",
        revision=1,
        consumes=consumes,
        produces=(),
        sla=Sla(base_s=1),
        handler=lambda event, task: (waits(event, task),),
    )


def test_it_comes_back_as_the_same_event_at_its_first_try() -> None:
    codec, stage = Codec(), a_stage()
    envelope = Envelope.caused(DUE, by="x", source="s", time_ms=NOW, traceparent="")
    out = codec.encode(envelope)
    work = read(Record(out.topic, 0, 7, NOW, out.key, out.value, out.headers), codec)
    settled = Endings(stage, codec).finished(work, (Later(DUE, 20.0, 0.5),), None, "", NOW)
    (waiting,) = settled.outgoing
    assert waiting.topic == retry_topic("patient", "30s")
    back = read(
        Record(waiting.topic, 0, 0, NOW, waiting.key, waiting.value, waiting.headers), codec
    )
    assert back.envelope.event == DUE
    assert (back.turn.try_number, back.turn.due_ms) == (1, NOW + 33_000)
    assert back.envelope.id != work.envelope.id
    again = Endings(stage, codec).finished(work, (Later(DUE, 20.0, 0.5),), None, "", NOW)
    assert again.outgoing == settled.outgoing  # a repeated try writes the same record


@given(st.floats(0, 80_000), st.floats(-1, 2))
def test_it_waits_as_long_as_it_asked_and_at_most_a_fifth_more(
    after_s: float, jitter: float
) -> None:
    waited = delay_ms(Later(DUE, after_s, jitter))
    tiers = [tier for tier in RETRY_TIERS_MS.values() if tier >= after_s * 1000]
    tier = tiers[0] if tiers else max(RETRY_TIERS_MS.values())
    assert tier <= waited <= tier * (1 + MOST_JITTER)


def test_a_child_says_it_to_its_worker() -> None:
    made = (DUE, Later(DUE, 5.0, 0.25), DUE)
    said = decode(encode(returned(made))[4:])
    assert made_by(said) == made  # type: ignore[arg-type]


def test_only_what_the_stage_consumes_can_come_back(tmp_path: Path) -> None:
    from schemas.events import GenerationHinted

    hinted = GenerationHinted.from_wire(avsc.golden("generation-hinted"))
    stage = a_stage()
    wrong = Stage(
        name="patient",
        revision=1,
        consumes=(GenerationHinted,),
        produces=(),
        sla=Sla(base_s=1),
        handler=lambda event, task: (Later(DUE, 5.0),),
    )
    assert StageEnvironment(tmp_path / "a").run(stage, DUE).event == Later(DUE, 20.0, 0.5)
    with pytest.raises(TypeError, match="cannot come back later"):
        StageEnvironment(tmp_path / "b").run(wrong, hinted)
