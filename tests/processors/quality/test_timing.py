from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processors.audio.activity import Activity
from processors.quality.timing import offset_of


def sung(*spans: tuple[int, int], song_ms: int = 60_000) -> Activity:
    active = np.zeros(song_ms // 10, np.bool_)
    for start, end in spans:
        active[start // 10 : end // 10] = True
    return Activity(np.where(active, 0.2, 0.0).astype(np.float32), active)


SPANS = [(5_000, 8_000), (9_500, 13_000), (20_000, 22_000), (31_000, 38_000), (50_000, 52_500)]


@settings(max_examples=30, deadline=None)
@given(st.integers(-60, 60))
def test_a_shift_of_all_words_is_measured(steps: int) -> None:
    late = 50 * steps
    offset = offset_of([(a + late, b + late) for a, b in SPANS], sung(*SPANS))
    assert offset is not None
    assert offset.late_ms == late
    assert offset.gain == pytest.approx(1.0 - offset.agreement, abs=1e-6)


def test_words_in_their_place_have_no_shift() -> None:
    offset = offset_of(SPANS, sung(*SPANS))
    assert offset is not None
    assert (offset.late_ms, offset.gain) == (0, 0.0)


def test_a_song_without_pauses_tells_no_shift() -> None:
    offset = offset_of([(1_000, 59_000)], sung((0, 60_000)))
    assert offset is not None
    assert offset.gain < 0.1


def test_without_words_or_singing_there_is_nothing_to_measure() -> None:
    assert offset_of([], sung(*SPANS)) is None
    assert offset_of(SPANS, sung()) is None
