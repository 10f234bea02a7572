"""The maths of CTC alignment on log-probabilities whose best path is known."""

from __future__ import annotations

from itertools import groupby, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processors.alignment import ctc
from processors.alignment.ctc import Emissions, Line, TokenSpan, align_tokens

BLANK = 0


def emissions(rows: list[int], tokens: int, sure: float = 0.9) -> Emissions:
    """A model that is sure of one token in each frame."""
    log_probs = np.full((len(rows), tokens), np.log((1 - sure) / (tokens - 1)), np.float32)
    log_probs[np.arange(len(rows)), rows] = np.log(sure)
    return Emissions(log_probs, BLANK, 40.0)


def one_line(*words: list[int]) -> list[Line]:
    return [list(enumerate(words))]


def test_words_lie_where_their_tokens_are_told() -> None:
    heard = emissions([0, 0, 1, 0, 2, 2, 0, 0, 3, 0], 5)
    spans = align_tokens(one_line([1, 2], [3]), heard)
    assert [(spans[n].first, spans[n].last) for n in (0, 1)] == [(2, 5), (8, 8)]
    assert spans[1].score == pytest.approx(np.log(0.9))


def test_two_equal_tokens_need_a_blank_between_them() -> None:
    heard = emissions([1, 1, 1, 0, 1, 1], 3)
    spans = align_tokens(one_line([1], [1]), heard)
    assert [(spans[n].first, spans[n].last) for n in (0, 1)] == [(0, 2), (4, 5)]
    # Also across the end of a line.
    apart: list[Line] = [[(0, [1])], [(1, [1])]]
    spans = align_tokens(apart, heard)
    assert [(spans[n].first, spans[n].last) for n in (0, 1)] == [(0, 2), (4, 5)]


def test_what_is_sung_between_lines_and_is_no_lyric_belongs_to_nobody() -> None:
    ad_lib = [4, 0, 4, 4, 0, 3]
    heard = emissions([1, 0, 2, 0, *ad_lib, 0, 3, 0, 2], 5)
    lines: list[Line] = [[(0, [1]), (1, [2])], [(2, [3]), (3, [2])]]
    spans = align_tokens(lines, heard)
    assert [(spans[n].first, spans[n].last) for n in range(4)] == [
        (0, 0),
        (2, 2),
        (11, 11),
        (13, 13),
    ]


def test_a_line_that_is_not_sung_is_left_out_and_its_neighbours_stay() -> None:
    heard = emissions([1, 0, 2, 0, 0, 0, 3, 0, 1, 0], 6)
    lines: list[Line] = [
        [(0, [1]), (1, [2])],
        [(2, [4, 5, 4]), (3, [5, 4, 5])],
        [(4, [3]), (5, [1])],
    ]
    spans = align_tokens(lines, heard)
    assert set(spans) == {0, 1, 4, 5}
    assert (spans[0].first, spans[5].last) == (0, 8)


def test_windows_hold_a_repeated_word_to_its_place() -> None:
    heard = emissions([1, 0, 0, 1, 0, 0, 1, 0], 3)
    free = align_tokens(one_line([1]), heard)
    late = align_tokens(one_line([1]), heard, [[(5, 7)]])
    assert late[0].first == 6
    assert free[0].score == pytest.approx(late[0].score)


def test_more_tokens_than_frames_have_no_place() -> None:
    heard = emissions([1, 2], 4)
    assert align_tokens(one_line([1, 2, 3, 1, 2, 3]), heard) == {}
    assert align_tokens([], heard) == {}
    assert align_tokens(one_line([1]), emissions([], 4)) == {}


def _collapsed(path: tuple[int, ...]) -> list[int]:
    return [token for token, _ in groupby(path) if token != BLANK]


@given(
    st.lists(st.integers(1, 2), min_size=1, max_size=3),
    st.integers(1, 6),
    st.integers(0, 2**32 - 1),
)
@settings(max_examples=60)
def test_no_other_path_that_spells_the_words_is_likelier(
    tokens: list[int], frames: int, seed: int
) -> None:
    raw = np.random.default_rng(seed).normal(size=(frames, 3))
    log_probs = (raw - np.log(np.exp(raw).sum(axis=1, keepdims=True))).astype(np.float32)
    heard = Emissions(log_probs, BLANK, 40.0)
    best = max(
        (
            (float(log_probs[np.arange(frames), path].sum()), path)
            for path in product(range(3), repeat=frames)
            if _collapsed(path) == tokens
        ),
        default=None,
    )
    spans = _without_gaps(tokens, heard)
    if best is None:
        assert spans == {}
        return
    _, path = best
    seen = [
        (group[0], group[-1])
        for token, group in (
            (token, list(at)) for token, at in groupby(range(frames), key=lambda t: path[t])
        )
        if token != BLANK
    ]
    assert [(spans[n].first, spans[n].last) for n in range(len(tokens))] == seen


def _without_gaps(tokens: list[int], heard: Emissions) -> dict[int, TokenSpan]:
    """Gaps as plain blanks and no line left out: textbook CTC, which can be tried exhaustively."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ctc, "_ANYTHING", np.inf)
        patch.setattr(ctc, "_LEFT_OUT_LEAST", np.inf)
        return align_tokens(one_line(*[[token] for token in tokens]), heard)
