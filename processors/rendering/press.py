"""Writing the master, and measuring it while it is written."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from processors.analysis.loudness import LoudnessMeter
from processors.analysis.true_peak import TruePeakMeter
from processors.rendering.blocks import Block, grid_frames, regrouped
from processors.rendering.dithering import Depth, Quantiser
from processors.rendering.files import SongFile, writing
from processors.rendering.truepeak import TruePeak


@dataclass(frozen=True, slots=True)
class Copy:
    """What was measured while the file was written."""

    lufs: float | None
    true_peak: float
    """Full scale 1, at 16 times the rate."""
    metered_peak: float
    """The same as the meter of the analysis reads it: people see that one beside the ceiling, and
    interpolators differ about sound that reaches the Nyquist frequency, by 0.2 dB for cymbals."""
    means: tuple[float, ...]
    clipped: int


@dataclass(frozen=True, slots=True)
class Press:
    """Writes the file, as often as needed."""

    song: SongFile
    out: Path
    depth: Depth
    seed: int | None

    def run(self, blocks: Iterable[Block], trim_db: float = 0.0) -> Copy:
        """Write these blocks; a file that is there already is replaced."""
        song = self.song
        quantise = Quantiser(self.depth, self.seed)
        meter = Meter(song.rate, song.channels)
        peaks = TruePeak(song.channels)
        metered = TruePeakMeter(song.channels)
        highest = 0.0
        sums = np.zeros(song.channels)
        factor = 10 ** (trim_db / 20)
        with writing(self.out, song, self.depth) as file:
            # on the grid, so that sums, too, are the same whatever blocks came
            for block in regrouped(blocks, grid_frames(song.rate)):
                final = quantise(block * factor if trim_db else block)
                file.add(final)
                meter.add(final)
                peaks.add(final)
                reading = metered.add(final.astype(np.float32))
                highest = max(highest, float(reading.peaks.max()))
                sums += final.sum(axis=1)
        means = tuple((sums / song.frames).tolist())
        highest = max(highest, float(metered.finish().peaks.max()))
        return Copy(meter.lufs(), peaks.finish(), highest, means, quantise.clipped)


class Meter:
    """Integrated loudness of blocks of any length: the meter takes whole seconds."""

    def __init__(self, rate: int, channels: int) -> None:
        self._meter = LoudnessMeter(rate, channels)
        self._rate = rate
        self._rest = np.zeros((channels, 0))

    def add(self, block: Block) -> None:
        """Take the next frames in."""
        line = np.concatenate((self._rest, block), axis=1)
        whole = line.shape[1] // self._rate * self._rate
        if whole:
            self._meter.add(line[:, :whole])
        self._rest = line[:, whole:]

    def listening(self, blocks: Iterable[Block]) -> Iterator[Block]:
        """The same blocks, heard."""
        for block in blocks:
            self.add(block)
            yield block

    def lufs(self) -> float | None:
        """The integrated loudness, LUFS; None when nothing passed the gate. Ends the meter."""
        if self._rest.shape[1]:
            self._meter.add(self._rest)
            self._rest = self._rest[:, :0]
        return self._meter.reading().integrated


def decibels(peak: float) -> float:
    """A height, full scale 1, in dB; nothing reads -200."""
    return 20 * math.log10(max(peak, 1e-10))
