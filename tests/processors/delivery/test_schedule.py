"""When deliveries are tried again, and when endpoints are spared."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.delivery.health import Health, HealthPolicy
from processors.delivery.schedule import STANDARD_S, Schedule, retry_after_s

NOW = 1_767_225_600_000  # Thu, 01 Jan 2026 00:00:00 GMT
POLICY = HealthPolicy()


def test_the_standard_schedule_lasts_more_than_a_day() -> None:
    assert list(STANDARD_S) == [5.0, 300.0, 1800.0, 7200.0, 18_000.0, 36_000.0, 36_000.0]
    assert sum(STANDARD_S) / 3600 == pytest.approx(27.6, abs=0.1)


@given(attempt=st.integers(1, 7), chance=st.floats(0, 1, exclude_max=True))
def test_pauses_are_spread_by_a_fifth(attempt: int, chance: float) -> None:
    due = Schedule().due_ms(attempt, NOW, chance)
    assert due is not None
    pause_s = STANDARD_S[attempt - 1]
    assert 0.8 * pause_s * 1000 - 1 <= due - NOW <= 1.2 * pause_s * 1000 + 1


def test_the_tries_end() -> None:
    assert Schedule().due_ms(8, NOW, 0.5) is None


def test_a_retry_after_only_makes_it_later() -> None:
    assert Schedule().due_ms(1, NOW, 0.5, retry_after_s=60) == NOW + 60_000
    assert Schedule().due_ms(2, NOW, 0.5, retry_after_s=60) == NOW + 300_000


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7.0),
        ("Thu, 01 Jan 2026 00:01:00 GMT", 60.0),
        ("Wed, 31 Dec 2025 00:00:00 GMT", 0.0),
        ("999999999999999999999", 36_000.0),
        ("Thu, 01 Jan 9999 00:00:00 GMT", 36_000.0),
        ("", None),
        (None, None),
        ("-1", None),
        ("soon", None),
        ("١٢", None),
        ("nan", None),
    ],
)
def test_retry_after_is_read_as_http_has_it(header: str | None, seconds: float | None) -> None:
    assert retry_after_s(header, NOW) == seconds


@given(st.text())
def test_no_retry_after_is_dangerous(header: str) -> None:
    found = retry_after_s(header, NOW)
    assert found is None or 0 <= found <= 36_000


def test_a_breaker_opens_doubles_and_closes() -> None:
    health, now = Health(), NOW
    for _ in range(POLICY.failures):
        assert health.permits(POLICY, now, 0, 8)
        health = health.failed(POLICY, now, None)
    assert not health.permits(POLICY, now, 0, 8)
    pauses = []
    for _ in range(8):
        pauses.append(health.closed_until_ms - now)
        now = health.closed_until_ms
        assert health.permits(POLICY, now, 0, 8)  # one probe
        assert not health.permits(POLICY, now, 1, 8)
        health = health.failed(POLICY, now, None)
    assert pauses == [5_000, 10_000, 20_000, 40_000, 80_000, 160_000, 300_000, 300_000]
    well = health.succeeded()
    assert (well.failures, well.failing_since_ms, well.closed_until_ms) == (0, 0, 0)


def test_a_receiver_that_asks_for_a_pause_gets_it_at_once() -> None:
    health = Health().failed(POLICY, NOW, 30.0)
    assert not health.permits(POLICY, NOW + 29_999, 0, 8)
    assert health.permits(POLICY, NOW + 30_000, 0, 8)


def test_a_receiver_that_hangs_holds_few_places_and_earns_them_back() -> None:
    health = Health()
    assert health.window == 4
    health = health.failed(POLICY, NOW, None).failed(POLICY, NOW, None)
    assert health.window == 1
    for _ in range(6):
        health = health.succeeded()
    assert health.permits(POLICY, NOW, 31, 32)
    assert not health.permits(POLICY, NOW, 32, 32)


def test_days_of_failures_are_hopeless_and_one_success_is_not() -> None:
    health = Health().failed(POLICY, NOW, None)
    assert not health.hopeless(POLICY, NOW + POLICY.disable_ms - 1)
    assert health.hopeless(POLICY, NOW + POLICY.disable_ms)
    assert not health.succeeded().hopeless(POLICY, NOW + POLICY.disable_ms)
