from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.runtime.control import Control, Verdicts
from schemas.events import Event, JobCanceled, JobRetried
from tests.processors.runtime import stages
from tests.processors.runtime.rig import Rig, until

jobs = st.sampled_from(["a", "b"])
attempts = st.integers(1, 4)
said = st.one_of(
    st.builds(JobCanceled, job_id=jobs, track_id=st.just("t"), attempt=attempts),
    st.builds(JobRetried, job_id=jobs, track_id=st.just("t"), attempt=attempts),
)


def fold(events: list[Event]) -> Verdicts:
    verdicts = Verdicts()
    for event in events:
        verdicts.add(event)
    return verdicts


@given(st.lists(said), st.randoms())
def test_order_and_duplicates_do_not_matter(events: list[Event], random: object) -> None:
    shuffled = events + events[: len(events) // 2]
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert fold(shuffled) == fold(events)


@given(st.lists(said), jobs, attempts)
def test_what_is_canceled_and_what_is_stale(events: list[Event], job: str, attempt: int) -> None:
    verdicts = fold(events)
    mine = [e for e in events if isinstance(e, JobCanceled | JobRetried) and e.job_id == job]
    assert verdicts.is_canceled(job, attempt) == any(
        isinstance(e, JobCanceled) and e.attempt >= attempt for e in mine
    )
    assert verdicts.is_stale(job, attempt) == any(
        isinstance(e, JobRetried) and e.attempt > attempt for e in mine
    )


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    rig = Rig(tmp_path, stages.trial)
    yield rig
    rig.log.close()


def test_the_topics_are_read_whole_and_followed(rig: Rig) -> None:
    rig.cancel("old")
    rig.write_bytes("job-canceled", b"poison", key=b"x")
    control = Control(rig.log, rig.codec)
    heard: list[bool] = []
    control.listen(lambda: heard.append(True))
    control.start()
    try:
        until(lambda: control.known, "what was said before")
        assert control.is_canceled("old", 1)
        assert not control.is_canceled("new", 1)
        heard.clear()
        rig.cancel("new")
        until(lambda: control.is_canceled("new", 1), "what is said now")
        until(lambda: heard, "the call")
        assert control.alive
    finally:
        control.stop()
    assert not control.alive
