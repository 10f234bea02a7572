"""The song as it goes into the limiter, and the search for the gain that makes it loud enough.

The limiter's loss of loudness is not proportional to the gain, but its slope is smooth: secant
steps come within `CLOSE_LU` in three or four passes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from processors.rendering.blocks import Block, grid_frames, through
from processors.rendering.files import SongFile
from processors.rendering.limiter import MARGIN_DB, LimiterAtWork
from processors.rendering.press import Meter, decibels
from processors.rendering.takes import Take
from processors.rendering.truepeak import Envelope, PeakEnvelope
from schemas.documents.chain import Limiter
from schemas.documents.rendered import Reduction

CLOSE_LU = 0.02
"""The search stops this near to the goal; the goal itself allows 0.1."""

WORTH_CENTRING = 10 ** (-90 / 20)
"""A smaller mean (full scale 1) isn't worth touching the sound for."""

_PASSES = 8  # of the limiter in one search; four are the rule
_MOST_POINTS = 2_000
_AT_WORK_DB = 0.1


@dataclass(slots=True)
class Desk:
    """The song as it goes into the limiter, ready to be limited again and again."""

    song: SongFile
    limiter: Limiter
    take: Take
    peaks: Take
    offset: tuple[float, ...]
    lufs: float | None
    peak: float
    """The highest true peak before the limiter, full scale 1."""
    passes: int = 0
    at_work: LimiterAtWork | None = None
    curve: list[float] = field(default_factory=list)

    @classmethod
    def prepare(
        cls, blocks: Iterable[Block], song: SongFile, limiter: Limiter, folder: Path
    ) -> Desk:
        """Set the stream down in ``folder``, and measure what the search needs."""
        grid = grid_frames(song.rate)
        take = Take.record(folder / "take", blocks, song.channels, grid)
        worst = max(map(abs, take.means))
        offset = take.means if worst > WORTH_CENTRING else (0.0,) * song.channels
        meter = Meter(song.rate, song.channels)
        heard = meter.listening(centred(take.blocks(), offset))
        envelope = through(_Envelopes(song.channels), heard, grid=grid)
        peaks = Take.record(folder / "peaks", envelope, 1, grid)
        peak = max((float(block.max()) for block in peaks.blocks()), default=0.0)
        return cls(song, limiter, take, peaks, offset, meter.lufs(), peak)

    def limited(self, gain_db: float, lower_db: float) -> Iterator[Block]:
        """One pass of the limiter, aiming ``lower_db`` (0 or less) below its ceiling."""
        self.passes += 1
        self.curve.clear()
        ceiling = max(self.limiter.ceiling_dbtp + lower_db, -20.0)
        settings = self.limiter.model_copy(update={"ceiling_dbtp": ceiling})
        self.at_work = LimiterAtWork(
            settings,
            self.song.rate,
            self.song.channels,
            gain_db=gain_db,
            envelopes=self._envelopes(),
        )
        grid = self.take.grid
        for block in through(self.at_work, centred(self.take.blocks(), self.offset), grid=grid):
            gains = self.at_work.gains[-1]
            self.curve.extend(gains.reshape(-1, grid // 8).min(axis=1).tolist())
            yield block

    def _envelopes(self) -> Iterator[Envelope]:
        return (block[0].astype(np.float32) for block in self.peaks.padded())

    def reduction(self) -> Reduction:
        """What the last pass took off."""
        taken = -20 * np.log10(np.maximum(np.array(self.curve or [1.0]), 1e-6))
        at_work = taken[taken > _AT_WORK_DB]
        fold = math.ceil(len(taken) / _MOST_POINTS)
        folded = np.pad(taken, (0, -len(taken) % fold)).reshape(-1, fold).max(axis=1)
        return Reduction(
            most_db=max(0.0, float(taken.max())),
            mean_db=float(at_work.mean()) if len(at_work) else 0.0,
            share=len(at_work) / len(taken),
            step_s=fold * (self.take.grid // 8) / self.song.rate,
            curve_db=tuple(np.round(np.maximum(folded, 0.0), 3).tolist()),
        )


@dataclass(frozen=True, slots=True)
class Search:
    """Where it ended."""

    gain_db: float
    at_bound: bool
    offset: tuple[float, ...] = ()
    """What the limiter left of an offset, when it ran and the offset is worth mentioning."""


def search(
    desk: Desk, target: float, most_limiting_db: float, lower_db: float, start_db: float | None
) -> Search:
    """The gain that makes the limited song as loud as the target, or the highest permitted."""
    if desk.lufs is None:
        return Search(0.0, at_bound=False)
    aim = desk.limiter.ceiling_dbtp + lower_db - MARGIN_DB
    highest = most_limiting_db + aim - decibels(desk.peak)
    untouched = aim - decibels(desk.peak)  # up to here the limiter has nothing to do
    gain = min(target - desk.lufs if start_db is None else start_db, highest)
    if gain <= untouched and start_db is None:
        return Search(gain, at_bound=False)
    before: tuple[float, float] | None = None
    for _ in range(_PASSES):
        meter = Meter(desk.song.rate, desk.song.channels)
        sums = np.zeros(desk.song.channels)
        for block in meter.listening(desk.limited(gain, lower_db)):
            sums += block.sum(axis=1)
        means = tuple((sums / desk.song.frames).tolist())
        offset = means if max(map(abs, means)) > WORTH_CENTRING else ()
        lufs = meter.lufs()
        if lufs is None:
            break
        missing = target - lufs
        at_bound = gain >= highest - 1e-9 and missing > 0
        if abs(missing) <= CLOSE_LU or at_bound:
            return Search(gain, at_bound, offset)
        slope = 0.9
        if before is not None and abs(gain - before[0]) > 1e-6:
            slope = min(1.0, max(0.15, (lufs - before[1]) / (gain - before[0])))
        before = (gain, lufs)
        gain = min(gain + missing / slope, highest)
    return Search(gain, at_bound=False)


class _Envelopes:
    """A processor: the envelope of true peaks as a stream of one channel."""

    def __init__(self, channels: int) -> None:
        self._peaks = PeakEnvelope(channels)
        self.latency = self._peaks.latency

    def __call__(self, block: Block) -> Block:
        return self._peaks(block)[np.newaxis].astype(np.float64)


def centred(blocks: Iterable[Block], offset: tuple[float, ...]) -> Iterator[Block]:
    """The blocks less a constant for each channel."""
    if not any(offset):
        yield from blocks
        return
    column = np.array(offset)[:, np.newaxis]
    for block in blocks:
        yield block - column
