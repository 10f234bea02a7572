"""Token buckets: never more than the quota, never less than the rate."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.access import buckets
from gateway.access.buckets import Buckets


class Clock:
    def __init__(self) -> None:
        self.s = 0.0

    def __call__(self) -> float:
        return self.s


def test_a_quota_is_spent_and_comes_back() -> None:
    clock = Clock()
    made = Buckets("default", 3, 60, clock_s=clock)
    assert [made.take("a").left for _ in range(3)] == [2, 1, 0]
    spent = made.take("a")
    assert (spent.retry_after_s, spent.left, spent.reset_s) == (20, 0, 60)
    assert made.take("b").retry_after_s == 0
    clock.s += 19.9
    assert made.take("a").retry_after_s == 1
    clock.s += 0.2
    assert made.take("a").retry_after_s == 0
    clock.s += 1000
    assert made.take("a").left == 2


def test_the_headers_are_the_draft_s() -> None:
    made = Buckets("default", 600, 60, clock_s=Clock())
    made.take("a")
    assert made.take("a").headers() == [
        (b"ratelimit-policy", b'"default";q=600;w=60'),
        (b"ratelimit", b'"default";r=598;t=1'),
    ]


def test_looking_takes_nothing() -> None:
    made = Buckets("default", 1, 10, clock_s=Clock())
    for _ in range(3):
        assert made.take("a", 0).retry_after_s == 0
    made.take("a")
    assert made.take("a", 0).retry_after_s == 10


def test_a_clock_set_back_gives_and_takes_nothing() -> None:
    clock = Clock()
    clock.s = 100
    made = Buckets("default", 2, 10, clock_s=clock)
    made.take("a")
    clock.s = 0
    assert made.take("a").left == 0
    assert made.take("a").retry_after_s > 0


def test_full_buckets_are_thrown_away() -> None:
    clock = Clock()
    made = Buckets("default", 5, 10, clock_s=clock)
    for number in range(buckets.MOST_KEPT):
        made.take(str(number))
    clock.s += 11
    made.take("late")
    assert len(made._buckets) == 1


@given(
    quota=st.integers(1, 50),
    window_s=st.integers(1, 120),
    pauses=st.lists(st.floats(0, 30), max_size=200),
)
def test_no_window_sees_more_than_the_quota_and_its_refill(
    quota: int, window_s: int, pauses: list[float]
) -> None:
    clock = Clock()
    made = Buckets("default", quota, window_s, clock_s=clock)
    served: list[float] = []
    for pause in pauses:
        clock.s += pause
        standing = made.take("a")
        if standing.retry_after_s == 0:
            served.append(clock.s)
        else:
            later = Buckets("default", quota, window_s, clock_s=clock)
            assert 0 < standing.retry_after_s <= window_s
            assert later.take("a").retry_after_s == 0
    for first, begin in enumerate(served):
        for last, end in enumerate(served[first:], start=first):
            assert last - first + 1 <= quota + (end - begin) * quota / window_s + 1e-6
