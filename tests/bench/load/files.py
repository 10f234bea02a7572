"""Sound to extract from: short songs of known lengths, each other bytes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile

RATE = 44_100


def make(folder: Path, count: int, seed: int, *, seconds: tuple[float, float]) -> list[Path]:
    """``count`` stereo files of lengths between ``seconds``, one in ten four times as long."""
    folder.mkdir(parents=True, exist_ok=True)
    chance = np.random.default_rng(seed)
    lengths = chance.uniform(*seconds, count)
    lengths[chance.permutation(count)[: count // 10]] *= 4
    made = []
    for number, length in enumerate(lengths):
        path = folder / f"{seed}-{number:04d}.wav"
        if not path.exists():
            soundfile.write(path, song(float(length), chance), RATE, "PCM_16")
        made.append(path)
    return made


def song(seconds: float, chance: np.random.Generator) -> np.ndarray:
    """Beats, a bass and a melody over noise: ``(frames, 2)``."""
    times = np.arange(round(seconds * RATE)) / RATE
    beat_s = 60 / chance.uniform(80, 160)
    since = np.mod(times, beat_s)
    sound = 0.5 * np.exp(-30 * since) * np.sin(2 * np.pi * 60 * since)
    steps = chance.integers(0, 12, 1 + int(seconds / beat_s))
    notes = 220 * 2 ** (steps[(times / beat_s).astype(int)] / 12)
    sound += 0.2 * np.sin(np.cumsum(2 * np.pi * notes / RATE))
    sound += 0.02 * chance.standard_normal(len(times))
    return np.stack([sound, 0.9 * sound], axis=1)


def names(paths: Sequence[Path]) -> list[str]:
    """As clients name them under the allowed folder."""
    return [path.name for path in paths]
