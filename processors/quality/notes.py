"""The note that each word is sung on, from the vocal stem.

YIN (`processors.audio.yin`): the lag at which a frame differs least from itself, its difference
normalised by the mean over shorter lags. Only the parts of the stem where words stand are looked
at.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import soxr

from processors.audio import yin
from processors.audio.samples import Audio
from processors.audio.yin import BANDWIDTH_HZ, RATE, WINDOW

Floats = npt.NDArray[np.float64]

METHOD = "yin-1"

_PERIODIC = 0.3
"""Normalised difference below which a frame has a pitch; the paper's 0.1 is for clean speech,
separated vocals keep some of the band."""

_AS_GOOD = 0.1
"""The first dip this close to the deepest one is the period: twice and three times the period fit a
periodic sound as well, and would read an octave too low."""

_QUIET = 0.03
"""Frames below 3 % of the word's loudest (−30 dB) are consonants and echoes."""

_FEWEST_FRAMES = 4  # 40 ms of pitch
_LEAST_VOICED = 0.2
"""A word with less pitch than this is whispered, rapped or not there."""


@dataclass(frozen=True, slots=True)
class SungNote:
    """A note: MIDI number with its fraction (69.0 is A4, 440 Hz), None with the reason."""

    word_id: str
    midi: float | None
    voiced: float
    reason: str | None = None


def notes(words: Iterable[tuple[str, int, int]], vocals: Audio) -> Iterator[SungNote]:
    """One note for each ``(word id, start_ms, end_ms)``."""
    sound = vocals.mono()
    narrow = soxr.resample(sound, vocals.rate, 2 * BANDWIDTH_HZ, quality="HQ")
    samples: Floats = soxr.resample(narrow, 2 * BANDWIDTH_HZ, RATE, quality="HQ").astype(np.float64)
    for id_, start_ms, end_ms in words:
        yield _note(id_, samples[start_ms * RATE // 1000 : end_ms * RATE // 1000])


def _note(word_id: str, sound: Floats) -> SungNote:
    frames = yin.frames(sound)
    if len(frames) == 0:
        return SungNote(word_id, None, 0.0, "the word is too short to have a pitch")
    level = np.sqrt((frames[:, :WINDOW] ** 2).mean(axis=1))
    if level.max() < 1e-4:  # −80 dBFS
        return SungNote(word_id, None, 0.0, "the stem is silent where the word stands")
    pitches = _midi(frames)
    heard = np.isfinite(pitches) & (level >= _QUIET * level.max())
    voiced = round(float(heard.mean()), 3)
    if heard.sum() < _FEWEST_FRAMES or voiced < _LEAST_VOICED:
        return SungNote(word_id, None, voiced, "no steady pitch was heard in the word")
    return SungNote(word_id, _held(pitches[heard], level[heard]), voiced)


def _midi(frames: yin.Lags) -> Floats:
    """The pitch of each frame, ``(frames,)``; NaN where there is none."""
    found = yin.dips(yin.normalised_difference(frames))
    depth = found.depths
    good = depth <= depth.min(axis=1, keepdims=True) + _AS_GOOD
    first = good.argmax(axis=1)
    rows = np.arange(len(frames))
    pitches = 69 + 12 * np.log2(RATE / found.lags[rows, first] / 440.0)
    return np.where(depth[rows, first] < _PERIODIC, pitches, np.nan)


def _held(pitches: Floats, level: Floats) -> float:
    """The note that is held longest: the weighted median of the frames around the fullest
    semitone, so that slides into it and single octave errors have no say.
    """
    close = np.abs(pitches[:, None] - pitches[None, :]) <= 1.0
    centre = pitches[int((close * level[None, :]).sum(axis=1).argmax())]
    near = np.abs(pitches - centre) <= 1.0
    order = np.argsort(pitches[near])
    weight = np.cumsum(level[near][order])
    return float(pitches[near][order][int(np.searchsorted(weight, weight[-1] / 2))])
