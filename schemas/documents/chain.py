"""``chain/1``: the mastering chain, module by module, in the order in which the sound passes.

The decision engine writes it, the renderer obeys it, a person may change it in between. Every
number has its unit in its name, bounds and a default, so that whatever rule wrote it the move
stays one that a mastering engineer could make. Levels of detectors are RMS in dBFS, where a
sine of full scale reads -3.01.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from schemas.documents.lyrics import Document

THIRD_OCTAVES_HZ: Final = (
    *(20.0, 25.0, 31.5, 40.0, 50.0, 63.0, 80.0, 100.0, 125.0, 160.0, 200.0, 250.0, 315.0, 400.0),
    *(500.0, 630.0, 800.0, 1_000.0, 1_250.0, 1_600.0, 2_000.0, 2_500.0, 3_150.0, 4_000.0),
    *(5_000.0, 6_300.0, 8_000.0, 10_000.0, 12_500.0, 16_000.0, 20_000.0),
)
"""Nominal centres, ISO 266; the exact ones are ``1000 · 10^(n/10)`` (IEC 61260-1)."""

MATCH_LIMIT_DB: Final = 6.0
"""No match-EQ moves a band by more: beyond it a mix needs remixing."""

BandHz = Annotated[float, Field(ge=16.0, le=40_000.0)]
"""A frequency in Hz; what lies above 0.45 of the sample rate is held there, or left out."""

Crossovers = Annotated[tuple[BandHz, ...], Field(max_length=5)]
AttackMs = Annotated[float, Field(ge=1.0, le=300.0)]
ReleaseMs = Annotated[float, Field(ge=10.0, le=3_000.0)]
LevelDb = Annotated[float, Field(ge=-80.0, le=0.0)]


def _ascending(frequencies_hz: tuple[float, ...]) -> None:
    if any(after < 1.25 * before for before, after in pairwise(frequencies_hz)):
        raise ValueError("crossovers ascend, each at least a third of an octave above the last")


class ModuleSettings(Document):
    """What every module has: a switch, and how much of the result is the processed sound."""

    enabled: bool = True
    wet: float = Field(default=1.0, ge=0.0, le=1.0)
    """Share of the processed sound; the rest is the input, aligned to the sample."""


class EqBand(Document):
    """A filter of the RBJ cookbook. ``db`` is unused by the passes."""

    kind: Literal["bell", "low_shelf", "high_shelf", "highpass", "lowpass"] = "bell"
    hz: BandHz
    db: float = Field(default=0.0, ge=-12.0, le=12.0)
    q: float = Field(default=0.707, ge=0.3, le=10.0)


class Eq(ModuleSettings):
    """A parametric equaliser. ``linear`` keeps the phase; ``minimum`` never rings before."""

    module: Literal["eq"] = "eq"
    bands: tuple[EqBand, ...] = Field(default=(), max_length=16)
    phase: Literal["linear", "minimum"] = "linear"


class MatchEq(ModuleSettings):
    """What each of `THIRD_OCTAVES_HZ` gains, in dB, along a smooth curve. The renderer fits the
    curve to the song, so that its bands gain just that."""

    module: Literal["match_eq"] = "match_eq"
    curve_db: tuple[Annotated[float, Field(ge=-MATCH_LIMIT_DB, le=MATCH_LIMIT_DB)], ...] = Field(
        default=(0.0,) * len(THIRD_OCTAVES_HZ),
        min_length=len(THIRD_OCTAVES_HZ),
        max_length=len(THIRD_OCTAVES_HZ),
    )
    phase: Literal["linear", "minimum"] = "linear"


class DynamicEqBand(Document):
    """A bell that moves with the level of its own band.

    Above ``threshold_db`` the band's level grows only 1/``ratio`` as fast, by at most
    ``range_db`` of change: a negative range cuts, a positive one lifts what comes through.
    """

    hz: BandHz
    q: float = Field(default=1.0, ge=0.3, le=8.0)
    threshold_db: LevelDb = -24.0
    ratio: float = Field(default=2.0, ge=1.0, le=10.0)
    range_db: float = Field(default=-6.0, ge=-12.0, le=6.0)
    attack_ms: AttackMs = 15.0
    release_ms: ReleaseMs = 150.0


class DynamicEq(ModuleSettings):
    """Bells that answer to the music: a boomy bass, a harsh upper middle, sibilance."""

    module: Literal["dynamic_eq"] = "dynamic_eq"
    bands: tuple[DynamicEqBand, ...] = Field(default=(), max_length=8)


class Expander(ModuleSettings):
    """Gives back dynamics. ``upward`` lifts what exceeds the threshold (transients of a flat,
    over-compressed mix); ``downward`` lowers what stays below it (noise between phrases).
    """

    module: Literal["expander"] = "expander"
    mode: Literal["upward", "downward"] = "upward"
    threshold_db: LevelDb = -18.0
    ratio: float = Field(default=1.3, ge=1.0, le=4.0)
    range_db: float = Field(default=4.0, ge=0.0, le=24.0)
    """The most that the gain may move, up or down."""
    knee_db: float = Field(default=6.0, ge=0.0, le=18.0)
    attack_ms: AttackMs = 2.0
    release_ms: ReleaseMs = 80.0


class CompressorBand(Document):
    """One band of the compressor; ratio 1 leaves it alone but for its make-up gain."""

    threshold_db: LevelDb = -18.0
    ratio: float = Field(default=2.0, ge=1.0, le=20.0)
    knee_db: float = Field(default=6.0, ge=0.0, le=18.0)
    attack_ms: AttackMs = 20.0
    release_ms: ReleaseMs = 150.0
    makeup_db: float = Field(default=0.0, ge=-6.0, le=12.0)


class Compressor(ModuleSettings):
    """A multiband compressor: one band more than crossovers; no crossover, one broad band."""

    module: Literal["compressor"] = "compressor"
    crossovers_hz: Crossovers = (120.0, 800.0, 5_000.0)
    bands: tuple[CompressorBand, ...] = Field(
        default=(CompressorBand(),) * 4, min_length=1, max_length=6
    )

    @model_validator(mode="after")
    def _one_band_between_crossovers(self) -> Self:
        _ascending(self.crossovers_hz)
        if len(self.bands) != len(self.crossovers_hz) + 1:
            raise ValueError("a compressor has one band more than crossovers")
        return self


class Saturation(ModuleSettings):
    """Symmetric soft clipping (tanh), oversampled, its level kept for what stays quiet."""

    module: Literal["saturation"] = "saturation"
    drive_db: float = Field(default=3.0, ge=0.0, le=18.0)
    oversampling: Literal[2, 4, 8] = 4


class Stereo(ModuleSettings):
    """The side signal's level per band: 0 makes mono, 1 leaves as is. Nothing on mono songs."""

    module: Literal["stereo"] = "stereo"
    crossovers_hz: Crossovers = ()
    widths: tuple[Annotated[float, Field(ge=0.0, le=2.0)], ...] = Field(
        default=(1.0,), min_length=1, max_length=6
    )
    mono_below_hz: float | None = Field(default=None, ge=20.0, le=400.0)
    """Below it the side signal is taken away; None leaves the bass as wide as it is."""

    @model_validator(mode="after")
    def _one_width_between_crossovers(self) -> Self:
        _ascending(self.crossovers_hz)
        if len(self.widths) != len(self.crossovers_hz) + 1:
            raise ValueError("stereo has one width more than crossovers")
        return self


class Dehum(ModuleSettings):
    """Narrow cuts at mains hum and its harmonics."""

    module: Literal["dehum"] = "dehum"
    hz: float = Field(default=50.0, ge=40.0, le=70.0)
    harmonics: int = Field(default=4, ge=1, le=16)
    """How many cuts, the fundamental included."""
    depth_db: float = Field(default=24.0, ge=0.0, le=48.0)
    q: float = Field(default=30.0, ge=5.0, le=60.0)


class DcBlock(ModuleSettings):
    """Takes an offset away: the known one at once, what drifts by a high-pass."""

    module: Literal["dc_block"] = "dc_block"
    hz: float = Field(default=5.0, ge=1.0, le=20.0)
    offset: tuple[Annotated[float, Field(ge=-1.0, le=1.0)], ...] = Field(default=(), max_length=2)
    """Measured offset of each channel, full scale 1; empty when it is not known."""


class Gain(ModuleSettings):
    """A plain gain."""

    module: Literal["gain"] = "gain"
    db: float = Field(default=0.0, ge=-60.0, le=40.0)


class Limiter(ModuleSettings):
    """The true-peak limiter; after it comes nothing but dither. It has no wet share below 1."""

    module: Literal["limiter"] = "limiter"
    wet: float = Field(default=1.0, ge=1.0, le=1.0)
    ceiling_dbtp: float = Field(default=-1.0, ge=-20.0, le=0.0)
    """No true peak, measured at 16 times the rate, exceeds it."""
    lookahead_ms: float = Field(default=4.0, ge=1.0, le=20.0)
    """Over this time the gain goes down before a peak."""
    hold_ms: float = Field(default=12.5, ge=0.0, le=50.0)
    """The gain stays down so long after a peak: half a period of the lowest tone (40 Hz), so
    that it does not follow the wave itself."""
    release_ms: float = Field(default=120.0, ge=10.0, le=2_000.0)


class Dither(ModuleSettings):
    """TPDF dither of two steps' width before quantising. Floating-point files get none."""

    module: Literal["dither"] = "dither"
    wet: float = Field(default=1.0, ge=1.0, le=1.0)
    bits: Literal[16, 24] | None = None
    """None: the bits of the file that is written, which are those of the source by default."""
    seed: int = Field(default=0, ge=0, lt=1 << 32)


class LoudnessGoal(Document):
    """How loud the result shall be; the renderer searches for the gain into the limiter."""

    lufs: float = Field(default=-14.0, ge=-40.0, le=-4.0)
    most_limiting_db: float = Field(default=12.0, ge=0.0, le=24.0)
    """The limiter may take no more than this off the highest peak. When the goal would need
    more, the song stays quieter and the shortfall is stated."""


Module = Annotated[
    Eq
    | MatchEq
    | DynamicEq
    | Expander
    | Compressor
    | Saturation
    | Stereo
    | Dehum
    | DcBlock
    | Gain
    | Limiter
    | Dither,
    Field(discriminator="module"),
]


class Chain(Document):
    """The modules in order. At most one limiter, and after it only dither.

    With a ``loudness`` goal a limiter is needed: it is what keeps the ceiling.
    """

    schema_: Literal["chain/1"] = Field(default="chain/1", alias="schema")
    modules: tuple[Module, ...] = Field(default=(), max_length=32)
    loudness: LoudnessGoal | None = None

    @model_validator(mode="after")
    def _ends_as_it_must(self) -> Self:
        names = [module.module for module in self.modules]
        if names.count("limiter") > 1 or names.count("dither") > 1:
            raise ValueError("a chain has at most one limiter and one dither")
        if "dither" in names and names.index("dither") != len(names) - 1:
            raise ValueError("nothing comes after dither")
        if "limiter" in names and set(names[names.index("limiter") + 1 :]) - {"dither"}:
            raise ValueError("nothing but dither comes after the limiter")
        limited = any(isinstance(module, Limiter) and module.enabled for module in self.modules)
        if self.loudness is not None and not limited:
            raise ValueError("a loudness goal needs an enabled limiter to keep its ceiling")
        return self

    def limiter(self) -> Limiter | None:
        """The limiter, when there is one that is switched on."""
        found = (module for module in self.modules if isinstance(module, Limiter))
        return next((module for module in found if module.enabled), None)
