"""The note that each word is sung on, from the vocal stem.

YIN (de Cheveigné and Kawahara 2002, JASA 111, 1917): the lag at which a frame differs least from
itself, its difference normalised by the mean over shorter lags. Written here because the kept
library for it, pyworld, comes without wheels and so would ask users for a compiler; only the
parts of the stem where words stand are looked at.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import soxr

from processors.audio.samples import Audio

Floats = npt.NDArray[np.float64]

METHOD = "yin-1"

RATE = 16_000
"""Hz; a period of the highest note has 15 samples."""

_BANDWIDTH_HZ = 2_000
"""What is above is taken off: it says nothing of the period, and makes dips so narrow that they
fall between two lags."""

LOWEST_HZ, HIGHEST_HZ = 65.0, 1_050.0
"""C2 to C6: from a low bass to a soprano's top."""

_HOP = RATE // 100  # 10 ms
_WINDOW = RATE // 20  # 50 ms: three periods of C2
_SHORTEST_LAG = int(RATE / HIGHEST_HZ)
_LONGEST_LAG = int(RATE / LOWEST_HZ) + 1

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
    narrow = soxr.resample(sound, vocals.rate, 2 * _BANDWIDTH_HZ, quality="HQ")
    samples: Floats = soxr.resample(narrow, 2 * _BANDWIDTH_HZ, RATE, quality="HQ").astype(
        np.float64
    )
    for id_, start_ms, end_ms in words:
        yield _note(id_, samples[start_ms * RATE // 1000 : end_ms * RATE // 1000])


def _note(word_id: str, sound: Floats) -> SungNote:
    frames = _frames(sound)
    if len(frames) == 0:
        return SungNote(word_id, None, 0.0, "the word is too short to have a pitch")
    level = np.sqrt((frames[:, :_WINDOW] ** 2).mean(axis=1))
    if level.max() < 1e-4:  # −80 dBFS
        return SungNote(word_id, None, 0.0, "the stem is silent where the word stands")
    pitches = _midi(frames)
    heard = np.isfinite(pitches) & (level >= _QUIET * level.max())
    voiced = round(float(heard.mean()), 3)
    if heard.sum() < _FEWEST_FRAMES or voiced < _LEAST_VOICED:
        return SungNote(word_id, None, voiced, "no steady pitch was heard in the word")
    return SungNote(word_id, _held(pitches[heard], level[heard]), voiced)


def _frames(sound: Floats) -> Floats:
    """``(frames, window + longest lag)``, 10 ms apart; none when the sound is shorter."""
    length = _WINDOW + _LONGEST_LAG
    if len(sound) < length:
        return np.empty((0, length))
    return np.lib.stride_tricks.sliding_window_view(sound, length)[::_HOP]


def _midi(frames: Floats) -> Floats:
    """The pitch of each frame, ``(frames,)``; NaN where there is none."""
    dip = _normalised_difference(frames)
    before, here, after = dip[:, :-2], dip[:, 1:-1], dip[:, 2:]
    bottoms = (here <= before) & (here < after)
    bottoms[:, : _SHORTEST_LAG - 1] = False
    # a parabola through three lags: where the dip is deepest, and how deep (YIN, step 5)
    bend = before - 2 * here + after
    shift = np.divide(0.5 * (before - after), bend, out=np.zeros_like(bend), where=bend > 0)
    depth = np.where(bottoms, here - 0.25 * (before - after) * shift, np.inf)
    good = depth <= depth.min(axis=1, keepdims=True) + _AS_GOOD
    first = good.argmax(axis=1)
    rows = np.arange(len(frames))
    pitches = 69 + 12 * np.log2(RATE / (first + 1 + shift[rows, first]) / 440.0)
    return np.where(depth[rows, first] < _PERIODIC, pitches, np.nan)


def _normalised_difference(frames: Floats) -> Floats:
    """YIN's d' of each frame at lags 0 to the longest, ``(frames, lags)`` (equations 6 and 8)."""
    size = frames.shape[1] + _WINDOW
    head = np.fft.rfft(frames[:, :_WINDOW], size)
    product = np.fft.irfft(np.conj(head) * np.fft.rfft(frames, size), size)[:, : _LONGEST_LAG + 1]
    squares = np.cumsum(np.pad(frames**2, ((0, 0), (1, 0))), axis=1)
    energy = squares[:, _WINDOW:] - squares[:, : _LONGEST_LAG + 1]
    difference = np.maximum(energy[:, :1] + energy - 2 * product, 0.0)
    mean = np.cumsum(difference[:, 1:], axis=1) / np.arange(1, _LONGEST_LAG + 1)
    normal = np.ones_like(difference)
    np.divide(difference[:, 1:], mean, out=normal[:, 1:], where=mean > 1e-12)
    return normal


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
