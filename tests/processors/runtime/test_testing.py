"""What stage authors call: declaration, task, environment."""

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from processors.runtime import Fetched, Reject, Retry, Sla, Task, find, stage
from processors.runtime.declaration import imported
from processors.runtime.testing import StageEnvironment
from schemas.events import ImportRequested, Separated, Work
from tests.processors.runtime import stages


def asked(do: str = "work", **options: str) -> ImportRequested:
    work = Work(job_id="j", track_id="t", options={"do": do, **options})
    return ImportRequested(work=work)


def a_stage(handler: Any) -> Any:
    return stage(
        name="probe", revision=1, consumes=(ImportRequested,), produces=(Separated,), sla=Sla(1)
    )(handler)


def test_a_handler_runs_without_log_or_child(tmp_path: Path) -> None:
    ran = StageEnvironment(tmp_path).run(stages.trial, asked())
    assert isinstance(ran.event, Separated)
    assert [(p.share, p.note) for p in ran.progress] == [(0.5, "half")]
    assert (ran.length_s, ran.waited) == (None, False)


def test_what_it_raises_comes_through(tmp_path: Path) -> None:
    environment = StageEnvironment(tmp_path)
    with pytest.raises(Reject) as reject:
        environment.run(stages.trial, asked("reject"))
    assert reject.value.code == "no_audio"
    with pytest.raises(Retry) as retry:
        environment.run(stages.trial, asked("later"))
    assert retry.value.after_s == 20
    assert environment.run(stages.trial, asked("later"), try_number=2).events
    with pytest.raises(TypeError, match="declares that it produces ImportRequested"):
        environment.run(stages.wrong, asked())
    with pytest.raises(TypeError, match="does not consume Separated"):
        environment.run(stages.trial, Separated(work=asked().work))


def test_fetch_checks_the_digest(tmp_path: Path) -> None:
    environment = StageEnvironment(tmp_path)
    artifact = environment.put("source", b"bytes", "audio/wav", key="uploads/default/u1")
    fetched: list[Fetched] = []

    def handler(event: ImportRequested, task: Task) -> Separated:
        assert event.work.lyrics is not None
        fetched.append(task.fetch(event.work.lyrics))
        assert fetched[-1].path.read_bytes() == b"bytes"
        assert task.folder in fetched[-1].path.parents
        return Separated(work=event.work)

    probe = a_stage(handler)
    digest = hashlib.sha256(b"bytes").hexdigest()
    for sha256 in (digest, ""):
        given = replace(artifact, sha256=sha256)
        environment.run(probe, ImportRequested(work=replace(asked().work, lyrics=given)))
        assert (fetched[-1].sha256, fetched[-1].bytes) == (digest, 5)
    wrong = replace(artifact, sha256="00" * 32)
    with pytest.raises(Reject) as reject:
        environment.run(probe, ImportRequested(work=replace(asked().work, lyrics=wrong)))
    assert reject.value.code == "checksum_mismatch"
    environment.store.delete(artifact.uri)
    with pytest.raises(Reject) as reject:
        environment.run(probe, ImportRequested(work=replace(asked().work, lyrics=artifact)))
    assert reject.value.code == "artifact_missing"


def test_results_are_reused_unless_forced(tmp_path: Path) -> None:
    environment = StageEnvironment(tmp_path)
    event = asked("stored", count=str(tmp_path / "count"))
    assert [environment.run(stages.trial, event).event.reused for _ in range(2)] == [False, True]
    forced = replace(event, work=replace(event.work, force=True))
    assert [environment.run(stages.trial, forced).event.reused for _ in range(2)] == [False, True]
    assert (tmp_path / "count").read_text().splitlines() == ["made", "made"]


def test_shares_are_shares(tmp_path: Path) -> None:
    def handler(event: ImportRequested, task: Task) -> Separated:
        task.sized(-1)
        task.progress(1.5)
        task.progress(-1)
        assert task.elapsed() >= 0
        return Separated(work=event.work)

    ran = StageEnvironment(tmp_path).run(a_stage(handler), asked())
    assert [p.share for p in ran.progress] == [1.0, 0.0]
    assert ran.length_s == 0.0


def test_a_stage_is_found_by_its_name_and_by_its_origin() -> None:
    assert imported(stages.trial.origin) is stages.trial
    with pytest.raises(LookupError, match="no stage 'nothing'"):
        find("nothing")
    with pytest.raises(LookupError, match="no stage name"):
        find("os.path")
    with pytest.raises(LookupError, match="is no stage"):
        imported("os:getpid")


def test_declarations_that_make_no_sense() -> None:
    with pytest.raises(ValueError, match="consumes nothing"):
        stage(name="x", revision=1, consumes=(), produces=(), sla=Sla(1))
    with pytest.raises(ValueError, match="from 1"):
        stage(name="x", revision=0, consumes=(ImportRequested,), produces=(), sla=Sla(1))
