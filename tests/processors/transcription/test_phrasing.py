from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from processors.audio.activity import Activity
from processors.transcription.phrasing import supported, to_lines
from processors.transcription.recognizer import RecognizedWord


def activity(frames: int, *sung: tuple[int, int]) -> Activity:
    active = np.zeros(frames, np.bool_)
    for start, end in sung:
        active[start:end] = True
    return Activity(active.astype(np.float32), active)


def word(text: str, start: int, end: int) -> RecognizedWord:
    return RecognizedWord(text, start, end, 0.5)


def test_text_over_silence_is_dropped_and_overlap_trimmed() -> None:
    heard = activity(1000, (0, 100))
    kept = supported([word("a", 0, 500), word("b", 400, 900), word("ghost", 3000, 4000)], heard)
    assert [(w.text, w.start_ms, w.end_ms) for w in kept] == [("a", 0, 500), ("b", 500, 900)]


def test_lines_end_at_pauses_and_long_ones_at_their_longest() -> None:
    line = [word(str(n), 200 * n, 200 * n + 180) for n in range(6)]
    later = [word(str(n), 1400 + 200 * n, 1580 + 200 * n) for n in range(6, 12)]
    far = [word("far", 9000, 9200)]
    found = to_lines([*line, *(w for w in later), *far])
    assert [len(one.words) for one in found] == [6, 6, 1]


@given(st.lists(st.tuples(st.integers(0, 900), st.integers(1, 400)), max_size=60))
def test_lines_keep_every_word_in_order_and_stay_short(gaps: list[tuple[int, int]]) -> None:
    words, at = [], 0
    for gap, length in gaps:
        words.append(word("la", at + gap, at + gap + length))
        at += gap + length
    lines = to_lines(words)
    assert [w for line in lines for w in line.words] == words
    assert all(1 <= len(line.words) <= 10 for line in lines)
