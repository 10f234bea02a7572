"""Backgrounds: a colour, two that run into each other, or a cover judged by its first bytes."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from topics.sniffing import sniff_picture

_COLOR = re.compile(r"#[0-9a-fA-F]{6}")


def cover_demuxer(head: bytes) -> str | None:
    """FFmpeg's demuxer for the picture that begins so; None for what is no cover."""
    found = sniff_picture(head)
    return f"{found.name}_pipe" if found is not None else None


def rgb(color: str) -> tuple[int, int, int]:
    """``#rrggbb`` as numbers. Raises `ValueError`."""
    if not _COLOR.fullmatch(color):
        raise ValueError(f"'{color[:20]}' is not a colour of the form #rrggbb")
    return (int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16))


def write_gradient(path: Path, width: int, height: int, top: str, bottom: str) -> None:
    """A picture that runs from ``top`` to ``bottom``, as PPM. Raises `ValueError` for a colour.

    Rounded with an even noise below one step of 8 bits: a dark gradient shows bands without.
    """
    share = np.linspace(0.0, 1.0, height)[:, None, None]
    colors = (1 - share) * np.array(rgb(top)) + share * np.array(rgb(bottom))
    noise = np.random.default_rng(0).random((height, width, 1))
    picture = np.floor(colors + noise).clip(0, 255).astype(np.uint8)
    if top == bottom:
        picture = np.broadcast_to(np.array(rgb(top), np.uint8), (height, width, 3))
    path.write_bytes(b"P6\n%d %d\n255\n" % (width, height) + picture.tobytes())
