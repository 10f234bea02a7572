from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from processors.runtime import Sla
from processors.runtime.conversation import Progress
from processors.runtime.jobs import Job
from processors.runtime.progress import Course, first_sequence

JOB = Job("job", "track", "default", 1)


def course() -> Course:
    return Course(
        job=JOB,
        stage="trial",
        try_number=1,
        worker="here",
        sla=Sla(base_s=10, per_second=2),
        length_s=5,
        began_s=100.0,
        sequence=7,
        heartbeat_s=5.0,
    )


@given(st.floats(0, 1e4), st.floats(0, 1e4), st.floats(0, 1e4), st.floats(1, 10))
def test_limits_grow_with_the_material(
    base: float, factor: float, length: float, hard: float
) -> None:
    sla = Sla(base_s=base, per_second=factor, hard_factor=hard)
    assert sla.soft_s(length) == base + factor * length
    assert sla.soft_s(0) <= sla.soft_s(length) <= sla.hard_s(length)


@given(st.lists(st.tuples(st.floats(0, 3), st.floats(0, 1)), max_size=60))
def test_signs_are_ordered_and_not_too_many_nor_too_few(steps: list[tuple[float, float]]) -> None:
    life, now, signs, times = course(), 100.0, [], []
    for wait_s, share in steps:
        life.heard(Progress(share, ""))
        now += wait_s
        if sign := life.due(now):
            signs.append(sign)
            times.append(now)
        assert life.due(now) is None  # said once
    assert [sign.sequence for sign in signs] == list(range(7, 7 + len(signs)))
    assert [sign.state for sign in signs[:1]] in ([], ["started"])
    assert all(sign.state in ("progress", "heartbeat") for sign in signs[1:])
    assert all(later - earlier > 1 - 1e-9 for earlier, later in pairwise(times))
    if signs:
        assert life.due_at() <= times[-1] + 5.0


def test_a_silent_try_beats() -> None:
    life = course()
    assert [s.state for t in range(100, 112) if (s := life.due(t))] == [
        "started",
        "heartbeat",
        "heartbeat",
    ]


def test_waiting_for_another_does_not_count_against_the_limit() -> None:
    life = course()
    assert life.overdue_at() == 100 + 3 * 20
    life.waits(True, 110.0)
    assert life.overdue_at() is None
    assert life.elapsed_s(150.0) == 10.0
    life.waits(False, 160.0)
    assert life.overdue_at() == 100 + 3 * 20 + 50
    assert life.elapsed_s(161.0) == 11.0
    life.sized(0)
    assert life.overdue_at() == 100 + 3 * 10 + 50


@given(st.integers(0, 10**12), st.integers(0, 10**6), st.integers(0, 10**6))
def test_a_try_made_again_signs_behind_the_first(record_ms: int, first: int, lasted: int) -> None:
    began = first_sequence(record_ms, record_ms + first)
    again = first_sequence(record_ms, record_ms + first + lasted)
    most = 2 + lasted // 1000 * 1.2  # started, one a second, heartbeats
    assert began <= again
    if lasted >= 1000:
        assert again >= began + most
    assert first_sequence(record_ms, record_ms - 5000) == 0  # a clock that went back
