import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.runtime import RetryPolicy
from processors.runtime.outcomes import (
    Crashed,
    Failure,
    Overdue,
    Postponed,
    Rejected,
    of_exception,
)
from processors.runtime.retry import GiveUp, TryAgain, decide, tier_of
from topics.artifacts.protocol import ArtifactError, StoreFull
from topics.catalog import RETRY_TIERS_MS

policies = st.builds(
    RetryPolicy,
    initial_s=st.floats(0.001, 1000),
    factor=st.floats(1, 1000),
    maximum_s=st.floats(1000, 1e6),
    attempts=st.integers(1, 50),
)
failures: st.SearchStrategy[Failure] = st.one_of(
    st.builds(Rejected, st.text(), st.text()),
    st.builds(Postponed, st.floats(-10, 1e6), st.text(), st.text(), st.booleans()),
    st.builds(Crashed, st.text(), st.text(), st.text()),
    st.builds(Overdue, st.floats(0, 1e6)),
)


@given(policies, failures, st.integers(1, 100))
def test_every_failure_is_decided(policy: RetryPolicy, failure: Failure, number: int) -> None:
    decision = decide(policy, failure, number)
    outage = isinstance(failure, Postponed) and failure.outage
    most = max(policy.attempts, policy.outage_attempts) if outage else policy.attempts
    if isinstance(failure, Rejected) or number >= most:
        assert decision == GiveUp(number)
    else:
        assert isinstance(decision, TryAgain)
        assert decision.next_try == number + 1
        assert RETRY_TIERS_MS[decision.tier] == decision.delay_ms
        if isinstance(failure, Postponed):
            assert decision.delay_ms >= min(failure.after_s * 1000, max(RETRY_TIERS_MS.values()))


@given(policies, st.integers(1, 500))
def test_delays_grow_up_to_the_maximum(policy: RetryPolicy, failed: int) -> None:
    now, later = policy.delay_s(failed), policy.delay_s(failed + 1)
    assert policy.initial_s <= now <= later <= policy.maximum_s
    assert later == pytest.approx(min(now * policy.factor, policy.maximum_s))


@given(st.floats(0, 1e9))
def test_a_tier_waits_long_enough_and_no_longer_than_needed(delay_ms: float) -> None:
    name, tier_ms = tier_of(delay_ms)
    assert RETRY_TIERS_MS[name] == tier_ms
    assert tier_ms >= min(delay_ms, max(RETRY_TIERS_MS.values()))
    assert all(other < delay_ms for other in RETRY_TIERS_MS.values() if other < tier_ms)


@pytest.mark.parametrize("named", ["crashed", "ZeroDivisionError"])
def test_what_is_not_retryable_ends_at_the_first_try(named: str) -> None:
    policy = RetryPolicy(non_retryable=(named,))
    assert decide(policy, of_exception(ZeroDivisionError()), 1) == GiveUp(1)
    assert isinstance(decide(policy, of_exception(MemoryError()), 1), TryAgain)


def test_a_store_that_is_away_for_hours_fails_no_job() -> None:
    policy = RetryPolicy()
    waited_ms, number = 0, 1
    while isinstance(
        decision := decide(policy, of_exception(ArtifactError("down")), number), TryAgain
    ):
        waited_ms += decision.delay_ms
        number = decision.next_try
    assert number == policy.outage_attempts
    assert waited_ms >= 3.5 * 3_600_000


def test_a_sick_store_is_no_crash() -> None:
    for error in (ArtifactError("down"), StoreFull("full"), OSError(28, "No space left")):
        assert isinstance(of_exception(error), Postponed)
    assert isinstance(of_exception(OSError(5, "I/O error")), Crashed)


@pytest.mark.parametrize(
    "fields", [{"initial_s": 0}, {"factor": 0.5}, {"attempts": 0}, {"maximum_s": 1}]
)
def test_policies_that_make_no_sense(fields: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="retry policy"):
        RetryPolicy(**fields)  # type: ignore[arg-type]
