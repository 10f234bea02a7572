"""``voice_activity``: where there is sound at all, and where it is likely a voice.

Without a model, by level and by what voices have that drums and noise lack: partials between
200 Hz and 4 kHz standing far above what is between them, in windows that move. It tells a voice
from silence, noise and drums; it does not tell a voice from a violin. The manifest says so.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from processors.extraction.extractor import Context, Cost, Extraction, Features, Sound
from processors.extraction.frames import Rows, rounded
from processors.extraction.sound import Block
from processors.extraction.spectra import RATE_HZ, WINDOW

_LOW, _HIGH = (round(hz * WINDOW / RATE_HZ) for hz in (200.0, 4_000.0))
_GROUP = 8  # bins, 86 Hz: a partial and the valley beside it
_PEAKED = 0.45
"""1 − flatness within groups: noise has 0.33 (the mean of a window's bins), partials 0.6 and up."""
_IN_BAND = 0.15  # share of the power; bass drums and hiss have less
_SOUND_DB = -60.0
_CLOSED_S, _SHORTEST_S = 0.3, 0.15


class VoiceActivityExtractor:
    """See the module."""

    name, version, device = "voice_activity", "1", "cpu"
    description = "Where there is sound, and where it has a voice's partials (no model)."

    def cost(self, seconds: float, rate: int) -> Cost:
        """A logarithm of a third of the bins."""
        return Cost(0.002 * seconds, round(43 * 4 * 3 * seconds))

    def extract(self, audio: Sound, context: Context) -> Extraction:
        """Begin with a file."""
        return _VoiceActivity(context.frame_rate)


class _VoiceActivity:
    def __init__(self, frame_rate: float) -> None:
        self._frame_rate = frame_rate
        self._peaked, self._in_band, self._level = Rows(), Rows(), Rows()

    def add(self, block: Block) -> None:
        power = np.square(block.magnitudes)
        count = (_HIGH - _LOW) // _GROUP
        band = power[:, _LOW : _LOW + count * _GROUP].reshape(len(power), count, _GROUP)
        means = band.mean(axis=2)
        flat = np.exp(np.log(band + 1e-12).mean(axis=2)) / (means + 1e-12)
        weights = np.sqrt(means)
        total = np.maximum(weights.sum(axis=1), 1e-9)
        self._peaked.add(1 - (flat * weights).sum(axis=1) / total)
        self._in_band.add(means.sum(axis=1) * _GROUP / np.maximum(power.sum(axis=1), 1e-12))
        self._level.add(20 * np.log10(np.maximum(block.rms, 1e-10)))

    def finish(self) -> Features:
        level = self._level.whole()
        loud = level > max(_SOUND_DB, float(level.max(initial=-200.0)) - 45.0)
        likely = (self._peaked.whole() > _PEAKED) & (self._in_band.whole() > _IN_BAND) & loud
        voiced = self._cleaned(likely)
        spans = self._spans(voiced)
        shares = (loud.mean(), voiced.mean()) if len(level) else (0.0, 0.0)
        return Features(
            {
                "sound_share": rounded(shares[0]),
                "voice_share": rounded(shares[1]),
                "spans": len(spans),
                "basis": "partials between 200 Hz and 4 kHz; a melody instrument passes, too",
            },
            arrays={"spans_s": spans, "sound": loud, "voice": voiced},
            units={"spans_s": "s, start and end"},
            parameters={"hop_s": 1 / self._frame_rate},
        )

    def _cleaned(self, mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        closed, opened = (max(2, round(s * self._frame_rate)) for s in (_CLOSED_S, _SHORTEST_S))
        padded = np.pad(mask, closed)
        padded = ndimage.binary_opening(padded, np.ones(opened, np.bool_))
        padded = ndimage.binary_closing(padded, np.ones(closed, np.bool_))
        return np.asarray(padded[closed:-closed], np.bool_)

    def _spans(self, mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
        edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(int)))
        return edges.reshape(-1, 2) / self._frame_rate
