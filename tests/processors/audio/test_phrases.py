from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from processors.audio.activity import Activity
from processors.audio.phrases import phrases


def activity(frames: int, *sung: tuple[int, int]) -> Activity:
    active = np.zeros(frames, np.bool_)
    for start, end in sung:
        active[start:end] = True
    return Activity(active.astype(np.float32), active)


def test_a_phrase_ends_where_the_singer_breathes_and_keeps_a_margin() -> None:
    found = phrases(activity(1000, (100, 200), (220, 300), (400, 500)), 10_000)
    assert [(p.start_ms, p.end_ms) for p in found] == [(850, 3150), (3850, 5150)]


def test_a_phrase_without_a_breath_is_cut_where_it_is_quietest() -> None:
    sung = activity(1500, (0, 1500))
    sung.rms[700:720] = 0.2
    first, second = phrases(sung, 15_000)
    assert 6900 <= first.end_ms <= 7300
    assert 6900 <= second.start_ms <= 7300


def test_phrases_too_short_for_a_word_are_dropped() -> None:
    assert phrases(activity(1000, (100, 110)), 10_000) == []


@given(
    st.lists(st.tuples(st.integers(0, 3000), st.integers(1, 1500)), max_size=8),
    st.integers(10, 30_000),
)
def test_phrases_are_in_order_inside_the_song(spans: list[tuple[int, int]], song_ms: int) -> None:
    heard = activity(-(-song_ms // 10), *((start, start + length) for start, length in spans))
    latest = 0
    for phrase in phrases(heard, song_ms):
        assert latest <= phrase.start_ms < phrase.end_ms <= song_ms
        latest = phrase.end_ms
