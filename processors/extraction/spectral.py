"""``spectral``: where the energy lies along the spectrum, window by window."""

from __future__ import annotations

import numpy as np

from processors.extraction.extractor import Context, Cost, Extraction, Features, Sound
from processors.extraction.frames import Rows, summary
from processors.extraction.sound import Block

_COLUMNS = ("centroid_hz", "bandwidth_hz", "rolloff_hz", "flatness")
_ROLLED = 0.85
_SILENT = 1e-4  # RMS; below −80 dBFS a spectrum is the noise of the format


class SpectralExtractor:
    """See the module."""

    name, version, device = "spectral", "1", "shared"
    description = "Centroid, bandwidth, roll-off, flatness, flux, zero crossings, RMS."

    def cost(self, seconds: float, rate: int) -> Cost:
        """A few sums over each spectrum."""
        return Cost(0.002 * seconds, round(43 * 4 * 7 * seconds))

    def extract(self, audio: Sound, context: Context) -> Extraction:
        """Begin with a file."""
        return _Spectral(context)


class _Spectral:
    def __init__(self, context: Context) -> None:
        self._context = context
        self._shapes, self._flux, self._rms, self._crossings = Rows(), Rows(), Rows(), Rows()

    def add(self, block: Block) -> None:
        self._shapes.add(block.shapes)
        self._flux.add(block.rises.mean(axis=1))
        self._rms.add(block.rms)
        # of the middle of each window, which is what stands between it and the next
        hop, window = self._context.hop, self._context.window
        middle = np.signbit(block.windows[:, (window - hop) // 2 : (window + hop) // 2 + 1])
        self._crossings.add((middle[:, 1:] != middle[:, :-1]).mean(axis=1))

    def finish(self) -> Features:
        shapes = self._shapes.whole().reshape(-1, len(_COLUMNS))
        frames = {name: shapes[:, column] for column, name in enumerate(_COLUMNS)}
        frames |= {
            "flux": self._flux.whole(),
            "rms": self._rms.whole(),
            "zero_crossing_rate": self._crossings.whole(),
        }
        heard = frames["rms"] > _SILENT
        parameters = {"rolloff_share": _ROLLED, "hop_s": self._context.hop / self._context.rate}
        if not heard.any():
            return Features(
                dict.fromkeys(frames),
                reasons=dict.fromkeys(frames, "the sound is silent"),
                arrays=frames,
                parameters=parameters,
            )
        digits = {"centroid_hz": 1, "bandwidth_hz": 1, "rolloff_hz": 1}
        return Features(
            {name: summary(row[heard], digits.get(name, 5)) for name, row in frames.items()},
            arrays=frames,
            units=dict.fromkeys(_COLUMNS[:3], "Hz") | {"zero_crossing_rate": "a sample"},
            parameters=parameters,
        )
