from hypothesis import given
from hypothesis import strategies as st

from processors.runtime.breaker import LIMIT, Breaker
from processors.runtime.outcomes import Crashed, Finished, Outcome, Overdue, Postponed, Rejected

CRASH = Crashed("crashed", "", "ValueError")
NO_EVIDENCE = (Rejected("a", "b"), Postponed(1, "a", "b"), Overdue(1))

tries = st.tuples(st.sampled_from("abcdefgh"), st.sampled_from([CRASH, Finished(()), *NO_EVIDENCE]))


@given(st.lists(tries))
def test_trips_on_distinct_crashes_since_the_last_success(
    history: list[tuple[str, Outcome]],
) -> None:
    breaker = Breaker()
    for name, outcome in history:
        breaker = breaker.after(name, outcome)
    successes = [i for i, (_, outcome) in enumerate(history) if isinstance(outcome, Finished)]
    since = history[successes[-1] + 1 :] if successes else history
    assert breaker.tripped == (len({name for name, o in since if o == CRASH}) >= LIMIT)


def test_one_hostile_file_does_not_trip_it() -> None:
    breaker = Breaker()
    for _ in range(100):
        breaker = breaker.after("the same", CRASH)
    assert not breaker.tripped
