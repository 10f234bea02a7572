"""Arrays that a stage keeps for later runs, and what they were made from: one ``.npz``.

What is kept so is never wrong, only of no use: a reader asks whether its origin is what it would
listen to itself, and makes it anew where it is not, or where the file is not whole.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.generic]
Origin = Mapping[str, str]

MEDIA_TYPE = "application/x-npz"
_ORIGIN = "origin"


def keep(path: Path, origin: Origin, arrays: Mapping[str, Array]) -> None:
    """Write arrays and their origin."""
    said = np.frombuffer(json.dumps(dict(origin), sort_keys=True).encode(), np.uint8)
    everything: dict[str, Any] = {**arrays, _ORIGIN: said}
    with path.open("wb") as file:
        np.savez_compressed(file, **everything)


def recall(path: Path) -> tuple[Origin, dict[str, Array]] | None:
    """What `keep` wrote, by its origin; None where it is not whole."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as data:
            origin = json.loads(bytes(data[_ORIGIN]))
            if not isinstance(origin, dict):
                return None
            return origin, {name: data[name] for name in data.files if name != _ORIGIN}
    except Exception:  # zipfile, zlib and NumPy's reader of headers have a dozen words for damage
        return None
