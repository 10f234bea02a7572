"""``checks/1``: what was verified of a master's files after they were written."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from schemas.documents.lyrics import Document
from schemas.documents.rendered import Rendered


class PreviewCheck(Document):
    """The MP3 as a player decodes it."""

    lufs: float | None = Field(description="integrated; null for silence")
    true_peak_dbtp: float | None
    gain_db: float = Field(
        le=0.0, description="turned down by this much, because the codec overshoots"
    )
    frames: int = Field(ge=0, description="decoded, at rateHz")
    rate_hz: int
    under_full_scale: bool = Field(description="no true peak of the decoded file clips a player")


class NullTest(Document):
    """The master less the song, where nothing should have been done."""

    samples: int = Field(ge=0, description="compared, all channels")
    differing: int = Field(ge=0)


class Pair(Document):
    """The loudness-matched pair: plain gains, so that neither is judged for being louder."""

    lufs: float | None = Field(description="of both; null where one of them is silent")
    before_gain_db: float
    after_gain_db: float


class Checks(Document):
    """The whole of ``checks.json``."""

    schema_: Literal["checks/1"] = Field(default="checks/1", alias="schema")
    rendered: Rendered
    format: Literal["wav", "flac"]
    corrected: bool = Field(description="rendered a second time, because the first had missed")
    source_frames: int = Field(ge=0)
    length_kept: bool = Field(description="as many frames as the song, to the sample")
    tags: tuple[str, ...] = Field(description="names of the tags that were carried over")
    preview: PreviewCheck
    pair: Pair
    null_test: NullTest | None = Field(
        default=None, description="null where something was done to the sound"
    )
