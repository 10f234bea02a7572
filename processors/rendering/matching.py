"""A match-EQ whose bands gain what was decided.

The decision knows the levels of third octaves. What a smooth curve makes of one depends on where in
it the song's energy lies: a slope within a band weighs its loud end. So the curve is corrected on
the song's fine spectrum until every band gains its aim, or the limit is reached.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from processors.analysis.spectrum import SpectrumMeter
from processors.rendering.blocks import Block, regrouped
from processors.rendering.equaliser import curve_at
from schemas.documents.chain import MATCH_LIMIT_DB, MatchEq

_INAUDIBLE_DB = -75.0  # a band so far below its song's loudest holds noise, not music
_ROUNDS = 12
_STEP = 0.7  # of what is left; bands overlap, so a whole step would overshoot


def fitted(aim: MatchEq, song: SpectrumMeter) -> MatchEq:
    """The settings with which each band of the song gains the ``curve_db`` of ``aim``.

    Bands that hold no music, or lie beyond half the rate, keep what was decided.
    """
    wanted = np.asarray(aim.curve_db)
    before = song.third_octaves_db()
    levels = np.nan_to_num(before, nan=-np.inf)
    heard = levels > levels.max() + _INAUDIBLE_DB
    gains = wanted
    for _ in range(_ROUNDS):
        factors = 10 ** (curve_at(tuple(gains.tolist()), song.frequencies_hz) / 20)
        left = np.where(heard, wanted - (song.third_octaves_db(factors) - before), 0.0)
        gains = np.clip(gains + _STEP * left, -MATCH_LIMIT_DB, MATCH_LIMIT_DB)
    return aim.model_copy(update={"curve_db": tuple(np.round(gains, 3).tolist())})


def spectrum_of(blocks: Iterable[Block], rate: int, channels: int) -> SpectrumMeter:
    """The spectrum as the analysis saw it."""
    meter = SpectrumMeter(rate, channels)
    for block in regrouped(blocks, rate):
        meter.add(block.astype(np.float32))
    meter.finish()
    return meter
