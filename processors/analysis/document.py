"""From what the meter heard to ``analysis/1``: decibels, roundings, and reasons for every null."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from processors.analysis.clipping import ClippingReading
from processors.analysis.hum import HumReading
from processors.analysis.levels import ImageMeter, LevelMeter
from processors.analysis.loudness import ABSOLUTE_GATE_LUFS, LoudnessReading, lufs
from processors.analysis.plotting import Curve
from processors.analysis.pumping import PumpingReading
from processors.analysis.ratios import PeakToShortTerm
from processors.analysis.spectrum import (
    NAMED,
    BandReading,
    SpectrumMeter,
    centre_hz,
    correlation,
    deviations,
    tilt,
    width,
)
from processors.analysis.true_peak import OVERSAMPLING
from schemas.documents.analysis import (
    Analysis,
    Balance,
    Band,
    Channels,
    Clipping,
    Dynamics,
    Hum,
    HumPartial,
    Loudness,
    LoudnessCurve,
    Meter,
    NamedBands,
    Noise,
    Offset,
    Peaks,
    Pumping,
    Silence,
    SoundSource,
    Stereo,
    ThirdOctave,
    Waveform,
    nulls,
)

REVISION = 1
"""Counts up when a measurement changes its meaning or its method."""

_POINT_S = 0.1
_ONLY_DC_DB = -60.0  # alternating power under the DC's below which nothing but DC is there
_NOTHING = 1e-7  # −70 dBFS: a mean power below holds no music
_DEAD = 1e-6  # a channel 60 dB below the loudest
_DEAD_POWER = 1e-8  # … and below −80 dBFS
_IDENTICAL = 10 ** (-80 / 20)  # greatest distance, relative to the peak
_INVERTED = -0.99


@dataclass(frozen=True, slots=True)
class Heard:
    """Everything at the end of a song; peaks are linear."""

    source: SoundSource
    loudness: LoudnessReading
    levels: LevelMeter
    image: ImageMeter | None
    spectrum: SpectrumMeter
    clipping: ClippingReading
    pumping: PumpingReading | None
    hum: HumReading | None
    ratios: PeakToShortTerm
    true_peaks: npt.NDArray[np.float64]
    true_peak_at_s: float
    inter_sample_overs: int
    short_term: Curve
    momentary: Curve
    low: Curve
    high: Curve


def document(heard: Heard) -> Analysis:
    """Write down a song. Measurements that make no sense in it are null, with the reason."""
    quiet = _why_nothing(heard)
    loudness = _loudness(heard.loudness) if quiet is None else Loudness.model_construct(
        **dict.fromkeys(Loudness.model_fields)
    )  # fmt: skip
    peaks = _peaks(heard)
    parts = {
        "source": heard.source,
        "loudness": loudness,
        "peaks": peaks,
        "dynamics": _dynamics(heard, loudness, peaks, quiet is None),
        "balance": _balance(heard.spectrum, heard.image is not None),
        "stereo": _stereo(heard),
        "channels": _channels(heard),
        "dc": Offset(
            offsets=tuple(round(float(offset), 7) for offset in heard.levels.offsets),
            worst_dbfs=_amplitude_db(float(np.abs(heard.levels.offsets).max(initial=0.0))),
        ),
        "clipping": _clipping(heard),
        "pumping": _pumping(heard.pumping),
        "noise": _noise(heard),
        "silence": _silence(heard),
        "hum": _hum(heard.hum),
        "curve": _curve(heard),
        "waveform": Waveform(
            step_s=_POINT_S * heard.low.merged,
            low=_rounded(heard.low.points()),
            high=_rounded(heard.high.points()),
        ),
        "meter": Meter(revision=REVISION, oversampling=OVERSAMPLING),
    }
    draft = Analysis.model_construct(**parts)  # type: ignore[arg-type]
    return Analysis(**parts, reasons=_reasons(draft, heard, quiet))  # type: ignore[arg-type]


def _why_nothing(heard: Heard) -> str | None:
    """Why there is no music to measure, or None when there is."""
    levels = heard.levels
    if levels.frames == 0:
        return "the file holds no samples"
    power, offsets = float(levels.powers.max()), levels.offsets
    dc = float((offsets**2).max())
    if dc > _NOTHING and power <= dc * 10 ** (_ONLY_DC_DB / 10):
        return "the song holds only a constant offset (DC), nothing that can be heard"
    if power <= 0:
        return "the song is digital silence"
    if heard.loudness.integrated is None and heard.source.duration_s >= 0.4:
        return f"the song never passes the gate at {ABSOLUTE_GATE_LUFS:.0f} LUFS"
    return None


def _reasons(draft: Analysis, heard: Heard, quiet: str | None) -> dict[str, str]:
    """A reason for each null: one for a whole part where one explains it."""
    seconds = heard.source.duration_s
    known = {
        "loudness.integratedLufs": "the song is shorter than one gating block of 0.4 s",
        "loudness.relativeGateLufs": "the song is shorter than one gating block of 0.4 s",
        "loudness.momentaryMaxLufs": "the song is shorter than 0.4 s",
        "loudness": f"the song is shorter than the 3 s window ({seconds:.1f} s)",
        "peaks": "the channel or song is digital silence",
        "dynamics": f"needs 3 s of music above the gate; the song has {seconds:.1f} s",
        "balance.thirdOctaves": "nothing in this band, or the file is not stereo",
        "balance.named": (
            "nothing in this band, half the sample rate lies below it, or the file is not stereo"
        ),
        "balance": "the song is silent or its rate too low",
        "stereo": _why_no_stereo(heard),
        "dc": "there is no offset",
        "clipping.ceilingDbfs": "there are no flat tops",
        "clipping": "the song has no length",
        "pumping.recoveryMs": "the level does not dip after the beat",
        "pumping": "no steady beat was found, or the song is shorter than 6 s",
        "noise": "the song has no window of 100 ms above digital silence",
        "hum": "the song has no 2 s of sound in a row",
        "curve": f"below {ABSOLUTE_GATE_LUFS:.0f} LUFS, or before the first full window",
    }
    told: dict[str, str] = {}
    for path in nulls(draft):
        ancestors = [path]
        while "." in ancestors[-1]:
            ancestors.append(ancestors[-1].rpartition(".")[0])
        key = next(part for part in ancestors if part in known)
        silent = quiet is not None and key.partition(".")[0] not in ("dc", "clipping", "stereo")
        told[key] = quiet if silent and quiet is not None else known[key]
    return told


def _why_no_stereo(heard: Heard) -> str:
    if heard.image is None:
        return f"the file is {heard.source.layout}, not stereo"
    return "a channel, or what the channels differ in, is empty"


def _loudness(found: LoudnessReading) -> Loudness:
    return Loudness(
        integrated_lufs=_round(found.integrated),
        range_lu=_round(found.range),
        short_term_max_lufs=_round(found.short_term_max),
        momentary_max_lufs=_round(found.momentary_max),
        relative_gate_lufs=_round(found.relative_gate),
        range_low_lufs=_round(found.range_low),
        range_high_lufs=_round(found.range_high),
    )


def _peaks(heard: Heard) -> Peaks:
    highest = float(heard.true_peaks.max(initial=0.0))
    return Peaks(
        true_peak_dbtp=_amplitude_db(highest),
        true_peak_at_s=round(heard.true_peak_at_s, 4) if highest > 0 else None,
        true_peaks_dbtp=tuple(_amplitude_db(float(peak)) for peak in heard.true_peaks),
        sample_peak_dbfs=_amplitude_db(float(heard.levels.peaks.max(initial=0.0))),
        sample_peaks_dbfs=tuple(_amplitude_db(float(peak)) for peak in heard.levels.peaks),
    )


def _dynamics(heard: Heard, loudness: Loudness, peaks: Peaks, audible: bool) -> Dynamics:
    rms = _power_db(float(heard.levels.powers.mean()))
    return Dynamics(
        rms_dbfs=rms,
        crest_db=_less(peaks.sample_peak_dbfs, rms) if audible else None,
        dr_db=_round(heard.levels.dr_db()) if audible else None,
        plr_db=_less(peaks.true_peak_dbtp, loudness.integrated_lufs),
        psr_db=_round(heard.ratios.loud_half(0.5)) if audible else None,
        psr_min_db=_round(heard.ratios.loud_half(0.05)) if audible else None,
    )


def _balance(spectrum: SpectrumMeter, stereo: bool) -> Balance:
    thirds, named = spectrum.third_octaves(), spectrum.named()
    whole = sum(reading.power for reading in thirds.values())
    off = deviations(named)
    return Balance(
        third_octaves=tuple(
            ThirdOctave(
                centre_hz=round(centre_hz(band), 2),
                level_dbfs=_power_db(thirds[band].power) if band in thirds else None,
                correlation=_round(thirds[band].correlation) if band in thirds and stereo else None,
                width=_round(thirds[band].width, 4) if band in thirds and stereo else None,
            )
            for band in spectrum.bands
        ),
        named=NamedBands(
            **{name: _band(name, named.get(name), whole, off.get(name), stereo) for name in NAMED}
        ),
        tilt_db_per_octave=_round(tilt(thirds)),
        highest_hz=_round(spectrum.highest_hz(), 0),
    )


def _band(
    name: str, found: BandReading | None, whole: float, off: float | None, stereo: bool
) -> Band:
    first, last = NAMED[name]
    level = _power_db(found.power) if found is not None else None
    return Band(
        low_hz=round(10 ** ((first - 0.5) / 10), 1),
        high_hz=round(10 ** ((last + 0.5) / 10), 1),
        level_dbfs=level,
        share_db=_less(level, _power_db(whole)),
        deviation_db=_round(off),
        swing_db=_round(found.swing_db) if found is not None else None,
        correlation=_round(found.correlation, 3) if found is not None and stereo else None,
        width=_round(found.width, 4) if found is not None and stereo else None,
    )


def _stereo(heard: Heard) -> Stereo:
    image = heard.image
    if image is None:
        return Stereo.model_construct(**dict.fromkeys(Stereo.model_fields))
    left, right, cross = image.left, image.right, image.cross
    mid, side = left + right + 2 * cross, left + right - 2 * cross
    return Stereo(
        correlation=_round(correlation(left, right, cross), 3),
        correlation_low=_round(image.low_correlation(), 3),
        negative_share=_round(image.negative_share(), 3),
        width=_round(width(left, right, cross), 4),
        side_to_mid_db=_ratio_db(side, mid),
        balance_db=_ratio_db(left, right),
        bass_width=_round(heard.spectrum.bass_width(), 4),
        mono_loss_db=_ratio_db(mid, 2 * (left + right)),
    )


def _channels(heard: Heard) -> Channels:
    powers = heard.levels.powers
    loudest = float(powers.max(initial=0.0))
    dead = tuple(
        channel
        for channel, power in enumerate(powers.tolist())
        if loudest > _DEAD_POWER and power < min(loudest * _DEAD, _DEAD_POWER)
    )
    image = heard.image
    alike = correlation(image.left, image.right, image.cross) if image is not None else None
    peak = float(heard.levels.peaks.max(initial=0.0))
    return Channels(
        identical=image is not None and peak > 0 and image.apart <= _IDENTICAL * peak,
        inverted=alike is not None and alike <= _INVERTED,
        dead=dead,
    )


def _clipping(heard: Heard) -> Clipping:
    found, minutes = heard.clipping, heard.source.duration_s / 60
    ceiling = _amplitude_db(found.ceiling) if found.ceiling is not None else None
    return Clipping(
        runs=found.runs,
        samples=found.samples,
        longest=found.longest,
        runs_per_minute=_round(found.runs / minutes) if minutes else None,
        ceiling_dbfs=ceiling,
        # converters and editors clip at full scale or at the −0.1 of a careful export
        attenuated=ceiling is not None and ceiling < -0.15,
        overs=found.overs,
        inter_sample_overs=heard.inter_sample_overs,
    )


def _pumping(found: PumpingReading | None) -> Pumping:
    return Pumping(
        tempo_bpm=_round(found.tempo_bpm) if found else None,
        depth_db=_round(found.depth_db) if found else None,
        duck_db=_round(found.duck_db) if found else None,
        recovery_ms=_round(found.recovery_ms, 0) if found else None,
        beats=found.beats if found else 0,
    )


def _noise(heard: Heard) -> Noise:
    floor = heard.levels.noise_floor_db()
    rms = _power_db(float(heard.levels.powers.mean()))
    flatness = heard.spectrum.quiet_flatness()
    return Noise(
        floor_dbfs=_round(floor),
        snr_db=_less(rms, floor),
        flatness=_round(flatness, 3) if floor is not None else None,
    )


def _silence(heard: Heard) -> Silence:
    start, end, share = heard.levels.silence()
    return Silence(start_s=round(start, 3), end_s=round(end, 3), share=round(share, 4))


def _hum(found: HumReading | None) -> Hum:
    if found is None:
        return Hum(fundamental_hz=None, level_dbfs=None, prominence_db=None)
    lines = found.prominent or found.lines
    power = sum(10 ** (line.level_dbfs / 10) for line in lines)
    return Hum(
        fundamental_hz=found.fundamental_hz,
        level_dbfs=_power_db(power),
        prominence_db=_round(found.prominence_db),
        partials=tuple(
            HumPartial(
                frequency_hz=line.frequency_hz,
                level_dbfs=round(line.level_dbfs, 2),
                prominence_db=round(line.prominence_db, 2),
            )
            for line in found.prominent
        ),
    )


def _curve(heard: Heard) -> LoudnessCurve:
    step = heard.momentary.merged
    return LoudnessCurve(
        step_s=_POINT_S * step,
        short_term_lufs=_plotted(heard.short_term),
        momentary_max_lufs=_plotted(heard.momentary),
    )


def _plotted(curve: Curve) -> tuple[float | None, ...]:
    levels = lufs(curve.points()).tolist()
    return tuple(round(level, 2) if level >= ABSOLUTE_GATE_LUFS else None for level in levels)


def _rounded(points: npt.NDArray[np.float64]) -> tuple[float, ...]:
    return tuple(round(point, 4) for point in points.tolist())


def _round(value: float | None, digits: int = 3) -> float | None:
    if value is None or not math.isfinite(value):
        return None
    return round(value, digits) + 0.0  # no negative zero


def _less(value: float | None, other: float | None) -> float | None:
    return _round(value - other) if value is not None and other is not None else None


def _power_db(power: float) -> float | None:
    return _round(10 * math.log10(power)) if power > 0 else None


def _amplitude_db(amplitude: float) -> float | None:
    return _round(20 * math.log10(amplitude)) if amplitude > 0 else None


def _ratio_db(one: float, other: float) -> float | None:
    """None when one of them is empty against the other (100 dB)."""
    if one <= 1e-10 * other or other <= 1e-10 * one:
        return None
    return _round(10 * math.log10(one / other))
