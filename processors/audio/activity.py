"""Where somebody sings: vocal activity from the energy of a vocal stem.

Alignment keeps words out of breaks with it, transcription cuts the song along it, and quality
control looks for words in silence and for singing without words.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from processors.audio.samples import Audio

Mask = npt.NDArray[np.bool_]

HOP_MS = 10
"""One decision every 10 ms, the frame of the acoustic model."""


@dataclass(frozen=True, slots=True)
class ActivityRule:
    """When a frame counts as sung."""

    window_ms: int = 20
    """RMS window, ms (facts.md; about two periods of the lowest sung note, 80 Hz)."""
    floor_ratio: float = 3.0
    """Louder than this many times the 20th percentile: residue of a separated stem in the breaks
    is the bulk of the quiet frames (facts.md)."""
    peak_ratio: float = 0.02
    """… and than 2 % of the loudest frame (facts.md), for stems whose breaks are pure silence."""
    ceiling_ratio: float = 0.1
    """Never ask for more than 10 % (−20 dB) of the 95th percentile: when someone sings for more
    than four fifths of the time, the 20th percentile is singing itself."""
    silent: float = 1e-4
    """A stem whose loudest frame is below −80 dBFS holds no singing."""
    shortest_ms: int = 50
    """Bursts shorter than this are clicks and bleeding drums."""
    closed_ms: int = 90
    """Gaps shorter than this are stop consonants (closures last 50 to 100 ms)."""


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time ``[start_ms, end_ms)``."""

    start_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True)
class Activity:
    """One row every 10 ms: ``rms`` ``(frames,) float32``, ``active`` ``(frames,) bool``."""

    rms: npt.NDArray[np.float32]
    active: Mask

    def share(self, start_ms: float, end_ms: float) -> float:
        """How much of a stretch is sung, 0 to 1 (at least one frame is looked at)."""
        first = min(max(int(start_ms // HOP_MS), 0), max(len(self.active) - 1, 0))
        last = max(int(-(-end_ms // HOP_MS)), first + 1)
        part = self.active[first:last]
        return float(part.mean()) if len(part) else 0.0

    def sung_ms(self) -> int:
        """Total sung time."""
        return int(self.active.sum()) * HOP_MS

    def spans(self, bridge_ms: int = 0) -> list[Span]:
        """Sung stretches in order; those closer than ``bridge_ms`` are one."""
        edges = np.flatnonzero(np.diff(np.concatenate([[False], self.active, [False]])))
        spans: list[Span] = []
        for start, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
            if spans and start * HOP_MS - spans[-1].end_ms < bridge_ms:
                spans[-1] = Span(spans[-1].start_ms, end * HOP_MS)
            else:
                spans.append(Span(start * HOP_MS, end * HOP_MS))
        return spans


def frame_rms(mono: npt.NDArray[np.float32], rate: int, window_ms: int) -> npt.NDArray[np.float32]:
    """RMS in windows centred on every 10 ms, ``(frames,) float32``; minutes at a time."""
    frames = max(1, -(-len(mono) * 1000 // (rate * HOP_MS)))
    rms = np.zeros(frames, np.float32)
    half = window_ms * rate / 2000
    for first in range(0, frames, _FRAMES_AT_ONCE):
        centre = np.arange(first, min(first + _FRAMES_AT_ONCE, frames)) * HOP_MS * rate / 1000
        low = np.clip(np.round(centre - half).astype(np.int64), 0, len(mono))
        high = np.clip(np.round(centre + half).astype(np.int64), 0, len(mono))
        squares = np.square(mono[low[0] : high[-1]], dtype=np.float64)
        energy = np.concatenate([[0.0], np.cumsum(squares)])
        mean = (energy[high - low[0]] - energy[low - low[0]]) / np.maximum(high - low, 1)
        rms[first : first + len(centre)] = np.sqrt(np.maximum(mean, 0.0))
    return rms


_FRAMES_AT_ONCE = 6000  # a minute: 40 MB of running sums at 44.1 kHz


def detect(vocals: Audio, rule: ActivityRule | None = None) -> Activity:
    """Vocal activity of a stem (true or separated), one decision every 10 ms."""
    from scipy.ndimage import binary_closing, binary_opening  # workers that only declare need none

    rule = rule or ActivityRule()
    rms = frame_rms(vocals.mono(), vocals.rate, rule.window_ms)
    peak = float(rms.max(initial=0.0))
    if peak < rule.silent:
        return Activity(rms, np.zeros(len(rms), np.bool_))
    floor = rule.floor_ratio * float(np.percentile(rms, 20))
    ceiling = rule.ceiling_ratio * float(np.percentile(rms, 95))
    threshold = max(min(floor, ceiling), rule.peak_ratio * peak)
    loud = rms > threshold
    # A border of copies keeps singing at the very start or end from being eroded away.
    border = max(rule.closed_ms, rule.shortest_ms) // HOP_MS + 1
    padded = np.pad(loud, border, mode="edge")
    closed = binary_closing(padded, np.ones(rule.closed_ms // HOP_MS + 1, np.bool_))
    kept = binary_opening(closed, np.ones(rule.shortest_ms // HOP_MS, np.bool_))
    return Activity(rms, np.asarray(kept[border:-border], np.bool_))
