"""``structure``: where parts of a piece begin, and which of them sound alike.

Half seconds are described by timbre and chroma. Where the past and the future of a moment are each
alike and unlike one another is a border (Foote, "Automatic audio segmentation using a measure of
audio novelty", ICME 2000); only a band along the diagonal of the similarity matrix is computed, so
three hours cost what their length does. Parts are then grouped by their means.
"""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.cluster import hierarchy

from processors.extraction.extractor import Context, Cost, Extraction, Features, Sound
from processors.extraction.frames import Rows, rounded
from processors.extraction.sound import Block
from processors.extraction.spectra import CLASSES, STEPS_A_SEMITONE

Table = npt.NDArray[np.float64]

_STEP_S = 0.5
_REACH = 16  # steps to either side: 8 s, two bars of slow music
_SHORTEST = 10  # steps of a part: 5 s
_BORDER = 0.35  # of the strongest border
_PLAIN = 0.08
"""Novelty of the strongest border below which a piece is one part: noise and drones."""
_ALIKE = 0.6  # distance of mean descriptions, which vary by 1, below which parts share a letter
_COEFFICIENTS = 13
_TIMBRE = 0.8  # its share; the rest is harmony, whose chords change within parts, too
_MOST_LETTERS = 26


class StructureExtractor:
    """See the module."""

    name, version, device = "structure", "1", "shared"
    description = "Borders of parts, and letters for parts that sound alike."

    def cost(self, seconds: float, rate: int) -> Cost:
        """Small, and in step with the length."""
        return Cost(0.001 * seconds, round(2 * 8 * 3 * 25 * seconds))

    def extract(self, audio: Sound, context: Context) -> Extraction:
        """Begin with a file."""
        return _Structure(context.frame_rate)


class _Structure:
    def __init__(self, frame_rate: float) -> None:
        self._frame_rate = frame_rate
        self._timbre, self._chroma = Rows(), Rows()
        self._seen = 0
        self._waiting = np.zeros((0, _COEFFICIENTS + 12), np.float32)

    def add(self, block: Block) -> None:
        fifths = block.chroma.reshape(-1, 12, STEPS_A_SEMITONE).sum(axis=2)
        assert CLASSES == 12 * STEPS_A_SEMITONE
        rows = np.concatenate([block.cepstra[:, :_COEFFICIENTS], fifths], axis=1)
        waiting = np.concatenate([self._waiting, rows])
        first = self._seen
        # the step that each frame falls into, so that steps do not drift from the clock
        steps = ((first + np.arange(len(waiting))) / self._frame_rate / _STEP_S).astype(np.int64)
        whole = np.searchsorted(steps, steps[-1]) if len(steps) else 0
        self._close(waiting[:whole], steps[:whole])
        self._waiting, self._seen = waiting[whole:], first + int(whole)

    def _close(self, rows: npt.NDArray[np.float32], steps: npt.NDArray[np.int64]) -> None:
        if not len(rows):
            return
        starts = np.flatnonzero(np.diff(steps, prepend=-1))
        counts = np.diff(np.append(starts, len(rows)))[:, None]
        sums = np.add.reduceat(rows, starts, axis=0) / counts
        self._timbre.add(sums[:, :_COEFFICIENTS])
        self._chroma.add(sums[:, _COEFFICIENTS:])

    def finish(self) -> Features:
        self._close(self._waiting, np.zeros(len(self._waiting), np.int64))
        seconds = (self._seen + len(self._waiting)) / self._frame_rate
        described = _described(
            self._timbre.whole().reshape(-1, _COEFFICIENTS), self._chroma.whole().reshape(-1, 12)
        )
        curve = novelty(described)
        places = borders(curve)
        edges = np.array([0, *places, len(described)])
        letters = grouped(described, edges)
        times = np.append(edges[:-1] * _STEP_S, seconds)
        return Features(
            {
                "parts": len(letters),
                "form": "".join(letters) if len(letters) <= 200 else None,
                "mean_part_s": rounded(np.diff(times).mean()),
            },
            reasons={"form": "more than 200 parts; see labels"} if len(letters) > 200 else {},
            arrays={
                "borders_s": times,
                "labels": np.array([ord(each) - ord("A") for each in letters], np.int16),
                "novelty": curve.astype(np.float32),
            },
            units={"borders_s": "s", "labels": "0 = A, for the part after each border",
                   "novelty": "every 0.5 s"},
            parameters={"step_s": _STEP_S, "reach_s": _REACH * _STEP_S},
        )  # fmt: skip


def _described(timbre: npt.NDArray[np.float32], chroma: npt.NDArray[np.float32]) -> Table:
    """Rows of about unit variance: timbre with its level, then chroma smoothed over chords."""
    if not len(timbre):
        return np.zeros((0, _COEFFICIENTS + 12))
    level = np.linalg.norm(chroma, axis=1, keepdims=True)
    tones = np.divide(chroma, level, out=np.zeros_like(chroma), where=level > 0)
    smooth = ndimage.uniform_filter1d(tones, _REACH, axis=0, mode="nearest")
    halves = []
    for rows in (timbre.astype(np.float64), smooth.astype(np.float64)):
        rows = rows - rows.mean(axis=0)
        spread = float(np.sqrt(np.mean(np.sum(rows**2, axis=1))))
        halves.append(rows / spread if spread > 1e-3 else np.zeros_like(rows))
    weights = np.sqrt([_TIMBRE, 1 - _TIMBRE])
    return np.concatenate([w * half for w, half in zip(weights, halves, strict=True)], axis=1)


def novelty(described: Table) -> Table:
    """How much each border between steps parts what is alike on either side, about 0 to 1."""
    count = len(described)
    if count < 2:
        return np.zeros(count)
    running = np.concatenate([np.zeros((1, described.shape[1])), np.cumsum(described, axis=0)])
    at = np.arange(count)
    first, last = np.maximum(at - _REACH, 0), np.minimum(at + _REACH, count)
    before, after = np.maximum(at - first, 1)[:, None], np.maximum(last - at, 1)[:, None]
    gap = (running[last] - running[at]) / after - (running[at] - running[first]) / before
    # a checkerboard kernel over squared distances comes to the distance of the two means
    curve = np.sum(gap**2, axis=1) / 4
    # near the ends few steps prove little
    trust = np.minimum(1.0, np.minimum(at, count - at) / _SHORTEST)
    return np.asarray(ndimage.gaussian_filter1d(curve * trust, 1.0))


def borders(curve: Table) -> list[int]:
    """The tops of the novelty, at least a shortest part from one another and from the ends."""
    if len(curve) < 2 * _SHORTEST or curve.max() < _PLAIN:
        return []
    tops = (curve == ndimage.maximum_filter1d(curve, 2 * _SHORTEST + 1)) & (
        curve >= max(_BORDER * float(curve.max()), _PLAIN)
    )
    tops[:_SHORTEST] = tops[len(curve) - _SHORTEST + 1 :] = False
    return [int(place) for place in np.flatnonzero(tops)]


def grouped(described: Table, edges: npt.NDArray[np.int64]) -> list[str]:
    """A letter for each part, in the order in which they first appear."""
    parts = [described[a:b].mean(axis=0) for a, b in itertools.pairwise(edges) if b > a]
    if len(parts) < 2:
        return ["A"] * max(1, len(parts))
    tree = hierarchy.linkage(np.array(parts), "average")
    clusters = hierarchy.fcluster(tree, _ALIKE, "distance")
    if clusters.max() > _MOST_LETTERS:
        clusters = hierarchy.fcluster(tree, _MOST_LETTERS, "maxclust")
    names: dict[int, str] = {}
    for cluster in clusters.tolist():
        names.setdefault(cluster, chr(ord("A") + len(names)))
    return [names[cluster] for cluster in clusters.tolist()]
