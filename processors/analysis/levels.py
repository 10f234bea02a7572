"""Levels over time: RMS, peaks, DC, DR, noise floor, silence; and the stereo image in windows."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from processors.analysis.histogram import LevelHistogram, decibels
from processors.analysis.hops import HOPS_A_SECOND, Hops
from processors.analysis.spectrum import correlation

Powers = npt.NDArray[np.float64]
Samples = npt.NDArray[np.float64]

SILENCE = 1e-3
"""−60 dBFS: what lies below at the ends is silence."""
_DR_BLOCK_S = 3  # DR14 measurement of the Pleasurize Music Foundation
_DR_SHARE = 0.2
_LOWEST_DB, _HIGHEST_DB = -140.0, 200.0
_DIGITAL_SILENCE_DB = -110.0  # quieter than the noise of any converter
_NOISE_HOPS = 10  # 100 ms
_IMAGE_HOPS = 40  # 400 ms
_CORRELATION_STEPS = 200


class LevelMeter:
    """Feed it whole seconds ``(channels, frames)``, at last the rest."""

    def __init__(self, rate: int, channels: int) -> None:
        self._rate, self._hops = rate, Hops(rate)
        self.frames = 0
        self._sums, self._squares, self.peaks = (np.zeros(channels) for _ in range(3))
        self._block: list[Powers] = []
        self._block_frames = 0
        self._block_peaks = np.zeros(channels)
        self._dr_levels = [LevelHistogram(_LOWEST_DB, _HIGHEST_DB, 0.01) for _ in range(channels)]
        self._dr_peaks = np.zeros((2, channels))
        self._noise = LevelHistogram(_DIGITAL_SILENCE_DB, _HIGHEST_DB, 0.1)
        self._first_sound: int | None = None
        self._last_sound = -1
        self._silent_hops = self._all_hops = 0

    def add(self, samples: Samples) -> Powers:
        """Take in a slab; returns the mean power of its hops ``(channels, hops)``."""
        frames = samples.shape[1]
        sizes = np.abs(samples)
        peaks = sizes.max(axis=1, initial=0.0)
        squares = np.einsum("cn,cn->c", samples, samples)
        self._ends(sizes)
        self._sums += samples.sum(axis=1)
        self._squares += squares
        self.peaks = np.maximum(self.peaks, peaks)
        self.frames += frames
        self._block.append(squares)
        self._block_frames += frames
        self._block_peaks = np.maximum(self._block_peaks, peaks)
        if len(self._block) == _DR_BLOCK_S:
            self._close_block()
        hops = self._hops.mean_squares(samples)
        loudest = hops.max(axis=0, initial=0.0)
        self._silent_hops += int(np.count_nonzero(loudest < SILENCE**2))
        self._all_hops += len(loudest)
        mean = hops.mean(axis=0)
        windows = mean[: len(mean) // _NOISE_HOPS * _NOISE_HOPS].reshape(-1, _NOISE_HOPS)
        powers = windows.mean(axis=1)
        self._noise.add(decibels(powers), powers)
        return hops

    def _ends(self, sizes: Samples) -> None:
        loud = np.logical_or.reduce(sizes >= SILENCE, axis=0)
        if loud.any():
            if self._first_sound is None:
                self._first_sound = self.frames + int(loud.argmax())
            self._last_sound = self.frames + len(loud) - 1 - int(loud[::-1].argmax())

    def _close_block(self) -> None:
        if not self._block_frames:
            return
        powers = np.sum(self._block, axis=0) / self._block_frames
        for histogram, power in zip(self._dr_levels, powers, strict=True):
            histogram.add(decibels([power]), np.array([power]))
        ranked = np.sort(np.vstack([self._dr_peaks, self._block_peaks]), axis=0)
        self._dr_peaks = ranked[-2:]
        self._block, self._block_frames = [], 0
        self._block_peaks = np.zeros_like(self._block_peaks)

    def finish(self) -> None:
        """Close the block of DR that has begun."""
        self._close_block()

    @property
    def offsets(self) -> Powers:
        """The mean of each channel."""
        return self._sums / max(self.frames, 1)

    @property
    def powers(self) -> Powers:
        """Mean power of each channel without its DC."""
        return np.maximum(self._squares / max(self.frames, 1) - self.offsets**2, 0.0)

    def dr_db(self) -> float | None:
        """DR of each channel, averaged: second-highest block peak over √2 · RMS of the top 20 %."""
        values = []
        for channel, histogram in enumerate(self._dr_levels):
            loud = histogram.loudest_share_power(_DR_SHARE)
            # a single block has no second peak
            peak = self._dr_peaks[0, channel] or self._dr_peaks[1, channel]
            if loud and peak > 0:
                values.append(float(2 * decibels(peak) - decibels(2 * loud)))
        return float(np.mean(values)) if values else None

    def noise_floor_db(self) -> float | None:
        """The 1st percentile of 100 ms windows that are not digital silence."""
        return self._noise.percentile(0.01)

    def silence(self) -> tuple[float, float, float]:
        """Seconds at the start, at the end, and the share of silent hops."""
        length = self.frames / self._rate
        if self._first_sound is None:
            return length, 0.0, 1.0
        share = self._silent_hops / self._all_hops if self._all_hops else 0.0
        end = (self.frames - 1 - self._last_sound) / self._rate
        return self._first_sound / self._rate, end, share


class ImageMeter:
    """Two channels against each other: whole song, and in windows of 400 ms."""

    def __init__(self, rate: int) -> None:
        self._hops = Hops(rate)
        self.left = self.right = self.cross = 0.0
        self.apart = 0.0
        """The greatest distance between the channels."""
        self._counts = np.zeros(_CORRELATION_STEPS + 1, np.int64)

    def add(self, samples: Samples, hops: Powers) -> None:
        """Take in a slab ``(2, frames)`` and its hop powers."""
        left, right = samples
        self.left += float(left @ left)
        self.right += float(right @ right)
        self.cross += float(left @ right)
        self.apart = max(self.apart, float(np.abs(left - right).max(initial=0.0)))
        cross = self._hops.mean_products(samples[:1], samples[1:])[0]
        for start in range(0, len(cross) - len(cross) % _IMAGE_HOPS, _IMAGE_HOPS):
            window = slice(start, start + _IMAGE_HOPS)
            both = hops[:, window].mean(axis=1)
            if both.sum() > 2 * SILENCE**2:
                found = correlation(float(both[0]), float(both[1]), float(cross[window].mean()))
                if found is not None:
                    self._counts[round((found + 1) / 2 * _CORRELATION_STEPS)] += 1

    def low_correlation(self) -> float | None:
        """The 5th percentile of the windows."""
        running = np.cumsum(self._counts)
        if not running[-1]:
            return None
        index = int(np.searchsorted(running, 0.05 * (running[-1] - 1), side="right"))
        return 2 * index / _CORRELATION_STEPS - 1

    def negative_share(self) -> float | None:
        """The share of windows with a correlation below zero."""
        total = int(self._counts.sum())
        return int(self._counts[: _CORRELATION_STEPS // 2].sum()) / total if total else None


__all__ = ["HOPS_A_SECOND", "SILENCE", "ImageMeter", "LevelMeter"]
