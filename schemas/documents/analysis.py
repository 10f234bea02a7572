"""``analysis/1``: what the meter heard in a song, in numbers.

Decision rules, reports and plots read it. A measurement is a finite number, or null with a reason:
``reasons`` maps the dotted path of the null field, or of any of its ancestors, to a sentence
(``{"loudness.rangeLu": "…"}`` or ``{"pumping": "…"}``). Verdicts are not here: what counts as too
much is a rule's business.
"""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping
from typing import Annotated, Literal, Self, Union, get_args, get_origin

from pydantic import BaseModel, Field, model_validator
from pydantic.alias_generators import to_camel, to_snake

from schemas.documents.lyrics import Document

Measured = float | None
"""A number, or null that ``reasons`` explains."""

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Seconds = Annotated[float, Field(ge=0.0)]

MOST_POINTS = 2_000
"""Points of each plotted curve: one for every pixel of a wide screen, whatever the length."""


class SoundSource(Document):
    """The file as it is."""

    container: str = Field(description="wav, rf64, aiff, aifc, flac, …")
    encoding: str = Field(description="pcm_16, pcm_24, float, ulaw, … as libsndfile names it")
    bit_depth: int | None = Field(
        default=None, description="Stored bits a sample; null for companded and lossy formats."
    )
    floating_point: bool = False
    rate_hz: int = Field(ge=1)
    channels: int = Field(ge=1)
    layout: str = Field(description="mono, stereo, 5.0, 5.1, …: the order that was assumed")
    frames: int = Field(ge=0)
    duration_s: Seconds


class Loudness(Document):
    """ITU-R BS.1770-5 and EBU Tech 3341/3342, LUFS and LU."""

    integrated_lufs: Measured
    range_lu: Measured
    short_term_max_lufs: Measured = Field(description="3 s window, hop at most 10 ms")
    momentary_max_lufs: Measured = Field(description="400 ms window, hop at most 10 ms")
    relative_gate_lufs: Measured
    range_low_lufs: Measured = Field(description="10th percentile of the gated short-term values")
    range_high_lufs: Measured = Field(description="95th percentile of the gated short-term values")


class Peaks(Document):
    """The highest points, before and between the samples."""

    true_peak_dbtp: Measured = Field(description="oversampled at least 8 times")
    true_peak_at_s: Seconds | None
    true_peaks_dbtp: tuple[Measured, ...] = Field(description="one a channel")
    sample_peak_dbfs: Measured
    sample_peaks_dbfs: tuple[Measured, ...] = Field(description="one a channel")


class Dynamics(Document):
    """How far the peaks stand above the body, dB."""

    rms_dbfs: Measured = Field(description="whole song, mean power of the channels; sine = −3.01")
    crest_db: Measured = Field(description="sample peak − RMS of the whole song")
    dr_db: Measured = Field(description="DR14: 3 s blocks, second-highest peak over the top 20 %")
    plr_db: Measured = Field(description="true peak − integrated loudness")
    psr_db: Measured = Field(
        description="median over time of true peak − short-term loudness, loud half of the song"
    )
    psr_min_db: Measured = Field(description="the densest place: 5th percentile of the same")


class ThirdOctave(Document):
    """One band of IEC 61260-1 (base ten)."""

    centre_hz: float
    level_dbfs: Measured = Field(description="mean power where the song is not silent")
    correlation: Measured = None
    width: Measured = None


class Band(Document):
    """A named band: a whole number of third octaves."""

    low_hz: float
    high_hz: float
    level_dbfs: Measured
    share_db: Measured = Field(description="level relative to the whole, dB (never above 0)")
    deviation_db: Measured = Field(
        description="level against the middle of this song, less what balanced music has there"
    )
    swing_db: Measured = Field(
        description="loud moments (95th percentile of 0.4 s windows) over the mean level"
    )
    correlation: Measured = Field(description="−1 to 1; null for mono files")
    width: Measured = Field(
        description="side power / (mid + side): 0 mono, 0.5 unrelated, 1 inverted"
    )


class NamedBands(Document):
    """The six bands that mastering people speak of."""

    sub: Band
    bass: Band
    low_mid: Band
    mid: Band
    high_mid: Band
    air: Band


class Balance(Document):
    """Where the power lies along the spectrum."""

    third_octaves: tuple[ThirdOctave, ...]
    named: NamedBands
    tilt_db_per_octave: Measured = Field(
        description="third octaves, 100 Hz – 10 kHz, least squares"
    )
    highest_hz: Measured = Field(
        description="where the spectrum ends; far below half the rate means a lossy origin"
    )


class Stereo(Document):
    """The two channels against each other; all null for mono files."""

    correlation: Measured = Field(description="−1 to 1, whole song")
    correlation_low: Measured = Field(description="5th percentile of 400 ms windows")
    negative_share: Measured = Field(description="share of those windows below 0, 0 to 1")
    width: Measured = Field(description="side power / (mid + side), 0 to 1")
    side_to_mid_db: Measured
    balance_db: Measured = Field(description="left − right power; positive leans left")
    bass_width: Measured = Field(description="width below 120 Hz")
    mono_loss_db: Measured = Field(
        description="loudness lost when summed to mono, dB ≤ 0 is a loss"
    )


class Channels(Document):
    """Facts about the wiring, channel numbers from 0."""

    identical: bool = Field(description="a mono song in a stereo file")
    inverted: bool = Field(description="one channel is the other with its sign turned")
    dead: tuple[int, ...] = Field(description="channels without signal while another has some")


class Offset(Document):
    """Direct current."""

    offsets: tuple[float, ...] = Field(description="mean of each channel, full scale = 1")
    worst_dbfs: Measured = Field(description="null when there is none at all")


class Clipping(Document):
    """Flattened tops."""

    runs: int = Field(ge=0, description="runs of at least 3 equal samples at a ceiling")
    samples: int = Field(ge=0, description="samples in those runs")
    longest: int = Field(ge=0, description="samples in the longest run")
    runs_per_minute: Measured
    ceiling_dbfs: Measured = Field(description="the level of the flat tops; null without runs")
    attenuated: bool = Field(description="clipped first and turned down later")
    overs: int = Field(ge=0, description="samples beyond full scale (floating-point files)")
    inter_sample_overs: int = Field(
        ge=0, description="places where the wave between the samples exceeds 0 dBTP"
    )


class Pumping(Document):
    """Side-chain pumping: the level between 200 Hz and 4 kHz, folded on the beat."""

    tempo_bpm: Measured
    depth_db: Measured = Field(
        description="positive: a dip after the beat that recovers; negative: a rise on the beat"
    )
    duck_db: Measured = Field(
        description="the same on the 10th percentile over beats: what every beat has, hats or not"
    )
    recovery_ms: Measured = Field(description="from the lowest point back to −1 dB")
    beats: int = Field(ge=0)


class Noise(Document):
    """What is left when the music pauses."""

    floor_dbfs: Measured = Field(
        description="a quiet moment: 1st percentile of 100 ms windows that are not silent"
    )
    snr_db: Measured = Field(description="RMS − floor")
    flatness: Measured = Field(description="of the quietest moments: 1 white noise, 0 tones")


class Silence(Document):
    """At the ends, seconds below −60 dBFS; a file of nothing has all of its length at the start."""

    start_s: Seconds
    end_s: Seconds
    share: Share = Field(description="of the whole file")


class HumPartial(Document):
    """A line of the mains series."""

    frequency_hz: float
    level_dbfs: float
    prominence_db: float = Field(description="above the median of its neighbourhood")


class Hum(Document):
    """Mains hum; ``fundamental_hz`` is the likelier of 50 and 60 even when hum is absent."""

    fundamental_hz: Measured
    level_dbfs: Measured = Field(description="power of the prominent partials together")
    prominence_db: Measured = Field(description="median over the fundamental and harmonics 2 and 3")
    partials: tuple[HumPartial, ...] = ()


class LoudnessCurve(Document):
    """For plotting: at most `MOST_POINTS` points, the energy mean of what each stands for."""

    step_s: float
    short_term_lufs: tuple[Measured, ...] = Field(description="null below −70 LUFS")
    momentary_max_lufs: tuple[Measured, ...]


class Waveform(Document):
    """For plotting: lowest and highest sample of all channels in each bin."""

    step_s: float
    low: tuple[float, ...]
    high: tuple[float, ...]


class Meter(Document):
    """What measured it."""

    revision: int = Field(ge=1)
    oversampling: int = Field(ge=1)


class Analysis(Document):
    """The whole of ``analysis.json``. Every null measurement has its reason."""

    schema_: Literal["analysis/1"] = Field(default="analysis/1", alias="schema")
    source: SoundSource
    loudness: Loudness
    peaks: Peaks
    dynamics: Dynamics
    balance: Balance
    stereo: Stereo
    channels: Channels
    dc: Offset
    clipping: Clipping
    pumping: Pumping
    noise: Noise
    silence: Silence
    hum: Hum
    curve: LoudnessCurve
    waveform: Waveform
    reasons: Mapping[str, str] = Field(
        default_factory=dict, description="dotted path of a null, or of its ancestor → why"
    )
    meter: Meter

    @model_validator(mode="after")
    def _nulls_have_reasons(self) -> Self:
        for path in nulls(self):
            if self.reason(path) is None:
                raise ValueError(f"{path} is null and no reason says why")
        return self

    def value(self, path: str) -> float | None:
        """The number (or flag as 0/1) at a dotted path of `MEASUREMENTS`.

        Raises ``KeyError`` for a path that names no measurement.
        """
        if path not in MEASUREMENTS:
            raise KeyError(path)
        found: object = self
        for name in path.split("."):
            found = getattr(found, to_snake(name))
        return None if found is None else float(found)  # type: ignore[arg-type]

    def reason(self, path: str) -> str | None:
        """Why the number at a path is null, from the path itself or the nearest ancestor."""
        while path:
            if path in self.reasons:
                return self.reasons[path]
            path = path.rpartition(".")[0]
        return None


_EXPLAINED = ("source",)  # facts of the file, not measurements


def nulls(analysis: Analysis) -> Iterator[str]:
    """Dotted camelCase paths of every null measurement; list items by their position."""
    for name in Analysis.model_fields:
        if name not in _EXPLAINED:
            yield from _nulls_in(to_camel(name.rstrip("_")), getattr(analysis, name))


def _nulls_in(path: str, value: object) -> Iterator[str]:
    if value is None:
        yield path
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from _nulls_in(f"{path}.{to_camel(name)}", getattr(value, name))
    elif isinstance(value, tuple):
        for index, item in enumerate(value):
            yield from _nulls_in(f"{path}.{index}", item)


def _scalars(model: type[BaseModel], prefix: str) -> Iterator[str]:
    for name, field in model.model_fields.items():
        path = f"{prefix}{to_camel(name)}"
        kinds = {_plain(kind) for kind in _options(field.annotation)} - {type(None)}
        [kind] = kinds if len(kinds) == 1 else [object]
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from _scalars(kind, f"{path}.")
        elif kind in (int, float, bool):
            yield path


def _options(annotation: object) -> tuple[object, ...]:
    union = get_origin(annotation) in (Union, types.UnionType)
    return get_args(annotation) if union else (annotation,)


def _plain(annotation: object) -> object:
    return get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation


MEASUREMENTS: frozenset[str] = frozenset(_scalars(Analysis, ""))
"""Every path that `Analysis.value` knows, as in the JSON: ``balance.named.bass.deviationDb``."""
