"""The note that each word is sung on, from the vocal stem.

YIN (`processors.audio.yin`): the lag at which a frame differs least from itself, its difference
normalised by the mean over shorter lags. The stem's pitch is told once, every 10 ms, whatever the
words are: words that move find theirs without the stem.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import soxr

from processors.audio import yin
from processors.audio.samples import Audio
from processors.audio.yin import BANDWIDTH_HZ, HOP, LONGEST_LAG, RATE, WINDOW

Floats = npt.NDArray[np.float64]

METHOD = "yin-2"  # 2: frames on the song's grid of 10 ms, not on the word's

_PERIODIC = 0.3
"""Normalised difference below which a frame has a pitch; the paper's 0.1 is for clean speech,
separated vocals keep some of the band."""

_AS_GOOD = 0.1
"""The first dip this close to the deepest one is the period: twice and three times the period fit a
periodic sound as well, and would read an octave too low."""

_SILENT = 1e-4  # −80 dBFS
_QUIET = 0.03
"""Frames below 3 % of the word's loudest (−30 dB) are consonants and echoes."""

_FEWEST_FRAMES = 4  # 40 ms of pitch
_LEAST_VOICED = 0.2
"""A word with less pitch than this is whispered, rapped or not there."""

_AT_ONCE = 256  # frames; 2 MB each of the arrays that YIN makes of them stay in a core's cache


@dataclass(frozen=True, slots=True)
class Melody:
    """The stem's pitch, a frame of 65 ms every 10 ms: ``midi`` ``(frames,) float32``, NaN where
    there is none, and ``level`` ``(frames,) float32``, its RMS below 2 kHz.
    """

    midi: npt.NDArray[np.float32]
    level: npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class SungNote:
    """A note: MIDI number with its fraction (69.0 is A4, 440 Hz), None with the reason."""

    word_id: str
    midi: float | None
    voiced: float
    reason: str | None = None


def melody(vocals: Audio) -> Melody:
    """The pitch of a stem wherever it is not silent."""
    narrow = soxr.resample(vocals.mono(), vocals.rate, 2 * BANDWIDTH_HZ, quality="HQ")
    samples: Floats = soxr.resample(narrow, 2 * BANDWIDTH_HZ, RATE, quality="HQ").astype(np.float64)
    frames = yin.frames(samples)
    midi = np.full(len(frames), np.nan, np.float32)
    level = np.zeros(len(frames), np.float32)
    for first in range(0, len(frames), _AT_ONCE):
        part = frames[first : first + _AT_ONCE]
        head = part[:, :WINDOW]
        loud = np.sqrt(np.einsum("fn,fn->f", head, head) / WINDOW).astype(np.float32)
        level[first : first + _AT_ONCE] = loud
        heard = np.flatnonzero(loud >= _SILENT)
        if len(heard):
            midi[first + heard] = _midi(part[heard])
    return Melody(midi, level)


def notes(words: Iterable[tuple[str, int, int]], sung: Melody) -> Iterator[SungNote]:
    """One note for each ``(word id, start_ms, end_ms)``, of the frames within it."""
    for id_, start_ms, end_ms in words:
        first = -(-start_ms * RATE // (1000 * HOP))
        last = (end_ms * RATE // 1000 - WINDOW - LONGEST_LAG) // HOP + 1
        inside = slice(first, max(first, last))
        yield _note(id_, sung.midi[inside].astype(np.float64), sung.level[inside])


def _note(word_id: str, pitches: Floats, level: npt.NDArray[np.float32]) -> SungNote:
    if len(pitches) == 0:
        return SungNote(word_id, None, 0.0, "the word is too short to have a pitch")
    if level.max() < _SILENT:
        return SungNote(word_id, None, 0.0, "the stem is silent where the word stands")
    heard = np.isfinite(pitches) & (level >= _QUIET * level.max())
    voiced = round(float(heard.mean()), 3)
    if heard.sum() < _FEWEST_FRAMES or voiced < _LEAST_VOICED:
        return SungNote(word_id, None, voiced, "no steady pitch was heard in the word")
    return SungNote(word_id, _held(pitches[heard], level[heard].astype(np.float64)), voiced)


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
