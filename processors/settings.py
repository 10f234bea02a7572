"""Settings of the stages, from the environment and ``.env``; ``.env.example`` documents each."""

from __future__ import annotations

import tempfile
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from processors.quality.thresholds import Policy, Thresholds
from topics.catalog import EXTRACTION_PARTITIONS
from topics.inputs import InputSettings
from topics.process import process_name
from topics.settings import BusSettings

Choice = Literal["auto", "light", "full"]
"""``full`` needs models; ``light`` needs none; ``auto`` is full where that can be loaded."""


class StageSettings(BaseSettings):
    """What every stage is told. The bus has settings of its own, read from the same places."""

    model_config = SettingsConfigDict(
        env_file=".env", env_ignore_empty=True, extra="ignore", frozen=True
    )

    bus: BusSettings = Field(default_factory=BusSettings)
    inputs: InputSettings = Field(default_factory=InputSettings)

    max_song_seconds: PositiveFloat = Field(
        default=900.0, description="Longest song that is accepted."
    )
    min_song_seconds: PositiveFloat = Field(
        default=2.0, description="Shortest song that is accepted."
    )

    separation_backend: Choice = Field(
        default="auto",
        description="light needs no model; full is Demucs; auto is full where the models are "
        "installed and can be loaded.",
    )
    demucs_model: str = Field(
        default="htdemucs",
        description="Demucs model of the full separation: htdemucs, htdemucs_ft, any name or "
        "signature that its hub or DEMUCS_REPO has.",
    )
    demucs_repo: Path | None = Field(
        default=None,
        description="Folder of Demucs models (.yaml, .th) to use instead of the hub. Its files "
        "are unpickled: trusted folders only.",
    )
    demucs_window_seconds: PositiveFloat | None = Field(
        default=None,
        description="Window of the full separation, when its memory has to be smaller than the "
        "model's own window needs.",
    )
    lead_split: str = Field(
        default="",
        description="Keep the lead voice and the backing voices as stems of their own: centre "
        "takes what stands in the middle for the lead; any other name is a Demucs model that was "
        "trained to tell them apart (its source lead, else vocals). Empty: the vocals stay whole.",
    )
    separation_memory_limit: PositiveInt | None = Field(
        default=None,
        description="MiB that a process of the full separation may take on the CPU for a song of "
        "ten minutes; its window is shortened to fit. Empty: the model's own window.",
    )
    transcription_backend: Choice = Field(
        default="auto",
        description="light knows English and no weights; full is a NeMo model; auto is full where "
        "the models are installed and the song's language has one that can be loaded.",
    )
    alignment_backend: Choice = Field(
        default="auto",
        description="light aligns any language without weights; full by a NeMo model; auto as for "
        "transcription. A language without a model gets light.",
    )
    speech_models: dict[str, str] = Field(
        default_factory=dict,
        description="NeMo models with a CTC head by language, names or .nemo files, over the "
        "product's own (Conformer-CTC for be ca de en eo es fr hi hr it mr ru rw): "
        '{"pl": "stt_pl_fastconformer_hybrid_large_pc", "en": "/models/en.nemo", "fr": ""}; '
        "an empty name leaves the language to light.",
    )
    language_model: str = Field(
        default="langid_ambernet",
        description="NeMo model that hears which language is sung, for transcription with a speech "
        "model: langid_ambernet (107 languages), or any EncDecSpeakerLabelModel, name or .nemo "
        "file. none: nothing does, and where nobody says the language only the letters tell it.",
    )
    use_gpu: bool = Field(
        default=True, description="Compute the full backends on a GPU where there is one."
    )
    gpu_memory_limit: PositiveInt | None = Field(
        default=None,
        description="MiB of a GPU's memory that the full backends of all its processes use "
        "together; empty: four fifths of it. They find each other by SCRATCH_DIR.",
    )
    model_threads: NonNegativeInt = Field(
        default=0,
        description="Threads that a full backend computes with on the CPU; 0 for every core.",
    )

    quality_policy: Policy = Field(
        default="review",
        description="What becomes of a karaoke below the bar: review publishes it marked "
        "needsReview; block fails the job with the reasons, and the track keeps its earlier "
        "version; publish publishes it unmarked, flags and score included.",
    )
    quality_bar: float = Field(
        default=0.6,
        ge=0.0,
        le=1.0,
        description="Score below which a karaoke is not good enough, 0 to 1. Flags of severity "
        "error count whatever the score.",
    )
    quality_thresholds: Thresholds = Field(
        default_factory=Thresholds,
        description="Where an observation becomes a flag, as JSON over the defaults, which "
        'processors/quality/thresholds.py explains: {"uncovered_ms": 3000, "bleed_db": -15}.',
    )

    mastering_rules: Annotated[tuple[Path, ...], NoDecode] = Field(
        default=(),
        description="Rule files, comma-separated, beside the product's own; a rule or preset of "
        "the same name replaces it.",
    )
    explainer_base_url: str = Field(
        default="",
        description="Address before /chat/completions of an OpenAI-compatible endpoint that words "
        "the reports of masters; empty: the rules do.",
    )
    explainer_model: str = Field(default="", description="Name of the model to ask there.")
    explainer_api_key: SecretStr = Field(
        default=SecretStr(""), description="Key for it; empty where it needs none."
    )

    video_fonts: Annotated[tuple[Path, ...], NoDecode] = Field(
        default=(Path("/usr/local/share/fonts"), Path("/usr/share/fonts")),
        description="Folders of fonts, comma-separated, for what DejaVu Sans (bundled) cannot "
        "write in a video: Chinese, Japanese, Korean, Thai, Devanagari, ….",
    )

    max_gpu_workers: PositiveInt = Field(
        default=1,
        description="Extractions that use this machine's GPU at once, as far as its memory "
        "(GPU_MEMORY_LIMIT) allows.",
    )
    extraction_cpu_workers: NonNegativeInt = Field(
        default=0, description="The same on this machine's CPU; 0: one more than cores."
    )
    extraction_io_workers: PositiveInt = Field(
        default=4, description="Inputs that this machine's extractions fetch at once."
    )
    extraction_memory_limit: PositiveInt = Field(
        default=3072,
        description="MiB that the extraction of one file may take; the extractor that is at work "
        "beyond that is ended, and the others go on without it.",
    )
    extractor_timeout_seconds: PositiveFloat = Field(
        default=60.0,
        description="Longest work of one extractor at one file, on top of 20 times what it says "
        "it takes; beyond that it is ended, and the others go on without it.",
    )
    clap_model: str = Field(
        default="",
        description="CLAP weights of the extractor clap: a folder, or a name that is in the hub's "
        "cache on this machine. Empty: there is no such extractor.",
    )

    admission_in_flight: PositiveInt = Field(
        default=4,
        le=EXTRACTION_PARTITIONS,
        description="Items of extractions in work at once in the whole installation: the slots of "
        "all its extraction workers, and some more so that none waits for its next. What is "
        "released is no longer put in order.",
    )
    admission_client_in_flight: NonNegativeInt = Field(
        default=0,
        description="The same for one tenant (one client, where access control is off); 0: no "
        "limit beyond its fair share.",
    )
    admission_ageing: PositiveFloat = Field(
        default=1.0,
        description="Seconds of work that a second of waiting makes up for: short items go before "
        "long ones, until the long ones have waited for their length divided by this.",
    )

    slots: dict[str, PositiveInt] = Field(
        default_factory=dict,
        description='Tries at once by stage, over what it declares: {"separation": 2}.',
    )
    drain_seconds: float = Field(
        default=25.0,
        ge=0,
        description="Grace time on SIGTERM; what is not done by then is handed over. Below the "
        "30 s that Kubernetes grants.",
    )
    child_idle_seconds: PositiveFloat = Field(
        default=120.0,
        description="A child process with nothing to do leaves after this time and frees its "
        "memory; the next job starts a new one.",
    )
    heartbeat_seconds: PositiveFloat = Field(
        default=5.0, description="Longest silence of a step that is at work."
    )
    lease_seconds: PositiveFloat = Field(
        default=15.0,
        description="Work whose worker has shown no life for this time is taken over.",
    )
    stuck_seconds: PositiveFloat = Field(
        default=60.0,
        description="A poll loop that has not moved for this time is not alive; it dumps its "
        "stacks.",
    )
    scratch_dir: Path = Field(
        default_factory=lambda: Path(tempfile.gettempdir()) / "melisma",
        description="Folder of the scratch files of work in progress.",
    )
    worker_name: str = Field(
        default_factory=process_name,
        pattern=r"^[A-Za-z0-9._-]+$",
        description="Name of this process, unique among the workers of a stage.",
    )

    @field_validator("mastering_rules", "video_fonts", mode="before")
    @classmethod
    def _paths(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(Path(item.strip()) for item in value.split(",") if item.strip())
        return value

    @field_validator("mastering_rules", mode="after")
    @classmethod
    def _rules_that_can_be(cls, value: tuple[Path, ...]) -> tuple[Path, ...]:
        """A mistake in a rule file ends the start of a process, not its first job."""
        if value:
            from processors.decision.rulebook import load_rulebook

            load_rulebook(value)
        return value

    def slots_of(self, stage: str, declared: int) -> int:
        """Tries at once of a stage in one process."""
        return self.slots.get(stage, declared)

    @property
    def decoder(self) -> str:
        """Versions of what turns files into samples: another one may read other samples."""
        return _decoder()


@cache
def _decoder() -> str:
    """Looked up once: it is a part of every result's identity, and each look reads metadata."""
    parts = ("imageio-ffmpeg", "soundfile", "soxr")
    return " ".join(f"{part}/{version(part)}" for part in parts)
