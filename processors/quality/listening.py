"""What the check hears of the stems, whatever the words are; kept, so that an edit decodes nothing.

Where somebody sings and how loud, on which pitch, and how much of the voice is left in the minus.
A karaoke whose words were edited is judged by what was heard before, and comes out as if its whole
song had been heard again. 60 kB a minute of song.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from processors import arrays
from processors.arrays import Array, Origin
from processors.audio.activity import Activity, detect
from processors.audio.samples import Audio
from processors.quality.bleeding import bleed_db
from processors.quality.notes import METHOD, Melody, melody

NAME = "listened"
"""What the artifact is called in a job."""

MEDIA_TYPE = arrays.MEDIA_TYPE
_REVISION = f"1 {METHOD}"  # raise it when anything in `Listened` comes out differently


@dataclass(frozen=True, slots=True)
class Listened:
    """Of both stems. ``voice`` and ``rest``: RMS of the voice and of the minus, 1.0 full scale."""

    activity: Activity
    melody: Melody
    voice: float
    rest: float | None = None
    bleed_db: float | None = None


def listen(vocals: Audio, minus: Audio | None = None) -> Listened:
    """Hear the stem of the voice, and the minus where there is one."""
    mono = Audio(vocals.mono()[None], vocals.rate)
    activity = detect(mono)
    bleed = None
    if minus is not None and activity.active.any():
        bleed = bleed_db(minus, mono, activity)
    return Listened(
        activity,
        melody(mono),
        _rms(vocals),
        None if minus is None else _rms(minus),
        bleed,
    )


def origin(vocals: str, minus: str, decoder: str, max_seconds: float) -> Origin:
    """All that decides what is heard: SHA-256 of the stems (no minus: empty), who decodes, and how
    long a song may be.
    """
    return {
        "vocals": vocals,
        "minus": minus,
        "decoder": decoder,
        "maxSeconds": f"{max_seconds:g}",
        "revision": _REVISION,
    }


def keep(path: Path, made_from: Origin, heard: Listened) -> None:
    """Write what was heard."""
    numbers = [heard.voice, _or_nan(heard.rest), _or_nan(heard.bleed_db)]
    arrays.keep(
        path,
        made_from,
        {
            "rms": heard.activity.rms,
            "active": heard.activity.active,
            "midi": heard.melody.midi,
            "level": heard.melody.level,
            "numbers": np.array(numbers, np.float64),
        },
    )


def recall(path: Path, made_from: Origin) -> Listened | None:
    """What `keep` wrote; None where it was made from anything else, or is not whole."""
    found = arrays.recall(path)
    if found is None or found[0] != made_from:
        return None
    return _of(found[1])


def _of(kept: Mapping[str, Array]) -> Listened | None:
    try:
        voice, rest, bleed = np.asarray(kept["numbers"], np.float64).tolist()
        rms, active = np.asarray(kept["rms"], np.float32), np.asarray(kept["active"], np.bool_)
        midi, level = (np.asarray(kept[name], np.float32) for name in ("midi", "level"))
    except (KeyError, ValueError):
        return None
    if rms.shape != active.shape or midi.shape != level.shape or rms.ndim != 1 or midi.ndim != 1:
        return None
    return Listened(
        Activity(rms, active), Melody(midi, level), voice, _or_none(rest), _or_none(bleed)
    )


def _or_nan(value: float | None) -> float:
    return float("nan") if value is None else value


def _or_none(value: float) -> float | None:
    return None if np.isnan(value) else value


def _rms(audio: Audio) -> float:
    if not audio.frames:
        return 0.0
    power = sum(float(np.einsum("f,f->", one, one, dtype=np.float64)) for one in audio.samples)
    return float(np.sqrt(power / audio.samples.size))
