"""When to try again, and where a record waits until then. Pure decisions."""

from __future__ import annotations

from dataclasses import dataclass

from processors.runtime.outcomes import Crashed, Failure, Postponed, Rejected
from topics.catalog import RETRY_TIERS_MS


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How often a stage tries one input, and how long it waits in between."""

    initial_s: float = 5.0
    """Delay before the second try. Default 5 s: a restart of a dependency takes that long."""

    factor: float = 6.0
    """Each further delay is this times the one before. Default 6, the step between delay tiers."""

    maximum_s: float = 1800.0
    """No delay is longer. Default 30 min."""

    attempts: int = 4
    """Tries in all, the first included. Default 4: the last one 5.6 min after the first failed."""

    outage_attempts: int = 12
    """Tries in all while what failed is a store or a disk, and not the input. Default 12: the last
    one 4 h after the first, so that an evening's outage of S3 leaves jobs that wait, not failed."""

    non_retryable: tuple[str, ...] = ()
    """Codes and exception class names that end the job at the first try. Default none."""

    def __post_init__(self) -> None:
        if self.initial_s <= 0 or self.factor < 1 or self.maximum_s < self.initial_s:
            raise ValueError("retry policy: needs 0 < initial_s <= maximum_s and factor >= 1")
        if self.attempts < 1:
            raise ValueError("retry policy: attempts counts the first try, so it is at least 1")

    def delay_s(self, failed: int) -> float:
        """The delay after the ``failed``-th try (from 1) failed."""
        # factor ** n overflows a float long before anybody waits for it.
        delay = self.initial_s
        for _ in range(failed - 1):
            if delay >= self.maximum_s:
                break
            delay *= self.factor
        return min(delay, self.maximum_s)


@dataclass(frozen=True, slots=True)
class TryAgain:
    """Wait in the tier's topic, then try again."""

    tier: str
    delay_ms: int
    next_try: int


@dataclass(frozen=True, slots=True)
class GiveUp:
    """To the dead letters; the job fails."""

    tries: int


def decide(policy: RetryPolicy, failure: Failure, try_number: int) -> TryAgain | GiveUp:
    """What follows when try ``try_number`` (from 1) ended in ``failure``."""
    outage = isinstance(failure, Postponed) and failure.outage
    most = max(policy.attempts, policy.outage_attempts) if outage else policy.attempts
    if isinstance(failure, Rejected) or try_number >= most:
        return GiveUp(try_number)
    named = {failure.code} | ({failure.kind} if isinstance(failure, Crashed) else set())
    if named & set(policy.non_retryable):
        return GiveUp(try_number)
    delay_s = policy.delay_s(try_number)
    if isinstance(failure, Postponed):
        # A dependency that stays away is asked less and less often; a handler knows its own time.
        delay_s = max(failure.after_s, delay_s if outage else 0.0)
    tier, delay_ms = tier_of(delay_s * 1000)
    return TryAgain(tier, delay_ms, try_number + 1)


def tier_of(delay_ms: float) -> tuple[str, int]:
    """The shortest tier that waits at least ``delay_ms`` (the longest there is for more).

    The record waits for the tier's own delay, not for ``delay_ms``: all records of one tier fall
    due in the order they were written, so that none blocks an earlier one.
    """
    for tier, tier_ms in RETRY_TIERS_MS.items():
        if tier_ms >= delay_ms:
            return tier, tier_ms
    return list(RETRY_TIERS_MS.items())[-1]
