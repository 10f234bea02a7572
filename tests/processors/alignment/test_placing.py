from __future__ import annotations

import numpy as np
import pytest

from processors.alignment.aligner import LyricWord, Placement
from processors.alignment.placing import Spot, confidence, place
from processors.audio.activity import Activity

SONG = 10_000
ROOM = (0, SONG)


def activity(*sung: tuple[int, int]) -> Activity:
    active = np.zeros(SONG // 10, np.bool_)
    for start, end in sung:
        active[start // 10 : end // 10] = True
    return Activity(active.astype(np.float32), active)


def placed(
    texts: str, spots: dict[int, Spot], heard: Activity, lines: list[int] | None = None
) -> list[Placement]:
    words = [LyricWord(text) for text in texts.split()]
    unsayable = {n: "it holds no letters or digits" for n, w in enumerate(words) if w.text == "…"}
    rooms = dict.fromkeys(range(len(words)), ROOM)
    return place(words, spots, unsayable, rooms, lines or [0] * len(words), heard)


def test_a_heard_word_keeps_its_place() -> None:
    (found,) = placed("hello", {0: Spot(500, 900, -2.0)}, activity((500, 900)))
    assert (found.start_ms, found.end_ms, found.src, found.reason) == (500, 900, "aligned", None)
    assert found.confidence == pytest.approx(confidence(-2.0, 1.0), abs=1e-3)


def test_a_word_over_silence_is_not_believed() -> None:
    (found,) = placed("hello", {0: Spot(500, 900, -2.0)}, activity((2000, 3000)))
    assert (found.start_ms, found.end_ms, found.confidence) == (None, None, 0.0)
    assert found.reason


def test_an_unheard_word_shares_the_sung_time_of_its_neighbours() -> None:
    spots = {0: Spot(0, 400, -2.0), 3: Spot(1000, 1400, -2.0)}
    found = placed("one two three four", spots, activity((0, 1400)))
    assert [(p.start_ms, p.end_ms) for p in found] == [
        (0, 400),
        (400, 700),
        (700, 1000),
        (1000, 1400),
    ]
    assert [p.src for p in found] == ["aligned", "interpolated", "interpolated", "aligned"]
    assert found[1].confidence < found[0].confidence


@pytest.mark.parametrize(
    "heard",
    [
        pytest.param(activity((0, 400), (1000, 1400)), id="nobody sings in between"),
        pytest.param(activity((0, 1400)), id="punctuation is not sung"),
    ],
)
def test_no_time_is_made_up(heard: Activity) -> None:
    sung_between = bool(heard.active[50])
    spots = {0: Spot(0, 400, -2.0), 2: Spot(1000, 1400, -2.0)}
    found = placed("one … three" if sung_between else "one two three", spots, heard)
    assert found[1].start_ms is None
    assert found[1].reason


def test_a_line_that_was_not_heard_stays_unplaced_even_if_there_is_singing() -> None:
    spots = {0: Spot(0, 400, -2.0), 3: Spot(3000, 3400, -2.0)}
    found = placed("one two three four", spots, activity((0, 3400)), lines=[0, 1, 1, 2])
    assert [p.start_ms for p in found] == [0, None, None, 3000]


def test_locked_words_are_manual_and_close_their_neighbours_in() -> None:
    words = [LyricWord("one"), LyricWord("two", 400, 800, locked=True)]
    found = place(words, {0: Spot(0, 600, -2.0)}, {}, {0: (0, 400)}, [0, 0], activity((0, 900)))
    assert (found[0].start_ms, found[0].end_ms) == (0, 400)
    assert (found[1].start_ms, found[1].end_ms, found[1].src) == (400, 800, "manual")
    assert found[1].confidence == 1.0


def test_confidence_rises_with_fit_and_with_singing() -> None:
    assert 0 < confidence(-8, 1) < confidence(-4, 1) < confidence(-2, 1) < 1
    assert confidence(-2, 0.5) < confidence(-2, 1)
