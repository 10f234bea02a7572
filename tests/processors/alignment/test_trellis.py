from __future__ import annotations

from itertools import pairwise, product

import numpy as np
import numpy.typing as npt
from hypothesis import given, settings
from hypothesis import strategies as st

from processors.alignment.trellis import Chain, Floats, Ints, Scores, best_path


def fixed(scores: Floats) -> Scores:
    return lambda begin, end, low, high: scores[begin:end, low:high].copy()


def chain(
    optional: list[bool],
    frames: int,
    jumps: list[tuple[int, int]] | None = None,
    jump_cost: float = 0.0,
    opens: list[int] | None = None,
    closes: list[int] | None = None,
) -> Chain:
    return Chain(
        np.array(optional),
        np.array(opens or [0] * len(optional)),
        np.array(closes or [frames] * len(optional)),
        np.array(jumps or [], np.int64).reshape(-1, 2),
        jump_cost,
    )


def exhaustive(links: Chain, scores: Floats) -> float:
    """The best total over all paths, by trying every one."""
    frames, states = scores.shape
    jumps = {(int(a), int(b)) for a, b in links.jumps}
    best = -np.inf
    for path in product(range(states), repeat=frames):
        if any(not links.opens[s] <= t <= links.closes[s] for t, s in enumerate(path)):
            continue
        total = float(scores[np.arange(frames), path].sum())
        ends = path[-1] == states - 1 or (links.optional[-1] and path[-1] == states - 2)
        starts = {0: 0.0}
        if links.optional[0] and states > 1:
            starts[1] = 0.0
        for a, b in sorted(jumps):
            if a in starts:
                starts[b] = max(starts.get(b, -np.inf), starts[a] - links.jump_cost)
        if not ends or path[0] not in starts:
            continue
        total += starts[path[0]]
        for before, after in pairwise(path):
            steps = [0.0] if after - before in (0, 1) else []
            if after - before == 2 and links.optional[before + 1]:
                steps.append(0.0)
            if (before, after) in jumps:
                steps.append(-links.jump_cost)
            total += max(steps, default=-np.inf)
        best = max(best, total)
    return best


@st.composite
def problems(draw: st.DrawFn) -> tuple[Chain, Floats]:
    states = draw(st.integers(1, 5))
    frames = draw(st.integers(1, 5))
    numbers = st.integers(-9, 9)
    scores = np.array([[draw(numbers) for _ in range(states)] for _ in range(frames)], np.float32)
    optional = [draw(st.booleans()) for _ in range(states)]
    opens = sorted(draw(st.integers(0, 2)) for _ in range(states))
    closes = sorted(draw(st.integers(1, 6)) for _ in range(states))
    jumps = [(0, states - 1)] if states > 2 and draw(st.booleans()) else []
    return chain(optional, frames, jumps, 4.0, opens, closes), scores


@settings(max_examples=150, deadline=None)
@given(problems())
def test_no_path_beats_the_one_that_is_found(problem: tuple[Chain, Floats]) -> None:
    links, scores = problem
    path = best_path(links, fixed(scores), len(scores))
    expected = exhaustive(links, scores)
    if path is None:
        assert expected == -np.inf
        return
    assert np.all(links.opens[path] <= np.arange(len(path)))
    # the found path's own value, by restricting the search to it
    only = np.full_like(scores, -1e6)
    only[np.arange(len(path)), path] = scores[np.arange(len(path)), path]
    assert exhaustive(links, only) == expected


def emission(order: list[int], states: int) -> Floats:
    scores = np.full((len(order), states), -5.0, np.float32)
    scores[np.arange(len(order)), order] = 0.0
    return scores


def test_optional_states_are_visited_only_when_they_are_heard() -> None:
    with_pause = emission([0, 0, 1, 1, 2, 2], 3)
    without = emission([0, 0, 0, 2, 2, 2], 3)
    links = chain([False, True, False], 6)
    found = best_path(links, fixed(with_pause), 6)
    assert found is not None
    assert found.tolist() == [0, 0, 1, 1, 2, 2]
    found = best_path(links, fixed(without), 6)
    assert found is not None
    assert found.tolist() == [0, 0, 0, 2, 2, 2]


def test_a_band_that_no_path_fits_is_said_so() -> None:
    links = chain([False, False], 4, opens=[0, 9], closes=[9, 9])
    assert best_path(links, fixed(np.zeros((4, 2), np.float32)), 4) is None
    assert best_path(chain([False] * 5, 3), fixed(np.zeros((3, 5), np.float32)), 3) is None
    assert best_path(chain([False], 0), fixed(np.zeros((0, 1), np.float32)), 0) is None


def test_long_input_is_asked_for_in_blocks() -> None:
    frames, states = 3000, 40
    order: Ints = np.repeat(np.arange(states), frames // states)
    blocks: list[int] = []

    def scores(begin: int, end: int, low: int, high: int) -> npt.NDArray[np.float32]:
        blocks.append(end - begin)
        return emission(order.tolist(), states)[begin:end, low:high]

    found = best_path(chain([False] * states, frames), scores, frames)
    assert found is not None
    assert found.tolist() == order.tolist()
    assert max(blocks) < frames
