"""``audio_manifest_v1``: what was extracted from one file, by what, and where the arrays lie.

The name is the seed's, its first phase is not at hand: the fields are reconstructed from what the
second phase says of it. Names are snake_case as in that phase's requests. A feature is a finite
number, a word, a short list or table of those, or null, which ``reasons`` explains by the dotted
path of the field or of one above it. Frames and long lists are in the artifacts (``.npz``), never
here. Times are in seconds.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, JsonValue, NonNegativeFloat, NonNegativeInt

from schemas.documents.lyrics import Document

Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]

ErrorCode = Literal[
    "unknown_extractor",
    "not_available",
    "raised",
    "out_of_memory",
    "timed_out",
    "crashed",
    "not_finite",
    "too_large",
    "not_json",
]
"""Why an extractor has no result; the others of the file are untouched by it."""


class Spoken(Document):
    """A document whose fields are called the same in JSON as in Python."""

    model_config = ConfigDict(alias_generator=None)


class ExtractorError(Spoken):
    """What happened to one extractor; a sentence without paths or traceback."""

    code: ErrorCode
    message: str


class ArrayFacts(Spoken):
    """One array of an artifact."""

    shape: tuple[NonNegativeInt, ...]
    dtype: str = Field(description="numpy's name: float32, bool, …")
    unit: str = Field(default="", description="Hz, s, dB, …; empty for plain numbers")


class ArrayFile(Spoken):
    """A file of arrays beside the manifest."""

    name: str
    uri: str = Field(description="relative to the manifest, or absolute once it is stored")
    media_type: str
    bytes: NonNegativeInt
    sha256: Sha256
    arrays: dict[str, ArrayFacts]


class Fallback(Spoken):
    """Another device than asked did the work."""

    asked: str
    used: str
    reason: str


class ExtractorResult(Spoken):
    """One extractor's part: ``ok``, ``failed`` with the error, or ``skipped`` with the reason."""

    name: str
    version: str = ""
    device: str = ""
    status: Literal["ok", "failed", "skipped"]
    seconds: NonNegativeFloat = Field(
        default=0.0, description="processor's wall time of this extractor alone"
    )
    parameters: dict[str, JsonValue] = Field(default_factory=dict)
    features: dict[str, JsonValue] = Field(default_factory=dict)
    reasons: dict[str, str] = Field(
        default_factory=dict, description="why a feature is null, by its dotted path"
    )
    artifacts: tuple[ArrayFile, ...] = ()
    error: ExtractorError | None = None
    fallback: Fallback | None = None


class InputFacts(Spoken):
    """The file as it is."""

    name: str = Field(description="file name without its folder")
    sha256: Sha256
    bytes: NonNegativeInt
    container: str
    encoding: str = Field(description="how samples are stored; empty when FFmpeg decoded them")
    rate_hz: int = Field(ge=1)
    channels: int = Field(ge=1)
    frames: NonNegativeInt
    duration_s: NonNegativeFloat


class AnalysisFacts(Spoken):
    """How the sound was prepared for all extractors, and with which versions."""

    decoder: str = Field(description="libsndfile or ffmpeg, with its version")
    rate_hz: int = Field(description="rate of the mono signal that is analysed")
    window: int = Field(description="samples of a window, Hann")
    hop: int = Field(description="samples from window to window")
    device: str
    seconds: NonNegativeFloat = Field(description="decoding, mixing, resampling, spectra: shared")
    versions: dict[str, str]
    fallback: Fallback | None = None


class AudioManifest(Spoken):
    """Everything that is known of one file's extraction."""

    schema_: Literal["audio_manifest_v1"] = Field(default="audio_manifest_v1", alias="schema")
    video_id: str | None = Field(default=None, description="the client's name for the input")
    manifest_uri: str | None = None
    input: InputFacts
    analysis: AnalysisFacts
    extractors: tuple[ExtractorResult, ...]
    seconds: NonNegativeFloat = Field(description="wall time from opening to the last array")

    def result(self, name: str) -> ExtractorResult:
        """One extractor's part. Raises ``KeyError``."""
        for each in self.extractors:
            if each.name == name:
                return each
        raise KeyError(name)
