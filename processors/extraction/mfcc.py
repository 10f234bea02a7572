"""``mfcc``: mel-frequency cepstral coefficients, as librosa defines them, without its top_db."""

from __future__ import annotations

import numpy as np

from processors.extraction.extractor import Context, Cost, Extraction, Features, Sound
from processors.extraction.frames import Rows, deviations, means
from processors.extraction.sound import Block
from processors.extraction.spectra import CEPSTRA, MELS


class MfccExtractor:
    """See the module."""

    name, version, device = "mfcc", "1", "shared"
    description = "20 mel-frequency cepstral coefficients of 128 bands."

    def cost(self, seconds: float, rate: int) -> Cost:
        """One matrix product on what the mel bands cost everyone."""
        return Cost(0.001 * seconds, round(43 * 4 * CEPSTRA * seconds))

    def extract(self, audio: Sound, context: Context) -> Extraction:
        """Begin with a file."""
        return _Mfcc(context)


class _Mfcc:
    def __init__(self, context: Context) -> None:
        self._hop_s = context.hop / context.rate
        self._rows = Rows()

    def add(self, block: Block) -> None:
        self._rows.add(block.cepstra)

    def finish(self) -> Features:
        rows = self._rows.whole().reshape(-1, CEPSTRA)
        changes = np.abs(np.diff(rows, axis=0, prepend=rows[:1]))
        return Features(
            {"mean": means(rows), "std": deviations(rows), "change": means(changes)},
            arrays={"mfcc": rows},
            units={"mfcc": "frames × coefficients of the level in dB"},
            parameters={"coefficients": CEPSTRA, "mels": MELS, "hop_s": self._hop_s},
        )
