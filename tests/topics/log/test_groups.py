"""Who should own what, as plain data."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from topics.log.embedded.groups import share, valid_position

TOPICS = {"a": [1, 2, 3, 4], "b": [5], "c": [6], "d": [7, 8, 9]}

subscriptions = st.dictionaries(
    st.integers(1, 9), st.sets(st.sampled_from(sorted(TOPICS))), max_size=5
)


@settings(derandomize=True)
@given(subscriptions, st.dictionaries(st.integers(1, 9), st.integers(1, 9)))
def test_shares_are_whole_and_even(
    subscribed: dict[int, set[str]], holders: dict[int, int]
) -> None:
    shares = share(subscribed, TOPICS, holders)
    for topic, partitions in TOPICS.items():
        members = [m for m, topics in subscribed.items() if topic in topics]
        assert all((p in shares) == bool(members) for p in partitions)
        assert all(topic in subscribed[shares[p]] for p in partitions if p in shares)
        each = [sum(shares.get(p) == m for p in partitions) for m in members]
        assert not each or max(each) - min(each) <= 1


@settings(derandomize=True)
@given(subscriptions, st.integers(1, 9))
def test_who_stays_keeps_what_it_can(subscribed: dict[int, set[str]], leaver: int) -> None:
    before = share(subscribed, TOPICS, {})
    rest = {m: topics for m, topics in subscribed.items() if m != leaver}
    after = share(rest, TOPICS, before)
    for topic, partitions in TOPICS.items():
        for member in (m for m, topics in rest.items() if topic in topics):
            kept = sum(before[p] == member == after[p] for p in partitions)
            held = sum(before[p] == member for p in partitions)
            now = sum(after[p] == member for p in partitions)
            assert kept == min(held, now)


def test_many_small_topics_spread_over_the_members() -> None:
    topics = {f"t{n}": [n] for n in range(12)}
    shares = share({1: set(topics), 2: set(topics), 3: set(topics)}, topics, {})
    assert set(Counter(shares.values()).values()) == {4}


def test_positions_outside_the_log_start_at_its_earliest_record() -> None:
    assert [valid_position(w, 3, 7) for w in (None, 2, 3, 7, 8)] == [3, 3, 3, 7, 3]
