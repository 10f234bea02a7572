"""Words get the note that was sung, in its octave, or a reason why not."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processors.audio.samples import Audio
from processors.quality.notes import melody, notes

RATE = 44_100

Signal = npt.NDArray[np.float64]


def voice(
    midi: float, *, seconds: float = 0.4, partials: int = 12, vibrato_cents: float = 0.0,
    tilt: float = 1.0, glide: float = 0.0,
) -> Signal:  # fmt: skip
    """A sung vowel: partials that fall by 1/n^tilt, 5.5 Hz vibrato, a slide in from below."""
    time = np.arange(round(seconds * RATE)) / RATE
    slide = -glide * np.exp(-time / 0.04)
    bend = midi + slide + vibrato_cents / 100 * np.sin(2 * np.pi * 5.5 * time)
    phase = 2 * np.pi * np.cumsum(440 * 2 ** ((bend - 69) / 12)) / RATE
    sound = sum(np.sin(n * phase) / n**tilt for n in range(1, partials + 1))
    made: Signal = 0.1 * np.asarray(sound)
    return made


def heard(sound: Signal) -> float | None:
    audio = Audio(sound.astype(np.float32)[None], RATE)
    (note,) = notes([("w1", 0, round(1000 * audio.seconds))], melody(audio))
    assert (note.midi is None) == (note.reason is not None)
    return note.midi


@settings(max_examples=60, deadline=None)
@given(
    st.floats(38, 83),
    st.sampled_from([0.0, 40.0]),
    st.floats(0.3, 2.0),
    st.sampled_from([0.0, 3.0]),
)
def test_the_note_is_found_in_its_octave(
    midi: float, vibrato: float, tilt: float, glide: float
) -> None:
    found = heard(voice(midi, vibrato_cents=vibrato, tilt=tilt, glide=glide))
    assert found == pytest.approx(midi, abs=0.4)


@pytest.mark.parametrize("midi", [45, 57, 69])
def test_a_missing_fundamental_changes_nothing(midi: int) -> None:
    time = np.arange(round(0.4 * RATE)) / RATE
    hertz = 440 * 2 ** ((midi - 69) / 12)
    sound = 0.1 * sum(np.sin(2 * np.pi * n * hertz * time) for n in (2, 3, 4, 5))
    assert heard(np.asarray(sound)) == pytest.approx(midi, abs=0.2)


def test_a_band_behind_the_voice_changes_nothing() -> None:
    random = np.random.default_rng(3)
    sound = voice(60, seconds=0.5)
    sound += 0.03 * random.standard_normal(len(sound))
    assert heard(sound) == pytest.approx(60, abs=0.2)


def test_the_note_that_is_held_counts() -> None:
    sound = np.concatenate([voice(52, seconds=0.1), voice(64, seconds=0.4)])
    assert heard(sound) == pytest.approx(64, abs=0.3)


@pytest.mark.parametrize(
    ("sound", "reason"),
    [
        (np.zeros(RATE // 2), "silent"),
        (0.1 * np.random.default_rng(1).standard_normal(RATE // 2), "no steady pitch"),
        (voice(60, seconds=0.03), "too short"),
    ],
)
def test_a_word_without_a_pitch_has_none(sound: Signal, reason: str) -> None:
    audio = Audio(sound.astype(np.float32)[None], RATE)
    (note,) = notes([("w1", 0, round(1000 * audio.seconds))], melody(audio))
    assert note.midi is None
    assert note.reason is not None
    assert reason in note.reason


def test_words_are_taken_one_by_one_where_they_stand() -> None:
    sound = np.concatenate([voice(57), voice(64), np.zeros(RATE)])
    audio = Audio(np.stack([sound, sound]).astype(np.float32), RATE)
    found = list(notes([("a", 0, 400), ("b", 400, 800), ("c", 900, 1500)], melody(audio)))
    assert [note.word_id for note in found] == ["a", "b", "c"]
    assert [note.midi and round(note.midi) for note in found] == [57, 64, None]
