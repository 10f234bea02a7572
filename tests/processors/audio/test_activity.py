from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processors.audio.activity import HOP_MS, ActivityRule, Span, detect, frame_rms
from processors.audio.samples import Audio

RATE = 16_000


def sound(*parts: tuple[float, float]) -> Audio:
    """Noise parts of (seconds, amplitude)."""
    random = np.random.default_rng(7)
    pieces = [level * random.standard_normal(int(s * RATE)) for s, level in parts]
    return Audio(np.concatenate(pieces).astype(np.float32)[None], RATE)


def near(span: Span, start_s: float, end_s: float) -> bool:
    return abs(span.start_ms - start_s * 1000) <= 20 and abs(span.end_ms - end_s * 1000) <= 20


def test_rms_is_the_root_of_the_mean_square_around_each_frame() -> None:
    mono = np.full(RATE, 0.5, np.float32)
    rms = frame_rms(mono, RATE, 20)
    assert len(rms) == 1000 // HOP_MS
    assert rms == pytest.approx(0.5)


def test_long_sound_is_measured_in_parts_without_seams() -> None:
    random = np.random.default_rng(3)
    mono = random.standard_normal(130 * 4000).astype(np.float32)
    rms = frame_rms(mono, 4000, 20)
    for t in (5999, 6000, 6001, 12_000):
        around = mono[t * 40 - 40 : t * 40 + 40]
        assert rms[t] == pytest.approx(np.sqrt(np.mean(around.astype(float) ** 2)), rel=1e-5)


def test_singing_is_found_between_silences() -> None:
    spans = detect(sound((1, 0), (2, 0.3), (1.5, 0), (1, 0.3), (1, 0))).spans()
    assert len(spans) == 2
    assert near(spans[0], 1, 3)
    assert near(spans[1], 4.5, 5.5)


def test_quiet_residue_of_a_separated_stem_is_not_singing() -> None:
    (span,) = detect(sound((3, 0.01), (2, 0.3), (3, 0.01))).spans()
    assert near(span, 3, 5)


def test_someone_who_never_stops_is_singing_all_the_time() -> None:
    activity = detect(sound((10, 0.3)))
    assert activity.active.mean() > 0.99
    assert activity.share(0, 10_000) > 0.99
    assert activity.sung_ms() > 9_900


def test_a_stop_consonant_is_no_pause_and_a_click_is_no_voice() -> None:
    closure = detect(sound((1, 0), (0.5, 0.3), (0.06, 0), (0.5, 0.3), (1, 0)))
    assert len(closure.spans()) == 1
    click = detect(sound((1, 0), (0.02, 0.3), (1, 0), (1, 0.3), (1, 0)))
    assert len(click.spans()) == 1


@pytest.mark.parametrize("frames", [0, 1, 10, RATE])
def test_silence_of_any_length_holds_no_singing(frames: int) -> None:
    activity = detect(Audio(np.zeros((2, frames), np.float32), RATE))
    assert not activity.active.any()
    assert activity.spans() == []
    assert activity.share(0, 100) == 0.0


def test_near_spans_are_bridged() -> None:
    activity = detect(sound((1, 0.3), (0.3, 0), (1, 0.3), (1, 0), (1, 0.3)))
    assert len(activity.spans()) == 3
    assert len(activity.spans(bridge_ms=500)) == 2


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(st.floats(0.01, 0.8), st.sampled_from([0.0, 0.3])), min_size=1, max_size=8),
    st.floats(0.05, 3.0),
)
def test_loudness_of_the_whole_stem_does_not_matter(
    parts: list[tuple[float, float]], gain: float
) -> None:
    audio = sound(*parts)
    if not audio.samples.any():
        return
    louder = Audio(audio.samples * np.float32(gain), RATE)
    assert np.array_equal(detect(audio).active, detect(louder).active)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.floats(0.01, 0.8), st.sampled_from([0.0, 0.3])), max_size=8))
def test_spans_are_in_order_apart_and_say_what_the_frames_say(
    parts: list[tuple[float, float]],
) -> None:
    activity = detect(sound(*parts) if parts else Audio(np.zeros((1, 0), np.float32), RATE))
    again = np.zeros_like(activity.active)
    latest = -1
    for span in activity.spans():
        assert latest < span.start_ms < span.end_ms
        latest = span.end_ms
        again[span.start_ms // HOP_MS : span.end_ms // HOP_MS] = True
        assert activity.share(span.start_ms, span.end_ms) == 1.0
    assert np.array_equal(again, activity.active)


def test_the_rule_is_a_setting() -> None:
    leaking = sound((2, 0.02), (2, 0.3), (2, 0.02))
    strict = detect(leaking, ActivityRule(peak_ratio=0.5))
    assert strict.sung_ms() < detect(sound((6, 0.3))).sung_ms()
