"""Each outcome leads to exactly the right records in the right topics."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from schemas.events import JobFailed, Separated, StepFailed
from tests.processors.runtime import stages
from tests.processors.runtime.rig import Rig, decodes, until
from topics import trace
from topics.codec import event_id


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    rig = Rig(tmp_path, stages.trial)
    yield rig
    rig.log.close()


def headers(record: object) -> dict[str, bytes]:
    return dict(record.headers)  # type: ignore[attr-defined]


def test_finished_work_goes_out_with_its_offset(rig: Rig) -> None:
    asked = rig.request("a")
    with rig.host() as host:
        (made,) = rig.wait_for("separated")
        until(lambda: rig.committed("trial") == 1, "the offset")
        until(lambda: host.health()["trial"].lag == 0, "no lag")
        health = host.health()["trial"]
    assert isinstance(made.event, Separated)
    assert made.event.work.job_id == "a"
    assert made.id == event_id(asked.id, "trial", "separated", "attempt 1")
    assert made.source == "trial"
    assert trace.trace_id(made.traceparent) == trace.trace_id(asked.traceparent)
    assert made.traceparent != asked.traceparent
    assert rig.written() == {"import-requested": 1, "separated": 1}
    states = rig.states("a")
    assert (states[0], states[-1]) == ("started", "done")
    assert (health.state, health.alive, health.reason) == ("running", True, "")
    assert health.assigned > 0


def test_signs_tell_limits_and_have_ids_of_their_own(rig: Rig) -> None:
    rig.request("a")
    with rig.host():
        rig.wait_for("separated")
    signs = rig.events("step-progressed")
    assert len({sign.id for sign in signs}) == len(signs)
    first = signs[0].event.to_wire()
    assert (first["slaSeconds"], first["hardSeconds"], first["worker"]) == (60, 180, "rig")
    assert first["tryNumber"] == 1


def test_not_my_turn_moves_the_offset_and_nothing_else(rig: Rig) -> None:
    rig.request("a", "decline")
    with rig.host():
        until(lambda: rig.committed("trial") == 1, "the offset")
    assert rig.written() == {"import-requested": 1}
    assert rig.records("step-progressed") == []


@pytest.mark.parametrize("do", ["raise", "segfault", "killed", "leave", "confuse"])
def test_a_crash_is_tried_again_later(rig: Rig, do: str) -> None:
    rig.request("a", do)
    (asked,) = rig.records("import-requested")
    with rig.host():
        (failed,) = rig.wait_for("step-failed")
    (waiting,) = rig.records("trial.retry.5s")
    assert (waiting.key, waiting.value) == (asked.key, asked.value)
    assert waiting.headers[: len(asked.headers)] == asked.headers
    assert headers(waiting)["melisma.retry.try"] == b"2"
    assert rig.committed("trial") == 1
    assert rig.written() == {"import-requested": 1, "trial.retry.5s": 1, "step-failed": 1}
    said = failed.event
    assert isinstance(said, StepFailed)
    assert said.code == ("out_of_memory" if do == "killed" else "crashed")
    assert (said.try_number, said.retry_after_ms) == (1, 5000)
    assert "Traceback" not in said.message
    assert "broken" not in said.message


def test_spent_tries_end_in_the_dead_letters_and_fail_the_job(rig: Rig) -> None:
    rig.request("a", "raise")
    (asked,) = rig.records("import-requested")
    with rig.host() as host:
        rig.wait_for("step-failed")
        assert rig.records("trial.dlq") == []
        rig.ahead_ms = 6_000
        host.wake()
        (failed,) = rig.wait_for("job-failed")
    (dead,) = rig.records("trial.dlq")
    assert (dead.key, dead.value) == (asked.key, asked.value)
    assert dead.headers[: len(asked.headers)] == asked.headers
    error = {k: v for k, v in headers(dead).items() if k.startswith("melisma.")}
    message = error.pop("melisma.error.message").decode()
    assert error == {
        "melisma.error.stage": b"trial",
        "melisma.error.class": b"RuntimeError",
        "melisma.error.code": b"crashed",
        "melisma.error.topic": b"import-requested",
        "melisma.error.partition": str(asked.partition).encode(),
        "melisma.error.offset": b"0",
        "melisma.error.timestamp": str(asked.timestamp_ms).encode(),
        "melisma.error.attempts": b"2",
    }
    assert "broken" in message
    assert "5ec2e7" not in message
    assert isinstance(failed.event, JobFailed)
    assert (failed.event.stage, failed.event.try_number) == ("trial", 2)
    assert rig.written() == {
        "import-requested": 1,
        "trial.retry.5s": 1,
        "step-failed": 2,
        "trial.dlq": 1,
        "job-failed": 1,
    }
    assert rig.committed("trial") == 2


def test_a_reject_is_never_tried_again(rig: Rig) -> None:
    rig.request("a", "reject")
    with rig.host():
        (failed,) = rig.wait_for("job-failed")
    assert isinstance(failed.event, JobFailed)
    assert failed.event.code == "no_audio"
    assert (failed.event.callback_id, failed.event.version) == ("cbk_a", 1)
    assert failed.event.message == (
        "trial: 'song.aiff' holds no stream (found: data); upload another file"
    )
    assert rig.written() == {
        "import-requested": 1,
        "step-failed": 1,
        "trial.dlq": 1,
        "job-failed": 1,
    }


def test_a_retry_waits_in_its_tier_and_then_succeeds(rig: Rig) -> None:
    asked = rig.request("a", "later")
    with rig.host() as host:
        rig.wait_for_records("trial.retry.30s")
        # Other work of the stage goes on meanwhile.
        rig.request("b")
        rig.wait_for("separated")
        rig.ahead_ms = 31_000
        host.wake()
        made = rig.wait_for("separated", 2)
    assert made[-1].id == event_id(asked.id, "trial", "separated", "attempt 1")
    assert rig.written() == {
        "import-requested": 2,
        "trial.retry.30s": 1,
        "step-failed": 1,
        "separated": 2,
    }


def test_what_falls_due_is_dropped_when_its_job_was_canceled_meanwhile(rig: Rig) -> None:
    rig.request("a", "later")
    with rig.host():
        rig.wait_for_records("trial.retry.30s")
        until(lambda: rig.committed("trial") == 1, "the first try's offset")
    # A host that runs may be told after the retry fell due; one that starts is told first.
    rig.cancel("a")
    rig.ahead_ms = 31_000
    with rig.host():
        until(lambda: rig.committed("trial") == 2, "the offset")
    assert "separated" not in rig.written()


def test_a_hang_is_killed_at_the_hard_limit(tmp_path: Path) -> None:
    rig = Rig(tmp_path, stages.hasty)
    rig.request("a")
    with rig.host():
        (failed,) = rig.wait_for("job-failed")
    assert isinstance(failed.event, JobFailed)
    assert failed.event.code == "too_slow"
    assert len(rig.records("hasty.dlq")) == 1
    rig.log.close()


def test_an_undeclared_output_is_a_crash(tmp_path: Path) -> None:
    rig = Rig(tmp_path, stages.wrong)
    rig.request("a")
    with rig.host():
        rig.wait_for("job-failed")
    (dead,) = rig.records("wrong.dlq")
    assert b"declares that it produces ImportRequested" in headers(dead)["melisma.error.message"]
    assert rig.records("separated") == []
    rig.log.close()


def test_output_of_the_child_does_not_disturb(rig: Rig) -> None:
    rig.request("a", "spam")
    rig.request("b")
    with rig.host():
        rig.wait_for("separated", 2)
    assert rig.written() == {"import-requested": 2, "separated": 2}


@pytest.mark.parametrize(
    "value", [b"", b"\x00", b"nonsense", b"\x00\x00\x00\x00\x01x", b"\x00" * 2_000_000]
)
def test_poison_goes_to_the_dead_letters_and_the_partition_goes_on(rig: Rig, value: bytes) -> None:
    odd = (("ce_id", b"\xff"), ("twice", b"1"), ("twice", b"2"))
    rig.write_bytes("import-requested", value, key=b"track-a", headers=odd)
    rig.request("a")
    with rig.host():
        (made,) = rig.wait_for("separated")
        until(lambda: rig.committed("trial") == 2, "both offsets")
    assert isinstance(made.event, Separated)
    (dead,) = rig.records("trial.dlq")
    assert (dead.key, dead.value) == (b"track-a", value)
    assert dead.headers[:3] == odd
    assert headers(dead)["melisma.error.code"] == b"poison"
    assert not decodes(rig.codec, rig.records("import-requested")[0])
    assert rig.written() == {"import-requested": 2, "separated": 1, "trial.dlq": 1}


def test_poison_among_the_waiting(rig: Rig) -> None:
    rig.write_bytes("trial.retry.5s", b"x", key=b"k", headers=(("melisma.retry.try", b"many"),))
    with rig.host():
        until(lambda: rig.records("trial.dlq"), "the dead letter")
    (dead,) = rig.records("trial.dlq")
    assert headers(dead)["melisma.error.topic"] == b"trial.retry.5s"


def counted(ending: str) -> float:
    labels = {"stage": "trial", "ending": ending}
    return REGISTRY.get_sample_value("melisma_stage_records_total", labels) or 0.0


def test_a_stale_attempt_is_dropped_and_counted(rig: Rig) -> None:
    before = counted("stale")
    rig.request("a", attempt=1)
    rig.retried("a", 2)
    rig.request("a", attempt=2)
    with rig.host():
        rig.wait_for("separated")
        until(lambda: rig.committed("trial") == 2, "both offsets")
    (made,) = rig.events("separated")
    assert isinstance(made.event, Separated)
    assert made.event.work.attempt == 2
    assert counted("stale") == before + 1


def test_a_canceled_job_is_not_begun_but_its_next_attempt_is(rig: Rig) -> None:
    rig.cancel("a", 1)
    rig.request("a", attempt=1)
    rig.request("a", attempt=2)
    with rig.host():
        (made,) = rig.wait_for("separated")
        until(lambda: rig.committed("trial") == 2, "both offsets")
    assert isinstance(made.event, Separated)
    assert made.event.work.attempt == 2


def test_work_of_one_partition_keeps_its_order(rig: Rig) -> None:
    for number in range(5):
        rig.request("a", attempt=number + 1)
    with rig.host():
        made = rig.wait_for("separated", 5)
    assert [m.event.work.attempt for m in made if isinstance(m.event, Separated)] == [1, 2, 3, 4, 5]
