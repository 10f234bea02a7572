"""Curves for plots, of bounded size: when they grow too long, neighbours become one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Points = npt.NDArray[np.float64]
Merge = Callable[[Points], Points]


def mean(pairs: Points) -> Points:
    """Of ``(points, n)``."""
    return np.asarray(pairs.mean(axis=1))


def highest(pairs: Points) -> Points:
    """Of ``(points, n)``."""
    return np.asarray(pairs.max(axis=1))


def lowest(pairs: Points) -> Points:
    """Of ``(points, n)``."""
    return np.asarray(pairs.min(axis=1))


class Curve:
    """At most ``most`` points; each stands for ``merged`` values put together by ``merge``."""

    def __init__(self, most: int, merge: Merge) -> None:
        self._most, self._merge = most, merge
        self.merged = 1
        self._points = np.zeros(0)
        self._rest = np.zeros(0)

    def add(self, values: Points) -> None:
        """Take in further values."""
        waiting = np.concatenate([self._rest, values])
        self._points = np.concatenate([self._points, self._grouped(waiting, self.merged)])
        self._rest = waiting[len(waiting) // self.merged * self.merged :]
        while len(self._points) > self._most:
            odd = self._points[len(self._points) // 2 * 2 :]
            self._points = self._grouped(self._points, 2)
            # a point without a neighbour waits as the values it stood for
            self._rest = np.concatenate([np.repeat(odd, self.merged), self._rest])
            self.merged *= 2

    def _grouped(self, values: Points, size: int) -> Points:
        count = len(values) // size
        return self._merge(values[: count * size].reshape(count, size)) if count else values[:0]

    def points(self) -> Points:
        """All points, the last one for what did not fill a whole one."""
        if not len(self._rest) or len(self._points) >= self._most:
            return self._points
        return np.concatenate([self._points, self._merge(self._rest[None])])
