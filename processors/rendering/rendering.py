"""From a song and its chain to the master.

1. The modules before the limiter, once; the result is set down on disk with its offset. A
   match-EQ is fitted to the song's spectrum first (`matching`).
2. Its envelope of true peaks and its loudness. Both scale with the gain, so the highest gain
   that the limiter's bound permits is known before it runs.
3. The gain into the limiter, searched by running limiter and meter (`desk`).
4. The file, with dither, measured as it is written (`press`): loudness, true peak at 16 times the
   rate, offset. Should a peak exceed the ceiling, the limiter aims lower by as much and 3 and 4
   run again; the last resort is a plain trim.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np

from processors.rendering.blocks import Block
from processors.rendering.desk import Desk, Search, centred, search
from processors.rendering.dithering import Depth
from processors.rendering.files import SongFile
from processors.rendering.limiter import GUARD_DB
from processors.rendering.matching import fitted, spectrum_of
from processors.rendering.modules import apply, moves
from processors.rendering.press import Copy, Press, decibels
from schemas.documents.chain import Chain, Dither, Limiter, MatchEq, Module
from schemas.documents.rendered import Rendered, Shortfall

Progress = Callable[[float], None]
"""Told how much is done, 0 to 1."""

_MISSED_LU = 0.1
_AIMED_ROUNDS = 3  # of search and file; mostly one is enough, rarely two
_TRIMMED_ROUNDS = 3  # one is enough: a trim scales every peak; rounding may ask for a second
_NUDGE_DB = 0.005  # below the ceiling, so that rounding can't exceed it again
_OFFSET_ALLOWED = 10 ** (-84 / 20)  # of a master; the limiter's own is mostly gone already


def render(
    source: Path,
    chain: Chain,
    out: Path,
    progress: Progress = lambda _: None,
    *,
    depth: Depth | None = None,
) -> Rendered:
    """Master ``source`` through ``chain`` into ``out`` (``.wav``, or ``.flac`` of at most 24 bits).

    The master has the song's rate, channels (at most two), length to the sample and, unless
    ``depth`` or the dither's ``bits`` say otherwise, its bits. Equal files and chains make equal
    bytes. Memory does not grow with the song; on disk beside ``out`` 4 bytes a frame and channel
    and 4 more a frame are needed meanwhile. Raises `processors.audio.undecodable.Undecodable`.
    """
    song = SongFile.open(source)
    dither = next((m for m in chain.modules if isinstance(m, Dither) and m.enabled), None)
    bits = _bits(song, dither, depth, out)
    limiter = chain.limiter()
    modules = [_fitted(m, song) for m in chain.modules if not isinstance(m, Limiter | Dither)]
    changed = limiter is not None or any(moves(m, song.channels) for m in modules)
    noisy = dither is not None and bits < 32 and (changed or bits < song.depth)
    press = Press(song, out, bits, dither.seed if dither and noisy else None)
    stream = apply(modules, song.blocks(), song.rate, song.channels)
    if limiter is None:
        copy = press.run(_counted(stream, song.frames, progress))
        return _rendered(press, copy, changed=changed)
    with tempfile.TemporaryDirectory(prefix=".rendering-", dir=out.parent) as folder:
        counted = _counted(stream, song.frames, lambda share: progress(0.4 * share))
        desk = Desk.prepare(counted, song, limiter, Path(folder))
        progress(0.5)
        made = _pressed(desk, chain, limiter, press, progress)
    progress(1.0)
    return made


def _fitted(module: Module, song: SongFile) -> Module:
    """A match-EQ as this song needs it; every other module as it was decided."""
    if not isinstance(module, MatchEq) or not moves(module, song.channels):
        return module
    return fitted(module, spectrum_of(song.blocks(), song.rate, song.channels))


def _bits(song: SongFile, dither: Dither | None, depth: Depth | None, out: Path) -> Depth:
    """The depth of the master: as asked, else the song's; FLAC holds no floating point."""
    bits: Depth = depth or (dither.bits if dither and dither.bits else song.depth)
    return 24 if bits == 32 and out.suffix.lower() == ".flac" else bits


def _pressed(
    desk: Desk, chain: Chain, limiter: Limiter, press: Press, progress: Progress
) -> Rendered:
    """Search and write until the file keeps the ceiling and has no offset."""
    goal = chain.loudness
    lower_db = trim_db = 0.0
    left: tuple[float, ...] = (0.0,) * desk.song.channels
    found = Search(0.0, at_bound=False)
    number = 0
    while True:
        if goal is not None and number < _AIMED_ROUNDS:
            start = found.gain_db if number else None
            found = search(desk, goal.lufs, goal.most_limiting_db, lower_db, start)
            left = found.offset or left
        progress(min(0.95, 0.8 + 0.05 * number))
        copy = press.run(centred(desk.limited(found.gain_db, lower_db), left), trim_db)
        highest_db = max(decibels(copy.true_peak) + GUARD_DB, decibels(copy.metered_peak))
        over_db = highest_db - limiter.ceiling_dbtp
        leans = max(map(abs, copy.means)) > _OFFSET_ALLOWED
        number += 1
        if over_db <= 0 and (not leans or number > _AIMED_ROUNDS):
            break
        if number >= _AIMED_ROUNDS + _TRIMMED_ROUNDS:
            raise RuntimeError(
                f"rendering: {over_db:.4f} dB over the ceiling after {number} rounds"
            )
        if leans:
            left = tuple(np.add(left, copy.means).tolist())
        if over_db > 0 and number < _AIMED_ROUNDS:
            lower_db -= over_db + _NUDGE_DB
        elif over_db > 0:
            trim_db -= over_db + _NUDGE_DB
    return _rendered(
        press,
        copy,
        changed=True,
        target_lufs=goal.lufs if goal else None,
        lufs_before_limiter=desk.lufs,
        ceiling_dbtp=limiter.ceiling_dbtp,
        gain_db=found.gain_db,
        trim_db=trim_db,
        shortfall=goal and _shortfall(goal.lufs, copy.lufs, found, goal.most_limiting_db),
        limiting=desk.reduction(),
        offset_removed=tuple(np.add(desk.offset, left).tolist()),
        passes=desk.passes,
    )


def _shortfall(
    target: float, lufs: float | None, found: Search, most_limiting_db: float
) -> Shortfall | None:
    if lufs is None:
        return Shortfall(
            lu=None, code="silent", message="Nothing in the song is loud enough to be measured."
        )
    missing = target - lufs
    if abs(missing) <= _MISSED_LU:
        return None
    said = f"{lufs:.1f} LUFS instead of {target:.1f}"
    if found.at_bound:
        reason = f"more would take over {most_limiting_db:g} dB off the peaks to keep the ceiling"
        return Shortfall(lu=missing, code="ceiling", message=f"{said}: {reason}.")
    reason = "a higher gain only flattens the song, or the ceiling asked for a trim"
    return Shortfall(lu=missing, code="saturated", message=f"{said}: {reason}.")


def _rendered(press: Press, copy: Copy, *, changed: bool, **facts: object) -> Rendered:
    song = press.song
    return Rendered.model_validate(
        {
            "rate_hz": song.rate,
            "channels": song.channels,
            "frames": song.frames,
            "bits": press.depth,
            "dithered": press.seed is not None,
            "changed": changed,
            "lufs": copy.lufs,
            "true_peak_dbtp": decibels(copy.true_peak) if copy.true_peak else None,
            "offset": copy.means,
            "offset_removed": (0.0,) * song.channels,
            "clipped": copy.clipped,
            **facts,
        }
    )


def _counted(blocks: Iterable[Block], frames: int, progress: Progress) -> Iterator[Block]:
    done = 0
    for block in blocks:
        done += block.shape[1]
        progress(min(1.0, done / frames))
        yield block
