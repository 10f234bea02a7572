"""What is owed is a fold: any order, any repetition, any successor gives the same."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from processors.delivery.owed import Partition, name_of
from schemas.events import WebhookAttempted
from schemas.webhooks import order

OUTCOMES = ("owed", "failed", "delivered", "exhausted", "dropped")
EVENTS = st.builds(
    lambda endpoint, message, round_, attempt, outcome: WebhookAttempted(
        endpoint_id=f"whk_{endpoint}",
        notification_id=f"msg_{message}",
        track_id="",
        round=round_,
        attempt=attempt,
        outcome=outcome,
        body="{}",
    ),
    st.integers(0, 2),
    st.integers(0, 2),
    st.integers(0, 1),
    st.integers(0, 3),
    st.sampled_from(OUTCOMES),
)


def fold(events: list[WebhookAttempted], first: int = 0) -> Partition:
    partition = Partition(position=first)
    for offset, event in enumerate(events, start=first):
        partition.read(event, offset, "")
    return partition


def live(partition: Partition) -> dict[object, tuple[int, int, int]]:
    return {name: order(each.event) for name, each in partition.live.items()}


@given(st.lists(EVENTS, max_size=30), st.randoms(use_true_random=False))
def test_the_newest_word_on_a_delivery_holds_in_any_order(
    events: list[WebhookAttempted], random: object
) -> None:
    newest: dict[object, WebhookAttempted] = {}
    for event in events:
        name = name_of(event)
        if name not in newest or order(event) > order(newest[name]):
            newest[name] = event
    wanted = {
        name: order(event) for name, event in newest.items() if event.outcome in ("owed", "failed")
    }
    assert live(fold(events)) == wanted
    shuffled = [*events, *events]
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert live(fold(shuffled)) == wanted


@given(st.lists(EVENTS, max_size=30))
def test_a_successor_at_the_low_water_mark_owes_the_same(events: list[WebhookAttempted]) -> None:
    partition = fold(events)
    mark = partition.low_water()
    assert 0 <= mark <= len(events)
    successor = fold(events[mark:], first=mark)
    assert live(partition).items() <= live(successor).items()
    # What it owes besides was said behind the mark: it is done twice, never forgotten.
    assert successor.position == partition.position


@given(st.lists(EVENTS, min_size=1, max_size=20))
def test_what_was_written_here_counts_before_it_is_read(events: list[WebhookAttempted]) -> None:
    ahead, behind = Partition(), fold(events)
    for event in events:
        ahead.wrote(event)
    assert live(ahead) == live(behind)
    for offset, event in enumerate(events):
        ahead.read(event, offset, "")
    assert live(ahead) == live(behind)
    assert ahead.low_water() == behind.low_water()


def test_a_delivery_that_waits_far_back_is_written_again_and_frees_the_mark() -> None:
    waits = WebhookAttempted(
        endpoint_id="whk_slow", notification_id="msg_1", track_id="", outcome="failed", attempt=2
    )
    done = replace(waits, endpoint_id="whk_quick", outcome="delivered")
    partition = fold([waits, *(replace(done, notification_id=f"m{n}") for n in range(20_001))])
    assert partition.low_water() == 0
    assert partition.stragglers() == [waits]
    partition.read(waits, partition.position, "")
    assert partition.stragglers() == []
    assert partition.low_water() == 20_002
