"""What was heard of a stem, kept beside its alignment: a later alignment needs no model again.

One ``.npz``: plain arrays and what they were made from. It counts only for the same vocals and the
same model; whatever else it may be, it is never wrong, only of no use.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from processors import arrays as stored
from processors.arrays import MEDIA_TYPE as MEDIA_TYPE
from processors.arrays import Array as Array

NAME = "heard"
"""What the artifact is called in a job."""


@dataclass(frozen=True, slots=True)
class Origin:
    """What was listened to, and by whom."""

    vocals: str
    """SHA-256 of the stem in hex, as read."""
    backend: str
    model: str
    hash: str


def keep(path: Path, origin: Origin, arrays: Mapping[str, Array]) -> None:
    """Write arrays and their origin."""
    stored.keep(path, asdict(origin), arrays)


@dataclass(frozen=True, slots=True)
class Kept:
    """Arrays, and what they were made from."""

    origin: Origin
    arrays: Mapping[str, Array]


def recall(path: Path, vocals: str) -> Kept | None:
    """What `keep` wrote, when it is of this stem and whole; None otherwise."""
    found = stored.recall(path)
    if found is None:
        return None
    said, arrays = found
    try:
        origin = Origin(**said)
    except TypeError:  # kept by something else
        return None
    return Kept(origin, arrays) if origin.vocals == vocals else None
