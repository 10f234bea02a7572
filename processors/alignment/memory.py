"""What was heard of a stem, kept beside its alignment: a later alignment needs no model again.

One ``.npz``: plain arrays and what they were made from. It counts only for the same vocals and the
same model; whatever else it may be, it is never wrong, only of no use.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.generic]

MEDIA_TYPE = "application/x-npz"
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
    said = np.frombuffer(json.dumps(asdict(origin), sort_keys=True).encode(), np.uint8)
    everything: dict[str, Any] = {**arrays, _ORIGIN: said}
    with path.open("wb") as file:
        np.savez_compressed(file, **everything)


@dataclass(frozen=True, slots=True)
class Kept:
    """Arrays, and what they were made from."""

    origin: Origin
    arrays: Mapping[str, Array]


def recall(path: Path, vocals: str) -> Kept | None:
    """What `keep` wrote, when it is of this stem and whole; None otherwise."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as data:
            origin = Origin(**json.loads(bytes(data[_ORIGIN])))
            if origin.vocals != vocals:
                return None
            arrays = {name: data[name] for name in data.files if name != _ORIGIN}
            return Kept(origin, arrays)
    except (OSError, ValueError, TypeError, KeyError, EOFError, zipfile.BadZipFile):
        return None


_ORIGIN = "origin"
