from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from processors.alignment.windows import MARGIN, Heard, trusted, windows


def word(start: int, end: int, *, sung: float = 1.0, score: float = -2.0) -> Heard:
    return Heard(start, end, 5, sung, score)


LEFT_OUT = Heard(None, None, 5, 0.0, 0.0)


def song(lines: int) -> list[list[Heard]]:
    return [[word(300 * i + 50 * j, 300 * i + 50 * j + 50) for j in range(4)] for i in range(lines)]


def test_lines_that_agree_with_stem_and_neighbours_are_trusted() -> None:
    assert trusted(song(5)) == [True] * 5


def test_a_line_over_silence_is_derailed() -> None:
    lines = song(5)
    lines[2] = [word(600, 650), *(word(650 + 50 * j, 700 + 50 * j, sung=0.2) for j in range(3))]
    assert trusted(lines) == [True, True, False, True, True]


def test_a_line_stretched_or_squeezed_against_its_neighbours_is_derailed() -> None:
    lines = song(5)
    lines[1] = [word(300, 310), word(310, 320), word(320, 330), word(330, 340)]
    lines[3] = [word(900, 1000), word(1000, 1400), word(1400, 1500), word(1500, 1800)]
    assert trusted(lines) == [True, False, True, False, True]


def test_a_line_that_fits_much_worse_than_the_others_is_derailed() -> None:
    lines = song(5)
    lines[4] = [word(1200 + 50 * j, 1250 + 50 * j, score=-7.0) for j in range(4)]
    assert trusted(lines) == [True] * 4 + [False]


def test_a_line_left_out_is_not_trusted_and_may_be_anywhere_between_its_neighbours() -> None:
    lines = song(3)
    lines[1] = [LEFT_OUT] * 4
    trust = trusted(lines)
    assert trust == [True, False, True]
    found = windows(lines, trust, 0, 2000)
    assert (
        found[1] == [(lines_end - MARGIN, first + MARGIN) for lines_end, first in [(150, 650)]] * 4
    )


@st.composite
def heard_songs(draw: st.DrawFn) -> list[list[Heard]]:
    at = 0
    lines = []
    for _ in range(draw(st.integers(1, 6))):
        line = []
        for _ in range(draw(st.integers(1, 5))):
            at += draw(st.integers(0, 200))
            length = draw(st.integers(1, 100))
            if draw(st.integers(0, 9)) == 0:
                line.append(LEFT_OUT)
            else:
                share = draw(st.floats(0, 1))
                line.append(word(at, at + length, sung=share, score=draw(st.floats(-9, -1))))
            at += length
        lines.append(line)
    return lines


@given(heard_songs())
def test_windows_never_fall_and_hold_every_trusted_word(lines: list[list[Heard]]) -> None:
    trust = trusted(lines)
    found = windows(lines, trust, 0, 10_000)
    flat = [span for line in found for span in line]
    assert [len(line) for line in found] == [len(line) for line in lines]
    for (opens, closes), (next_opens, next_closes) in pairwise(flat):
        assert opens <= next_opens
        assert closes <= next_closes
    for line, row, ok in zip(lines, found, trust, strict=True):
        for heard, (opens, closes) in zip(line, row, strict=True):
            assert 0 <= opens <= closes <= 10_000
            if ok and heard.start is not None and heard.end is not None:
                assert opens <= heard.start
                assert heard.end <= closes
