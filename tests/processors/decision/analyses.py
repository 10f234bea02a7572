"""Analyses for the rules: a healthy song, one with single measurements changed, and any at all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st
from pydantic.alias_generators import to_camel, to_snake

from schemas.documents.analysis import MEASUREMENTS, Analysis
from schemas.documents.chain import THIRD_OCTAVES_HZ

_BANDS = {
    "sub": (20, 56, -30.0),
    "bass": (56, 224, -20.0),
    "low_mid": (224, 560, -22.0),
    "mid": (560, 2240, -24.0),
    "high_mid": (2240, 7100, -28.0),
    "air": (7100, 20000, -34.0),
}


def _healthy() -> dict[str, Any]:
    named = {
        name: {
            "low_hz": low,
            "high_hz": high,
            "level_dbfs": level,
            "share_db": level + 16.0,
            "deviation_db": 0.5,
            "swing_db": 4.0,
            "correlation": 0.6,
            "width": 0.15,
        }
        for name, (low, high, level) in _BANDS.items()
    }
    return {
        "source": {
            "container": "wav", "encoding": "pcm_24", "bit_depth": 24, "floating_point": False,
            "rate_hz": 44_100, "channels": 2, "layout": "stereo", "frames": 8_820_000,
            "duration_s": 200.0,
        },
        "loudness": {
            "integrated_lufs": -17.0, "range_lu": 6.0, "short_term_max_lufs": -14.0,
            "momentary_max_lufs": -12.0, "relative_gate_lufs": -27.0, "range_low_lufs": -21.0,
            "range_high_lufs": -15.0,
        },
        "peaks": {
            "true_peak_dbtp": -3.0, "true_peak_at_s": 61.0, "true_peaks_dbtp": (-3.0, -3.4),
            "sample_peak_dbfs": -3.2, "sample_peaks_dbfs": (-3.2, -3.5),
        },
        "dynamics": {
            "rms_dbfs": -17.5, "crest_db": 14.3, "dr_db": 10.0, "plr_db": 14.0, "psr_db": 12.0,
            "psr_min_db": 9.0,
        },
        "balance": {
            "third_octaves": tuple(
                {"centre_hz": hz, "level_dbfs": -25.0 - 0.5 * n, "correlation": 0.6, "width": 0.15}
                for n, hz in enumerate(THIRD_OCTAVES_HZ)
            ),
            "named": named,
            "tilt_db_per_octave": -3.0,
            "highest_hz": 20_500.0,
        },
        "stereo": {
            "correlation": 0.6, "correlation_low": 0.3, "negative_share": 0.0, "width": 0.15,
            "side_to_mid_db": -7.5, "balance_db": 0.1, "bass_width": 0.02, "mono_loss_db": -0.7,
        },
        "channels": {"identical": False, "inverted": False, "dead": ()},
        "dc": {"offsets": (0.0, 0.0), "worst_dbfs": -120.0},
        "clipping": {
            "runs": 0, "samples": 0, "longest": 0, "runs_per_minute": 0.0, "ceiling_dbfs": -1.0,
            "attenuated": False, "overs": 0, "inter_sample_overs": 0,
        },
        "pumping": {
            "tempo_bpm": 120.0, "depth_db": 0.5, "duck_db": 0.2, "recovery_ms": 100.0,
            "beats": 200,
        },
        "noise": {"floor_dbfs": -75.0, "snr_db": 57.0, "flatness": 0.2},
        "silence": {"start_s": 0.1, "end_s": 1.0, "share": 0.006},
        "hum": {
            "fundamental_hz": 50.0, "level_dbfs": -95.0, "prominence_db": 1.0, "partials": (),
        },
        "curve": {"step_s": 0.1, "short_term_lufs": (-17.0,), "momentary_max_lufs": (-15.0,)},
        "waveform": {"step_s": 0.1, "low": (-0.5,), "high": (0.5,)},
        "meter": {"revision": 1, "oversampling": 8},
    }  # fmt: skip


def song(changes: Mapping[str, Any] | None = None, **also: Any) -> Analysis:
    """A healthy song with some paths set; None needs no reason here, it is given one.

    ``song({"loudness.integratedLufs": -8.0})``; keyword names replace whole sections.
    """
    made = _healthy() | also
    reasons = {}
    for path, value in (changes or {}).items():
        *parents, last = [to_snake(part) for part in path.split(".")]
        place = made
        for parent in parents:
            place = place[parent]
        place[last] = value
        if value is None:
            reasons[path] = "not measured in this test"
    return Analysis.model_validate({**made, "reasons": reasons})


_COUNTS = {
    "source.channels", "source.frames", "source.rateHz", "source.bitDepth", "clipping.runs",
    "clipping.samples", "clipping.longest", "clipping.overs", "clipping.interSampleOvers",
    "pumping.beats", "meter.revision", "meter.oversampling",
}  # fmt: skip
_FLAGS = {"channels.identical", "channels.inverted", "clipping.attenuated", "source.floatingPoint"}
_POSITIVE = {
    "peaks.truePeakAtS",
    "silence.startS",
    "silence.endS",
    "silence.share",
    "source.durationS",
}
_NEVER_NULL = {
    "balance.named." + to_camel(b) + end for b in _BANDS for end in (".lowHz", ".highHz")
}
_NEVER_NULL |= {"curve.stepS", "waveform.stepS"}

_wild = st.one_of(
    st.floats(-120, 60),
    st.floats(-1, 1),
    st.floats(allow_nan=False, allow_infinity=False),
)


def _any_value(path: str) -> st.SearchStrategy[Any]:
    if path in _COUNTS:
        return st.integers(1, 10**9)
    if path in _FLAGS:
        return st.booleans()
    if path == "silence.share":
        return st.floats(0, 1)
    if path in _POSITIVE:
        return st.floats(0, 1e5)
    return _wild if path in _NEVER_NULL else st.none() | _wild


@st.composite
def any_analyses(draw: st.DrawFn) -> Analysis:
    """A healthy song with up to twelve measurements replaced by anything, nulls included."""
    paths = draw(st.lists(st.sampled_from(sorted(MEASUREMENTS)), max_size=12, unique=True))
    changes = {path: draw(_any_value(path)) for path in paths}
    if draw(st.booleans()):
        changes["loudness.integratedLufs"] = draw(st.floats(-70, 3))
        changes["peaks.truePeakDbtp"] = draw(st.floats(-60, 12))
    offsets = draw(st.lists(_wild, max_size=6))
    changes["dc.offsets"] = tuple(offsets)
    return song(changes)
