"""Levels and gains over time, at a control rate.

Levels are measured in steps of 1/1024 of a grid block (32 frames, 0.7 ms, at 44.1 and 48 kHz),
so the branching attack and release of a compressor run step by step in Python at 1.4 kHz instead
of 44.1, exactly and not iterated. What that costs: an attack shorter than a step is a step long
(hence the schema's lower bound of 1 ms), and between two steps the gain is a straight line, at
most one step behind. The level is the power of the step, smoothed by a one-pole of `POWER_MS`.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy import signal

from processors.rendering.blocks import Block

Control = npt.NDArray[np.float64]
"""``(steps,)``: one value a step."""

STEPS = 1024
"""Steps in a grid block."""

POWER_MS = 5.0
"""Time constant of the level: short against an attack, long against the waves of the middle."""

_NOTHING_DB = 1e-6  # what is left of a release that no one hears
_SILENCE = 1e-14  # mean square; -140 dBFS


class Level:
    """The level of a signal in dBFS (RMS), the louder channel deciding for all (linked), so that
    the stereo image stays where it is."""

    def __init__(self, rate: int, grid: int) -> None:
        self._step = grid // STEPS
        self._pole = math.exp(-self._step / (rate * POWER_MS / 1000))
        self._state = np.zeros(1)

    def __call__(self, block: Block) -> Control:
        """One level a step, dB."""
        steps = block.reshape(len(block), STEPS, self._step)
        power = (np.einsum("cst,cst->cs", steps, steps) / self._step).max(axis=0)
        smooth, self._state = signal.lfilter(
            [1 - self._pole], [1, -self._pole], power, zi=self._state
        )
        return np.asarray(10 * np.log10(smooth + _SILENCE))


class Ballistics:
    """Attack and release of a gain change, up or down, given as its size in dB (0 or more):
    63 % of a step after the time constant.

    Whatever leads away from 0 dB is attack, what leads back is release (Giannoulis, Massberg &
    Reiss, JAES 60 (2012), the smooth branching form, on the gain).
    """

    def __init__(self, attack_ms: float, release_ms: float, rate: int, grid: int) -> None:
        step_ms = 1000 * (grid // STEPS) / rate
        self._attack = 1 - math.exp(-step_ms / attack_ms)
        self._release = 1 - math.exp(-step_ms / release_ms)
        self._now = 0.0

    def __call__(self, change_db: Control) -> Control:
        """The size of the change as it is made, dB."""
        attack, release, now = self._attack, self._release, self._now
        if now < _NOTHING_DB and not change_db.any():
            self._now = 0.0
            return change_db
        made = [
            now := now + (attack if wanted > now else release) * (wanted - now)
            for wanted in change_db.tolist()
        ]
        self._now = now
        return np.array(made)


class Ramp:
    """From gains in dB, one a step, to a factor for every frame."""

    def __init__(self, grid: int) -> None:
        step = grid // STEPS
        self._up = (np.arange(step) + 1) / step
        self._last = 1.0

    def __call__(self, gain_db: Control) -> Control:
        """Straight lines from each step's end to the next, ``(frames,)``."""
        reached = 10 ** (gain_db / 20)
        before = np.concatenate(((self._last,), reached[:-1]))
        self._last = float(reached[-1])
        return np.asarray((before[:, None] + (reached - before)[:, None] * self._up).ravel())


def over(level_db: Control, threshold_db: float, knee_db: float) -> Control:
    """By how much the level exceeds the threshold, dB, bent smoothly within the knee."""
    above = level_db - threshold_db
    if knee_db == 0:
        return np.maximum(above, 0.0)
    bent = np.clip(above + knee_db / 2, 0.0, knee_db)
    return np.asarray(bent * bent / (2 * knee_db) + np.maximum(above - knee_db / 2, 0.0))
