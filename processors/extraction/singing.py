"""How notes are held: where they are, how they shake, how far they stand off the scale."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from pydantic import JsonValue
from scipy import ndimage

from processors.extraction.frames import rounded

Curve = npt.NDArray[np.float64]

FRAME_S = 0.01
_SMOOTH = 25
"""Frames: a quarter of a second holds a whole period of vibrato, so that it does not cut notes."""
_SAME_NOTE = 0.7  # semitones around the middle of a note
_SHORTEST = 10  # frames of a note
_LONG = 50  # frames: two periods of the slowest vibrato and some more
_SLOWEST_HZ, _FASTEST_HZ = 3.5, 9.0
"""Singers' vibrato is 4.5 to 8 Hz (Sundberg, "The Science of the Singing Voice", 1987)."""
_REGULAR = 0.5  # share of the note's movement that one sine explains
_LEAST_CENTS = 10.0


def note_spans(midi: Curve) -> list[tuple[int, int]]:
    """First and one past the last frame of each held note; ``midi`` is NaN where none sounds."""
    voiced = np.isfinite(midi)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], voiced, [False]]).astype(int)))
    spans = []
    for start, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        size = min(_SMOOTH, (end - start) | 1)
        smooth = ndimage.median_filter(midi[start:end], size, mode="nearest")
        smooth = ndimage.uniform_filter1d(smooth, max(1, size // 2), mode="nearest")
        first, middle = 0, float(smooth[0])
        for at in range(1, len(smooth) + 1):
            if at < len(smooth) and abs(smooth[at] - middle) <= _SAME_NOTE:
                count = at - first
                middle += (float(smooth[at]) - middle) / (count + 1)
                continue
            if at - first >= _SHORTEST:
                spans.append((start + first, start + at))
            if at < len(smooth):
                first, middle = at, float(smooth[at])
    return spans


def vibrato(midi: Curve, spans: list[tuple[int, int]]) -> dict[str, JsonValue] | None:
    """Rate (Hz) and depth (cents to either side), weighted by length; None where there is none."""
    rates, depths, lengths, whole = [], [], [], 0
    for start, end in spans:
        if end - start < _LONG:
            continue
        whole += end - start
        # attack and release slide; the middle tells
        found = _shaking(midi[start + 8 : end - 8])
        if found is not None:
            rates.append(found[0])
            depths.append(found[1])
            lengths.append(end - start)
    if not rates:
        return None
    return {
        "rate_hz": rounded(np.average(rates, weights=lengths), 2),
        "depth_cents": rounded(np.average(depths, weights=lengths), 1),
        "notes": len(rates),
        "share": rounded(sum(lengths) / whole),
    }


def _shaking(midi: Curve) -> tuple[float, float] | None:
    """The sine that explains the most of a note's movement, by least squares over rates."""
    time = np.arange(len(midi)) * FRAME_S
    trend = np.polyval(np.polyfit(time, midi, 2), time)
    moves = 100 * (midi - trend)
    power = float(moves @ moves)
    if power <= 0:
        return None
    rates = np.arange(_SLOWEST_HZ, _FASTEST_HZ, 0.05)
    waves = np.exp(-2j * np.pi * rates[:, None] * time)
    explained = 2 * np.abs(waves @ moves) ** 2 / len(moves)
    best = int(explained.argmax())
    if not 0 < best < len(rates) - 1 or explained[best] < _REGULAR * power:
        return None
    depth = 2 * float(np.abs(waves[best] @ moves)) / len(moves)
    return (float(rates[best]), depth) if depth >= _LEAST_CENTS else None


def intonation(midi: Curve, spans: list[tuple[int, int]]) -> dict[str, JsonValue] | None:
    """The tuning that fits the notes best, and how far they stand off it on average (cents)."""
    if not spans:
        return None
    middles = np.array([np.median(midi[start:end]) for start, end in spans])
    lengths = np.array([end - start for start, end in spans], float)
    turn = np.exp(2j * np.pi * middles) @ lengths / lengths.sum()
    tuning = float(np.angle(turn) / (2 * np.pi))
    off = (middles - tuning + 0.5) % 1 - 0.5
    return {
        "tuning_cents": rounded(100 * tuning, 1),
        "tuning_hz": rounded(440 * 2 ** (tuning / 12), 2),
        "deviation_cents": rounded(100 * np.average(np.abs(off), weights=lengths), 1),
    }
