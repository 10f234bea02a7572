"""Workers that know nothing of each other keep the provider's limit together."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from processors.generation.tickets import Tickets
from schemas.providers import PROFILES, SUNOAPI
from tests.processors.generation.parts import MemoryStore
from tests.processors.generation.world import most_in_a_window


@given(st.integers(1, 6), st.integers(0, 2**32), st.sampled_from(sorted(PROFILES)))
def test_never_more_than_the_limit_in_any_window(workers: int, seed: int, name: str) -> None:
    rng, store, sent = random.Random(seed), MemoryStore(), []
    clocks = [rng.uniform(1e9, 1e9 + 5000) for _ in range(workers)]
    profile = PROFILES[name]

    def worker(number: int) -> Tickets:
        def sleep(seconds: float) -> None:
            clocks[number] += seconds * 1000

        return Tickets(store.as_store(), "a", profile, lambda: round(clocks[number]), sleep)

    tickets = [worker(number) for number in range(workers)]
    for _ in range(80):
        number = min(range(workers), key=clocks.__getitem__)
        if tickets[number].wait():
            sent.append(clocks[number] / 1000 + rng.uniform(0, 1.0))  # time on the way
        clocks[number] += rng.choice([1.0, 40.0, 900.0])
    assert most_in_a_window(sent, profile.window_s) <= profile.calls


def test_used_tickets_are_cleared_away() -> None:
    store, now = MemoryStore(), [1_000_000]

    def sleep(seconds: float) -> None:
        now[0] += round(seconds * 1000) + 1

    tickets = Tickets(store.as_store(), "a", SUNOAPI, lambda: now[0], sleep)
    for _ in range(20):
        assert tickets.wait()
        now[0] += 30_000
    assert len(store.objects) < 8
