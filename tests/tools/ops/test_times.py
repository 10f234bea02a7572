"""Times and rates as people type them."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tools.ops.times import age, instant_ms, paced, rate_per_second, rfc3339, shown

NOW_MS = 1_767_225_600_000  # 2026-01-01T00:00:00Z


@pytest.mark.parametrize(
    ("text", "before_ms"),
    [("90s", 90_000), ("15m", 900_000), ("1.5h", 5_400_000), ("7d", 604_800_000)],
)
def test_an_age_is_before_now(text: str, before_ms: int) -> None:
    assert instant_ms(text, NOW_MS) == NOW_MS - before_ms


@pytest.mark.parametrize(
    "text",
    ["2026-01-01", "2026-01-01T00:00", "2026-01-01T00:00:00Z", "2026-01-01T03:00:00+03:00"],
)
def test_a_time_without_offset_is_utc(text: str) -> None:
    assert instant_ms(text, 0) == NOW_MS


@settings(deadline=None)
@given(st.integers(0, 4_000_000_000_000))
def test_what_programs_are_shown_reads_back(ms: int) -> None:
    assert instant_ms(rfc3339(ms), 0) == ms
    assert instant_ms(shown(ms), 0) == ms // 1000 * 1000


@pytest.mark.parametrize("text", ["", "soon", "5x", "-3h", "2026-13-01", "12:00"])
def test_what_is_no_time_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="15m"):
        instant_ms(text, NOW_MS)


@pytest.mark.parametrize(
    ("text", "rate"), [("5", 5), ("5/s", 5), ("0.5", 0.5), ("300/m", 5), ("18000 / h", 5)]
)
def test_a_rate_is_by_the_second(text: str, rate: float) -> None:
    assert rate_per_second(text) == rate


@pytest.mark.parametrize("text", ["0", "-1", "fast", "5/d", ""])
def test_what_is_no_rate_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="5/s"):
        rate_per_second(text)


@pytest.mark.parametrize(
    ("ms", "text"), [(-5, "0s"), (59_999, "59s"), (60_000, "1m"), (7_300_000, "2h"), (9e8, "10d")]
)
def test_an_age_is_in_the_largest_unit(ms: int, text: str) -> None:
    assert age(int(ms)) == text


class Time:
    """A monotonic clock that only sleeping and working move."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def clock(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.now_s += seconds


@settings(deadline=None)
@given(
    work_s=st.lists(st.floats(0, 3), min_size=1, max_size=20),
    per_second=st.floats(0.1, 50),
)
def test_no_two_items_are_closer_than_the_rate_allows(
    work_s: list[float], per_second: float
) -> None:
    time = Time()
    came = []
    for seconds in paced(work_s, per_second, clock=time.clock, sleep=time.sleep):
        came.append(time.now_s)
        time.now_s += seconds
    assert came[0] == 100.0
    gaps = [later - earlier for earlier, later in itertools.pairwise(came)]
    assert all(gap >= 1 / per_second - 1e-9 for gap in gaps)
    # and nobody waits longer than that where the work itself is quick
    quick = [gap for gap, took in zip(gaps, work_s, strict=False) if took < 1 / per_second]
    assert all(gap <= 1 / per_second + 1e-9 for gap in quick)


def test_without_a_rate_nobody_waits() -> None:
    time = Time()
    assert list(paced("abc", None, clock=time.clock, sleep=time.sleep)) == ["a", "b", "c"]
    assert time.now_s == 100.0
