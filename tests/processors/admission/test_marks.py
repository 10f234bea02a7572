"""What a successor reads from the marks on is all that it needs."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from processors.admission.marks import Marks
from topics.log import TopicPartition

ENDS = [TopicPartition("ended", n) for n in range(2)]
RELEASES = TopicPartition("released", 0)

acts = st.lists(
    st.tuples(st.sampled_from(["ask", "release", "end", "noise"]), st.integers(0, 30)), max_size=80
)


@given(acts)
def test_from_the_marks_on_the_same_items_are_open(acts: list[tuple[str, int]]) -> None:
    marks = Marks({})
    asked = 0
    released: list[int] = []  # request's offset by the release's own
    ended: dict[TopicPartition, list[int | None]] = {tp: [] for tp in ENDS}
    open_, free = set[int](), set[int]()
    for what, number in acts:
        tp = ENDS[number % 2]
        if what == "ask":
            marks.asked(asked)
            open_.add(asked)
            free.add(asked)
            asked += 1
        elif what == "release" and free:
            item = sorted(free)[number % len(free)]
            free.discard(item)
            marks.saw(RELEASES, len(released))
            marks.told(item, RELEASES, len(released))
            released.append(item)
        elif what == "end" and open_ - free:
            item = sorted(open_ - free)[number % len(open_ - free)]
            open_.discard(item)
            marks.saw(tp, len(ended[tp]))
            marks.done(item, (tp, len(ended[tp])))
            ended[tp].append(item)
        elif what == "noise":
            marks.saw(tp, len(ended[tp]))
            ended[tp].append(None)
    found = marks.marks()
    again = set(range(marks.low_water(), asked))
    again -= {each for tp in ENDS for each in ended[tp][found.get(tp, 0) :] if each is not None}
    assert again == open_
    in_work = set(released[found.get(RELEASES, 0) :]) & again
    assert in_work == open_ - free
    assert marks.low_water() == min(open_, default=asked)


def test_without_open_items_nothing_is_read_again() -> None:
    marks = Marks({ENDS[0]: 7})
    marks.asked(3)
    marks.saw(ENDS[0], 9)
    marks.done(3, (ENDS[0], 9))
    assert marks.low_water() == 4
    assert marks.marks() == {ENDS[0]: 10}
