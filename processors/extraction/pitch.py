"""``pitch_extractor``: the fundamental of a voice or a solo instrument, and how it is sung.

YIN (`processors.audio.yin`) gives each 10 ms a few periods that may be the one; a best path
through them (as in pYIN, Mauch and Dixon, ICASSP 2014) prefers deep dips, short periods and small
steps, and decides on voicing. In a full mix it follows whatever dominates: use a vocal stem where
there is one.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt
import soxr

from processors.audio import yin
from processors.extraction.extractor import Context, Cost, Extraction, Features, Sound
from processors.extraction.frames import Rows, rounded, summary
from processors.extraction.singing import intonation, note_spans, vibrato
from processors.extraction.sound import Block

Floats = npt.NDArray[np.float32]

_AT_ONCE = 256
"""Frames looked at together. Of a whole block the intermediate arrays are tens of megabytes, which
the allocator gives back to the system each time: a quarter of an extraction went into page faults.
On a GPU it would be too few; there the block is one."""
_PLACES = 4  # periods kept of each frame
_WINDOW = yin.RATE * 3 // 100  # 30 ms, two periods of C2: notes that follow each other stay apart
_FRAME = _WINDOW + yin.LONGEST_LAG
_FINE = yin.RATE * 15 // 1000  # 15 ms: what the pitch is taken from, a tenth of a vibrato
_UNVOICED = 0.35
"""Normalised difference at which having no pitch is as likely (YIN's aperiodicity)."""
_SWITCH = 0.15  # what it costs to begin or end a pitch
_LONGER = 0.06
"""What an octave of period costs: twice the period fits a periodic sound as well."""
_STEP = 0.025  # what a semitone in 10 ms costs …
_LEAP = 0.35  # … and the most that any leap does
_SILENT = 10 ** (-65 / 20)
_FAINT = 10 ** (-45 / 20)  # of the loudest 100 ms
_SHORTEST = 6
_SURE = 0.2
"""A run of pitch shorter than 60 ms, or whose typical frame is less periodic, is chance: noise
reaches 0.25 for a moment, voices stay below 0.1 outside their edges."""


class Differences(Protocol):
    """Where YIN's d' is computed."""

    def __call__(self, cut: Floats) -> npt.NDArray[np.floating]:
        """``(frames, FRAME)`` to ``(frames, lags)``."""
        ...


class PitchExtractor:
    """See the module."""

    name, version, device = "pitch_extractor", "1", "shared"
    description = "F0 with voicing; range, vibrato, intonation. For a voice or a solo instrument."

    def cost(self, seconds: float, rate: int) -> Cost:
        """Three transforms and a step of the best path every 10 ms."""
        return Cost(0.012 * seconds, round(100 * 4 * (2 * _PLACES + 2) * seconds))

    def extract(self, audio: Sound, context: Context) -> Extraction:
        """Begin with a file."""
        if context.device == "cpu":
            return PitchTrack(context.rate, yin.normalised_difference, at_once=_AT_ONCE)
        from processors.extraction.torch_spectra import TorchDifferences

        return PitchTrack(context.rate, TorchDifferences(context.device))


class PitchTrack:
    """One file's pitch in work; ``at_once`` frames are looked at together, 0: all of a block."""

    def __init__(self, rate: int, differences: Differences, *, at_once: int = 0) -> None:
        self._narrow = soxr.ResampleStream(rate, 2 * yin.BANDWIDTH_HZ, 1, dtype="float32")
        self._even = soxr.ResampleStream(2 * yin.BANDWIDTH_HZ, yin.RATE, 1, dtype="float32")
        self._differences = differences
        self._at_once = at_once
        # the frame is centred on its time: half of it stands before the first sample
        self._tail = np.zeros(_FRAME // 2, np.float32)
        self._hz, self._depths, self._levels = Rows(), Rows(), Rows()

    def add(self, block: Block) -> None:
        """Take in a block."""
        self._take(self._even.resample_chunk(self._narrow.resample_chunk(block.mono)))

    def _take(self, sound: Floats) -> None:
        joined = np.concatenate([self._tail, sound])
        cut = yin.frames(joined, _WINDOW)
        if not len(cut):
            self._tail = joined
            return
        self._tail = joined[len(cut) * yin.HOP :].copy()
        at_once = self._at_once or len(cut)
        for first in range(0, len(cut), at_once):
            self._look(cut[first : first + at_once])

    def _look(self, cut: Floats) -> None:
        # d' as it stands needs no level; the mean is rumble, not pitch
        cut = cut - cut.mean(axis=1, keepdims=True)
        found = yin.dips(self._differences(cut))
        # multiples of a short period are as deep and many: the shorter come first
        rank = found.depths + _LONGER * np.log2(np.maximum(found.lags, 1.0))
        places = np.argpartition(rank, _PLACES, axis=1)[:, :_PLACES]
        depths = np.take_along_axis(found.depths, places, axis=1)
        hz = yin.RATE / np.take_along_axis(found.lags, places, axis=1)
        for place in range(_PLACES):
            worth = depths[:, place] < 2 * _UNVOICED
            hz[worth, place] = yin.nearer(cut[worth], hz[worth, place], _FINE)
        self._depths.add(depths)
        self._hz.add(hz)
        self._levels.add(np.sqrt(np.einsum("fn,fn->f", cut, cut) / cut.shape[1]))

    def finish(self) -> Features:
        """Follow the pitch and sum it up."""
        rest = self._narrow.resample_chunk(np.empty(0, np.float32), last=True)
        sound = self._even.resample_chunk(rest, last=True)
        self._take(np.concatenate([sound, np.zeros(_FRAME // 2 + yin.HOP, np.float32)]))
        depths = self._depths.whole().reshape(-1, _PLACES)
        hz = self._hz.whole().reshape(-1, _PLACES)
        levels = self._levels.whole()
        chosen = followed(depths, hz, _loud_enough(levels))
        track = np.where(chosen >= 0, hz[np.arange(len(hz)), np.maximum(chosen, 0)], 0.0)
        strength = np.clip(1 - depths[np.arange(len(hz)), np.maximum(chosen, 0)], 0, 1)
        return _features(track.astype(np.float32), np.where(chosen >= 0, strength, 0.0))


def _loud_enough(levels: Floats) -> npt.NDArray[np.bool_]:
    if not len(levels):
        return np.zeros(0, np.bool_)
    top = float(np.percentile(levels, 99))
    return np.asarray(levels > max(_SILENT, _FAINT * top))


def followed(depths: Floats, hz: Floats, loud: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Which place of each frame is its pitch, −1 for none: the cheapest path."""
    frames, places = depths.shape
    if not frames:
        return np.zeros(0, np.int64)
    octaves = np.log2(hz / yin.LOWEST_HZ)
    own = np.full((frames, places + 1), _UNVOICED)
    own[:, :places] = np.where(np.isfinite(depths), depths - _LONGER * octaves, 1e3)
    own[:, :places] += _LONGER * 2  # two octaves up, a high voice, is neutral
    own[~loud, :places] = 1e3
    steps = np.full((frames, places + 1, places + 1), _SWITCH, np.float32)
    leaps = 12 * np.abs(octaves[1:, None, :] - octaves[:-1, :, None])
    steps[1:, :places, :places] = np.minimum(_STEP * leaps, _LEAP)
    steps[:, places, places] = 0.0
    back = np.zeros((frames, places + 1), np.int8)
    total = own[0]
    for at in range(1, frames):
        ways = total[:, None] + steps[at]
        back[at] = ways.argmin(axis=0)
        total = ways.min(axis=0) + own[at]
    path = np.empty(frames, np.int64)
    state = int(total.argmin())
    for at in range(frames - 1, -1, -1):
        path[at] = state
        state = int(back[at, state])
    chosen = np.where(path < places, path, -1)
    return _without_chance(chosen, depths)


def _without_chance(chosen: npt.NDArray[np.int64], depths: Floats) -> npt.NDArray[np.int64]:
    edges = np.flatnonzero(np.diff(np.concatenate([[False], chosen >= 0, [False]]).astype(int)))
    for start, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        run = depths[np.arange(start, end), chosen[start:end]]
        if end - start < _SHORTEST or float(np.median(run)) > _SURE:
            chosen[start:end] = -1
    return chosen


def _features(hz: Floats, strength: npt.NDArray[np.floating]) -> Features:
    voiced = hz > 0
    arrays = {"f0_hz": hz, "voiced": voiced, "periodicity": strength.astype(np.float32)}
    units = {"f0_hz": "Hz every 10 ms from 0 s, 0 where there is none"}
    parameters = {
        "hop_s": yin.HOP / yin.RATE,
        "lowest_hz": yin.LOWEST_HZ,
        "highest_hz": yin.HIGHEST_HZ,
    }
    share = rounded(voiced.mean()) if len(hz) else 0.0
    if not voiced.any():
        fields = ("f0_hz", "range", "vibrato", "intonation")
        return Features(
            {"voiced_share": share, **dict.fromkeys(fields)},
            reasons=dict.fromkeys(fields, "nothing here has a pitch"),
            arrays=arrays, units=units, parameters=parameters,
        )  # fmt: skip
    midi = np.full(len(hz), np.nan)
    midi[voiced] = 69 + 12 * np.log2(hz[voiced] / 440.0)
    low, high = np.percentile(midi[voiced], [5, 95])
    spans = note_spans(midi)
    shaking, held = vibrato(midi, spans), intonation(midi, spans)
    reasons = {}
    if shaking is None:
        reasons["vibrato"] = "no note is held long enough (0.5 s) and shakes regularly"
    if held is None:
        reasons["intonation"] = "no note is held long enough (0.1 s)"
    return Features(
        {
            "voiced_share": share,
            "f0_hz": summary(hz[voiced], 2),
            "range": {
                "low_midi": rounded(low, 2),
                "high_midi": rounded(high, 2),
                "semitones": rounded(high - low, 2),
            },
            "notes": len(spans),
            "vibrato": shaking,
            "intonation": held,
        },
        reasons=reasons, arrays=arrays, units=units, parameters=parameters,
    )  # fmt: skip
