"""Small things that several extractors need: collecting frames, summing them up."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import JsonValue

Floats = npt.NDArray[np.floating[Any]]


class Rows:
    """Arrays that come block by block and are wanted whole."""

    def __init__(self, dtype: npt.DTypeLike = np.float32) -> None:
        self._dtype = np.dtype(dtype)
        self._parts: list[npt.NDArray[Any]] = []

    def add(self, part: npt.NDArray[Any]) -> None:
        """Keep a copy, so that the block it is a part of can go."""
        self._parts.append(np.array(part, self._dtype))

    def whole(self) -> npt.NDArray[Any]:
        """Everything, in order."""
        if not self._parts:
            return np.zeros(0, self._dtype)
        self._parts = [np.concatenate(self._parts)]
        return self._parts[0]


def summary(values: Floats, digits: int = 3) -> dict[str, JsonValue]:
    """Mean, deviation, quartiles and ends of a list that is not empty."""
    low, first, middle, third, high = np.percentile(values, [0, 25, 50, 75, 100])
    return {
        "mean": rounded(values.mean(), digits),
        "std": rounded(values.std(), digits),
        "min": rounded(low, digits),
        "q1": rounded(first, digits),
        "median": rounded(middle, digits),
        "q3": rounded(third, digits),
        "max": rounded(high, digits),
    }


def rounded(value: float | np.floating[Any], digits: int = 3) -> float:
    """A plain float with so many decimals; NaN stays NaN, for the engine to name."""
    return round(float(value), digits)


def means(rows: Floats, digits: int = 3) -> list[JsonValue]:
    """The mean of each column as JSON."""
    return [rounded(value, digits) for value in rows.mean(axis=0, dtype=np.float64)]


def deviations(rows: Floats, digits: int = 3) -> list[JsonValue]:
    """The standard deviation of each column as JSON."""
    return [rounded(value, digits) for value in rows.std(axis=0, dtype=np.float64)]
