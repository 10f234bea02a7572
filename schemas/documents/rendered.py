"""``rendered/1``: what the renderer did to reach the goal, and how near it came.

The measurements are those of the written file, after dither and rounding.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from schemas.documents.lyrics import Document


class Shortfall(Document):
    """Why the loudness goal was not reached, and by how much."""

    lu: float | None = Field(description="goal − result; positive: too quiet; null for silence")
    code: Literal["ceiling", "silent", "saturated"]
    message: str


class Reduction(Document):
    """What the limiter took off."""

    most_db: float = Field(ge=0.0, description="at the deepest point")
    mean_db: float = Field(ge=0.0, description="over the frames where it was at work")
    share: float = Field(ge=0.0, le=1.0, description="of the song where it took off over 0.1 dB")
    step_s: float
    curve_db: tuple[float, ...] = Field(description="the deepest of each step, for plotting")


class Rendered(Document):
    """The master in numbers."""

    schema_: Literal["rendered/1"] = Field(default="rendered/1", alias="schema")
    rate_hz: int
    channels: int
    frames: int
    bits: Literal[16, 24, 32] = Field(description="32 is floating point")
    dithered: bool
    changed: bool = Field(description="false: the master is the song, bit by bit")
    target_lufs: float | None = None
    lufs: float | None = Field(description="null when nothing is loud enough to be measured")
    lufs_before_limiter: float | None = None
    ceiling_dbtp: float | None = None
    true_peak_dbtp: float | None = Field(description="at 16 times the rate; null for silence")
    gain_db: float = Field(default=0.0, description="into the limiter, found by the search")
    trim_db: float = Field(default=0.0, le=0.0, description="after the limiter, for the ceiling")
    shortfall: Shortfall | None = None
    limiting: Reduction | None = None
    offset: tuple[float, ...] = Field(description="mean of each channel, full scale 1")
    offset_removed: tuple[float, ...] = Field(description="taken away before the limiter")
    clipped: int = Field(default=0, ge=0, description="samples held at full scale")
    passes: int = Field(default=0, ge=0, description="how often the limiter ran to find the gain")
