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
    order = np.argsort(chain.jumps[:, 1], kind="stable")
    jumps = _Jumps(chain.jumps[order], np.float32(chain.jump_cost), low, high)
    # Two cells of −inf in front let "one back" and "two back" be plain slices.
    alpha = np.full(states + 2, -np.inf, np.float32)
    alpha[2 : 2 + states] = _first(chain)
    hop_bar = np.full(states, -np.inf, np.float32)
    hop_bar[2:] = np.where(chain.optional[1:-1], np.float32(0), np.float32(-np.inf))
    best, hop = np.empty(states, np.float32), np.empty(states, np.float32)
    trace: list[_Moves] = []
    for start in range(0, frames, _BLOCK):
        end = min(start + _BLOCK, frames)
        first, stop = int(low[start]), int(high[end - 1])
        block = scores(start, end, first, stop)
        stepped = np.zeros((end - start, stop - first), np.bool_)
        hopped = np.zeros_like(stepped)
        for t in range(start, end):
            a, b = int(low[t]), int(high[t])
            within = slice(a - first, b - first)
            emitted, row = block[t - start, within], t - start
            if t == 0:
                alpha[2 : 2 + a] = alpha[2 + b :] = -np.inf
                alpha[2 + a : 2 + b] += emitted
                continue
            stay, step, size = alpha[2 + a : 2 + b], alpha[1 + a : 1 + b], b - a
            np.greater(step, stay, out=stepped[row, within])
            np.maximum(step, stay, out=best[:size])
            np.add(alpha[a:b], hop_bar[a:b], out=hop[:size])
            np.greater(hop[:size], best[:size], out=hopped[row, within])
            np.maximum(hop[:size], best[:size], out=best[:size])
            jumps.take(t, alpha, best[:size], a)
            previous = int(low[t - 1])
            if a > previous:
                alpha[2 + previous : 2 + a] = -np.inf
            np.add(best[:size], emitted, out=alpha[2 + a : 2 + b])
        packed = np.packbits(stepped, axis=1), np.packbits(hopped, axis=1)
        trace.append(_Moves(first, *packed))
    return _back(chain, alpha, trace, jumps, frames)


def _first(chain: Chain) -> Floats:
    """Where a path may start: 0 in those states, −inf in all others."""
    fresh = np.full(len(chain.optional), -np.inf, np.float32)
    fresh[0] = 0.0
    if chain.optional[0] and len(fresh) > 1:
        fresh[1] = 0.0
    for source, to in chain.jumps:
        fresh[to] = max(fresh[to], fresh[source] - chain.jump_cost)
    return fresh


class _Jumps:
    """The extra arcs, by the state that they lead to."""

    def __init__(self, arcs: Ints, cost: np.float32, low: Ints, high: Ints) -> None:
        self._from = arcs[:, 0] + 2
        self._to = arcs[:, 1]
        self._cost = cost
        self._begin = np.searchsorted(self._to, low)  # the first arc into the band of a frame
        self._end = np.searchsorted(self._to, high)
        self.source = {int(to): int(source) for source, to in arcs}
        self.taken: dict[int, set[int]] = {}
        """Frame → the states that are best entered by an arc."""

    def take(self, t: int, alpha: Floats, best: Floats, a: int) -> None:
        """Improve ``best``, the states from ``a`` on, by the arcs that lead there."""
        begin, end = int(self._begin[t]), int(self._end[t])
        if begin == end:
            return
        to = self._to[begin:end]
        jumped = alpha[self._from[begin:end]] - self._cost
        better = jumped > best[to - a]
        if better.any():
            best[to[better] - a] = jumped[better]
            self.taken[t] = set(to[better].tolist())


@dataclass(frozen=True, slots=True)
class _Moves:
    """How the states of a block were entered: from one back, from two back; eight states a byte."""

    first: int  # the state of the first bit
    stepped: npt.NDArray[np.uint8]
    hopped: npt.NDArray[np.uint8]

    def into(self, row: int, state: int) -> int:
        """How many states back the path into a state came from."""
        byte, shift = (state - self.first) >> 3, 7 - ((state - self.first) & 7)
        if int(self.hopped[row, byte]) >> shift & 1:
            return 2
        return int(self.stepped[row, byte]) >> shift & 1


def _back(
    chain: Chain, alpha: Floats, trace: list[_Moves], jumps: _Jumps, frames: int
) -> Ints | None:
    states = len(chain.optional)
    state = states - 1
    if chain.optional[-1] and states > 1 and alpha[states] > alpha[states + 1]:
        state = states - 2
    if not np.isfinite(alpha[2 + state]):
        return None
    path = np.empty(frames, np.int64)
    for t in range(frames - 1, 0, -1):
        path[t] = state
        if state in jumps.taken.get(t, ()):
            state = jumps.source[state]
        else:
            state -= trace[t // _BLOCK].into(t % _BLOCK, state)
    path[0] = state
    return path
