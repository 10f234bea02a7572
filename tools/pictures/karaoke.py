"""The picture of a karaoke: voice and backing, each word where it was placed, what to look at."""

from __future__ import annotations

from collections.abc import Sequence, Set
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from processors.audio.samples import Audio
from schemas.documents.karaoke import Karaoke, Word

_VOICE, _BACKING, _TRUTH = "#1c7ed6", "#ced4da", "#2f9e44"
_PLACED, _GUESSED, _FLAGGED, _GIVEN = "#d0ebff", "#e9ecef", "#ffc9c9", "#d3f9d8"
_ROW_S = 9.0  # a sung word is then about as wide as it is written
_MOST_ROWS = 40
_BEFORE_S = 0.15  # shown before the word that a row begins with
_DPI = 110
_POINTS_PER_S = 150
_LEGEND = {
    _PLACED: "heard",
    _GUESSED: "between its neighbours",
    _FLAGGED: "look here",
    _GIVEN: "set by hand",
}


def draw(
    path: Path,
    karaoke: Karaoke,
    *,
    vocals: Audio,
    minus: Audio,
    title: str = "",
    truth_ms: Sequence[int] = (),
) -> None:
    """Write the picture as PNG; ``truth_ms``, where it is known, are the words' true onsets."""
    length_s = max(karaoke.duration_ms / 1000, 0.1)
    begins = _rows(karaoke, length_s, max(_ROW_S, length_s / _MOST_ROWS))
    count = len(begins)
    row_s = max(np.diff([*begins, length_s]))
    figure = Figure(figsize=(12.5, 0.9 + 1.15 * count), layout="constrained", dpi=_DPI)
    figure.suptitle(title or "karaoke", fontweight="bold", parse_math=False)
    rows = figure.subplots(count, 1, squeeze=False)[:, 0]
    voice, backing = _envelope(vocals), _envelope(minus)
    loudest = max(float(voice.max(initial=0)), float(backing.max(initial=0)), 1e-6)
    colours = _colours(karaoke)
    for axes, (from_s, to_s) in zip(rows, pairwise([*begins, length_s]), strict=True):
        _row(axes, (from_s, to_s), row_s, voice / loudest, backing / loudest)
        for line in karaoke.lines:
            for at, word in enumerate(line.words):
                if word.start_ms is not None and from_s <= word.start_ms / 1000 < to_s:
                    _word(axes, word, at, colours[word.id])
        for onset in truth_ms:
            if from_s <= onset / 1000 < to_s:
                axes.plot([onset / 1000] * 2, [-1.25, -1.0], color=_TRUTH, linewidth=1.6)
    rows[-1].set_xlabel("seconds")
    _explain(figure, set(colours.values()), truth=bool(truth_ms))
    figure.savefig(path, metadata={"Software": "melisma"})


def _rows(karaoke: Karaoke, length_s: float, row_s: float) -> list[float]:
    """Where each row begins, in seconds: before a line where one is near, else before a word."""
    starts = [word.start_ms for word in karaoke.words() if word.start_ms is not None]
    lines = [line.start_ms for line in karaoke.lines if line.start_ms is not None]
    begins = [0.0]
    while length_s - begins[-1] > 1.2 * row_s:
        wanted = begins[-1] + row_s
        for candidates, reach in ((lines, 0.35), (starts, 0.2)):
            near = [
                each / 1000 - _BEFORE_S
                for each in candidates
                if abs(each / 1000 - wanted) < reach * row_s
            ]
            if near:
                wanted = min(near, key=lambda each: abs(each - wanted))
                break
        begins.append(wanted)
    return begins


def _envelope(audio: Audio) -> npt.NDArray[np.float32]:
    """The peak of each ``1 / _POINTS_PER_S`` of a second."""
    step = max(1, audio.rate // _POINTS_PER_S)
    mono = np.abs(audio.mono())
    whole = len(mono) // step * step
    peaks: npt.NDArray[np.float32] = mono[:whole].reshape(-1, step).max(axis=1, initial=0.0)
    return peaks


def _row(
    axes: Axes,
    stretch: tuple[float, float],
    row_s: float,
    voice: npt.NDArray[np.float32],
    backing: npt.NDArray[np.float32],
) -> None:
    """A stretch of the song: the voice upwards, the backing downwards."""
    first, last = (round(each * _POINTS_PER_S) for each in stretch)
    for wave, side, colour in ((voice, 1, _VOICE), (backing, -1, _BACKING)):
        part = wave[first:last]
        times = (first + np.arange(len(part))) / _POINTS_PER_S
        axes.fill_between(times, side * part, 0, color=colour, linewidth=0, alpha=0.85)
    axes.set_xlim(stretch[0], stretch[0] + row_s)
    axes.set_ylim(-1.3, 2.1)
    axes.set_yticks([])
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(labelsize=8)


def _colours(karaoke: Karaoke) -> dict[str, str]:
    """What each word is painted in, by its id."""
    words = {flag.word_id for flag in karaoke.qc.flags}
    lines = {flag.line_id for flag in karaoke.qc.flags if flag.word_id is None}
    colours = {}
    for line in karaoke.lines:
        for word in line.words:
            colour = _GUESSED if word.src == "interpolated" else _PLACED
            if word.locked or word.src == "manual":
                colour = _GIVEN
            elif word.id in words or line.id in lines:
                colour = _FLAGGED
            colours[word.id] = colour
    return colours


def _word(axes: Axes, word: Word, at: int, colour: str) -> None:
    start, end = (word.start_ms or 0) / 1000, (word.end_ms or 0) / 1000
    # Neighbours stand at two heights, so that short words do not write over each other.
    foot = 1.08 if at % 2 == 0 else 1.56
    axes.broken_barh([(start, end - start)], (foot, 0.44), facecolors=colour, edgecolor="white")
    axes.plot([start, start], [0, foot], color=_VOICE, linewidth=0.7, alpha=0.6)
    axes.text(
        start + 0.02,
        foot + 0.2,
        word.text,
        fontsize=8,
        va="center",
        clip_on=True,
        parse_math=False,
    )


def _explain(figure: Figure, used: Set[str], *, truth: bool) -> None:
    """What the colours mean, in one line at the foot."""
    meanings = {_VOICE: "voice", _BACKING: "backing"}
    meanings |= {colour: meaning for colour, meaning in _LEGEND.items() if colour in used}
    if truth:
        meanings[_TRUTH] = "truly sung from here"
    handles = [Patch(color=colour, label=meaning) for colour, meaning in meanings.items()]
    figure.legend(handles=handles, loc="outside lower center", ncols=7, frameon=False, fontsize=8)
