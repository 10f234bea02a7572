"""``chroma_key``: pitch classes and the key that they fit.

Peaks of the spectrum, placed between the bins by a parabola, are summed by pitch class (Gómez,
"Tonal Description of Music Audio Signals", 2006), in fifths of a semitone until the tuning is
known. The key is the profile that the mean chroma correlates with most.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from pydantic import JsonValue

from processors.extraction.extractor import Context, Cost, Extraction, Features, Sound
from processors.extraction.frames import Rows, rounded
from processors.extraction.sound import Block
from processors.extraction.spectra import CLASSES, STEPS_A_SEMITONE

Floats = npt.NDArray[np.floating]

NAMES = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
_MODES = ("major", "minor")
_MAJOR = (0.238, 0.006, 0.111, 0.006, 0.137, 0.094, 0.016, 0.214, 0.009, 0.080, 0.008, 0.081)
_MINOR = (0.220, 0.006, 0.104, 0.123, 0.019, 0.103, 0.012, 0.214, 0.062, 0.022, 0.061, 0.052)
"""Albrecht and Shanahan, "The use of large corpora to train a new type of key-finding algorithm",
Music Perception 31 (2013), table 1: how often each degree sounds in 490 pieces."""
_HALF = STEPS_A_SEMITONE // 2
_COMPRESSION = 0.5
"""Frames count by the root of their level: one loud chord is not the key."""


class ChromaKeyExtractor:
    """See the module."""

    name, version, device = "chroma_key", "1", "shared"
    description = "Chroma, tuning, and the key with its strength and rivals."

    def cost(self, seconds: float, rate: int) -> Cost:
        """The peaks of each spectrum."""
        return Cost(0.003 * seconds, round(43 * 4 * CLASSES * seconds))

    def extract(self, audio: Sound, context: Context) -> Extraction:
        """Begin with a file."""
        return _ChromaKey(context)


class _ChromaKey:
    def __init__(self, context: Context) -> None:
        self._hop_s = context.hop / context.rate
        self._rows = Rows()

    def add(self, block: Block) -> None:
        self._rows.add(block.chroma)

    def finish(self) -> Features:
        fifths = self._rows.whole().reshape(-1, CLASSES)
        tuning = tuning_steps(fifths)
        chroma = folded(fifths, tuning)
        parameters: dict[str, JsonValue] = {
            "hop_s": self._hop_s,
            "profiles": "Albrecht and Shanahan 2013",
        }
        top = chroma.max(axis=1, keepdims=True)
        shown = np.divide(chroma, top, out=np.zeros_like(chroma), where=top > 0)
        arrays = {"chroma": shown.astype(np.float32)}
        units = {"chroma": "frames × 12 from C, 1 = the strongest of the frame"}
        mean = np.power(chroma, _COMPRESSION).mean(axis=0) if len(chroma) else np.zeros(12)
        if mean.max(initial=0.0) <= 1e-3:
            fields = ("key", "scale", "strength", "lead", "tuning_cents")
            return Features(
                {**dict.fromkeys(fields), "chroma_mean": [0.0] * 12, "rivals": []},
                reasons=dict.fromkeys(fields, "nothing here has a pitch"),
                arrays=arrays, units=units, parameters=parameters,
            )  # fmt: skip
        ranked = keys(mean)
        (best, strength), (_, second) = ranked[0], ranked[1]
        tonic, mode = divmod(best, 2)
        return Features(
            {
                "key": NAMES[tonic],
                "scale": _MODES[mode],
                "strength": rounded(strength),
                "lead": rounded(strength - second),
                "rivals": [
                    {"key": f"{NAMES[k // 2]} {_MODES[k % 2]}", "strength": rounded(fit)}
                    for k, fit in ranked[1:4]
                ],
                "tuning_cents": rounded(100 * tuning / STEPS_A_SEMITONE, 1),
                "chroma_mean": [rounded(value, 4) for value in mean / mean.max()],
            },
            arrays=arrays, units=units, parameters=parameters,
        )  # fmt: skip


def tuning_steps(fifths: Floats) -> float:
    """How far the tuning lies above A = 440 Hz in fifths of a semitone, −2.5 to 2.5."""
    sums = fifths.sum(axis=0, dtype=np.float64).reshape(12, STEPS_A_SEMITONE).sum(axis=0)
    # the circular mean; a step stands for what lies around it
    turns = np.exp(2j * np.pi * np.arange(-_HALF, _HALF + 1) / STEPS_A_SEMITONE) @ sums
    return float(np.angle(turns) * STEPS_A_SEMITONE / (2 * np.pi)) if abs(turns) > 0 else 0.0


def folded(fifths: Floats, tuning: float) -> Floats:
    """``(frames, 12)``: each class with the fifths that are nearest to it in this tuning."""
    moved = np.roll(fifths, -round(tuning), axis=1)
    return np.asarray(moved.reshape(len(fifths), 12, STEPS_A_SEMITONE).sum(axis=2))


def keys(mean: Floats) -> list[tuple[int, float]]:
    """All 24 keys, ``2 * tonic + mode``, with their correlations, best first."""
    profiles = np.array(
        [np.roll(profile, tonic) for tonic in range(12) for profile in (_MAJOR, _MINOR)]
    )
    profiles = np.power(profiles, _COMPRESSION)
    profiles -= profiles.mean(axis=1, keepdims=True)
    profiles /= np.linalg.norm(profiles, axis=1, keepdims=True)
    centred = np.asarray(mean, np.float64) - mean.mean()
    fits = profiles @ centred / max(float(np.linalg.norm(centred)), 1e-12)
    return [(int(key), float(fits[key])) for key in np.argsort(-fits, kind="stable")]
