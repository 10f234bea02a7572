"""What tells one set of weights from another."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np


def digest(modules: Iterable[Any]) -> str:
    """SHA-256 in hex over the weights of torch modules, wherever they were loaded from."""
    found = hashlib.sha256()
    for module in modules:
        for name, tensor in sorted(module.state_dict().items()):
            found.update(name.encode())
            found.update(np.ascontiguousarray(tensor.cpu().numpy()).data)
    return found.hexdigest()


def weight_mib(modules: Iterable[Any]) -> float:
    """MiB that the weights of torch modules take."""
    sizes = (one.numel() * one.element_size() for m in modules for one in m.state_dict().values())
    return float(sum(sizes)) / (1 << 20)


def file_digest(path: Path) -> str:
    """SHA-256 of a file in hex: about a second for half a gigabyte, once while it is the same."""
    found = path.stat()
    return _digest_of(path, found.st_ino, found.st_size, found.st_mtime_ns)


@lru_cache(maxsize=16)
def _digest_of(path: Path, *_same: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
