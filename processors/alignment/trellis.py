"""Viterbi over a chain of states with a band, states that may be passed over, and jumps.

Forced alignment's shape: sounds follow one another, pauses between them are optional, whole lines
may be left out. Time is O(frames x band), memory two bits per visited cell.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

_STAY, _STEP, _HOP, _JUMP = range(4)
_BLOCK = 512  # frames whose scores are asked for at once

Scores = Callable[[int, int, int, int], Floats]
"""``scores(first frame, end frame, first state, end state)`` → ``(frames, states) float32``."""


@dataclass(frozen=True, slots=True)
class Chain:
    """States in order.

    ``optional`` ``(states,) bool``: a state that the next one may be entered without.
    ``opens``, ``closes`` ``(states,) int``: first and last frame in which a state may be visited;
    both must never fall from one state to the next.
    ``jumps`` ``(n, 2) int``: pairs (from, to), from < to, of extra arcs; each costs ``jump_cost``.
    """

    optional: npt.NDArray[np.bool_]
    opens: Ints
    closes: Ints
    jumps: Ints = field(default_factory=lambda: np.empty((0, 2), np.int64))
    jump_cost: float = 0.0


def best_path(chain: Chain, scores: Scores, frames: int) -> Ints | None:
    """The best state of each frame, ``(frames,) int``, or None when no path fits the band.

    A path starts in state 0 (or 1, if 0 is optional) or where jumps from 0 lead, and ends in the
    last state (or the one before, if the last is optional).
    """
    states = len(chain.optional)
    if frames == 0 or states == 0:
        return None
    at = np.arange(frames)
    low = np.searchsorted(chain.closes, at, side="left")  # states closed before t are done
    high = np.searchsorted(chain.opens, at, side="right")  # states opening after t aren't there yet
    if np.any(low >= high):
        return None
    # Two cells of −inf in front let "one back" and "two back" be plain slices.
    alpha = np.full(states + 2, -np.inf, np.float32)
    hop_allowed = np.zeros(states + 2, np.bool_)
    hop_allowed[3:] = chain.optional[:-1][: states - 1]
    hop_bar = np.where(hop_allowed[2:], np.float32(0), np.float32(-np.inf))
    trace: list[_Moves] = []
    jump_from = chain.jumps[:, 0] + 2
    jump_to = chain.jumps[:, 1] + 2
    jump_index = {int(to): int(source) for source, to in chain.jumps}
    for start in range(0, frames, _BLOCK):
        end = min(start + _BLOCK, frames)
        first, stop = int(low[start]), int(high[end - 1])
        block = scores(start, end, first, stop)
        for t in range(start, end):
            a, b = int(low[t]), int(high[t])
            emitted = block[t - start, a - first : b - first]
            if t == 0:
                fresh = np.full(b - a, -np.inf, np.float32)
                if a == 0:
                    fresh[0] = 0.0
                    if chain.optional[0] and b > 1:
                        fresh[1] = 0.0
                    for source, to in zip(jump_from - 2, jump_to - 2, strict=True):
                        if to < b and np.isfinite(fresh[source]):
                            fresh[to] = max(fresh[to], fresh[source] - chain.jump_cost)
                alpha[2 + a : 2 + b] = fresh + emitted
                trace.append(_packed(np.zeros(b - a, np.uint8)))
                continue
            stay = alpha[2 + a : 2 + b]
            step = alpha[1 + a : 1 + b]
            hop = alpha[a:b] + hop_bar[a:b]
            best = np.maximum(stay, step)
            choice = (step > stay).astype(np.uint8)
            hopped = hop > best
            if hopped.any():
                best[hopped] = hop[hopped]
                choice[hopped] = _HOP
            if len(jump_to):
                inside = (jump_to >= 2 + a) & (jump_to < 2 + b)
                if inside.any():
                    to = jump_to[inside] - 2 - a
                    jumped = alpha[jump_from[inside]] - np.float32(chain.jump_cost)
                    better = jumped > best[to]
                    best[to[better]] = jumped[better]
                    choice[to[better]] = _JUMP
            previous = int(low[t - 1])
            alpha[2 + previous : 2 + a] = -np.inf
            alpha[2 + a : 2 + b] = best + emitted
            trace.append(_packed(choice))
    return _back(chain, alpha, trace, low, jump_index)


_Moves = tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]
"""The low and the high bit of each state's move into a frame, eight states a byte."""


def _packed(choice: npt.NDArray[np.uint8]) -> _Moves:
    return np.packbits(choice & 1), np.packbits(choice >> 1)


def _unpacked(moves: _Moves, index: int) -> int:
    byte, shift = index >> 3, 7 - (index & 7)
    low, high = moves
    return (int(low[byte]) >> shift & 1) | (int(high[byte]) >> shift & 1) << 1


def _back(
    chain: Chain,
    alpha: Floats,
    trace: list[_Moves],
    low: Ints,
    jump_index: dict[int, int],
) -> Ints | None:
    states = len(chain.optional)
    state = states - 1
    if chain.optional[-1] and states > 1 and alpha[states] > alpha[states + 1]:
        state = states - 2
    if not np.isfinite(alpha[2 + state]):
        return None
    path = np.empty(len(trace), np.int64)
    for t in range(len(trace) - 1, -1, -1):
        path[t] = state
        move = _unpacked(trace[t], state - int(low[t]))
        if move == _JUMP:
            state = jump_index[state]
        else:
            state -= move
    return path
