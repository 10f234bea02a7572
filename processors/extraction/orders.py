"""What the process that extracts is told. Light to import: its parent only gives orders."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Order:
    """One file. ``device`` is auto, cpu or gpu; ``sha256`` is the file's where it is known."""

    path: str
    folder: str
    names: tuple[str, ...]
    parameters: Mapping[str, Mapping[str, Any]]
    device: str
    max_seconds: float
    video_id: str
    name: str
    sha256: str = ""
