"""The picture of an extraction: wave with beats, pitch, chroma, structure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from processors.audio.streaming import stream
from processors.audio.undecodable import Undecodable
from schemas.documents.audio_manifest import AudioManifest

_WAVE, _BEAT, _BAR, _PITCH = "#9aa5b1", "#f0a36b", "#d9480f", "#1c7ed6"
_PARTS = ("#a5d8ff", "#ffd8a8", "#b2f2bb", "#eebefa", "#ffc9c9", "#ffec99", "#99e9f2", "#dee2e6")
_DPI = 120
_POINTS = 2_000
_MOST_LINES = 160
"""Beats that can be told apart in the width of the picture; with more, bars are drawn alone."""
_LEAP = 4.0  # semitones in 10 ms
_NAMES = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")

Arrays = dict[str, npt.NDArray[Any]]


def draw(path: Path, sound: Path, folder: Path, manifest: AudioManifest) -> None:
    """Write the picture of one file's features as PNG."""
    arrays = {
        part.name: dict(np.load(folder / part.artifacts[0].uri))
        for part in manifest.extractors
        if part.artifacts
    }
    length = max(manifest.input.duration_s, 0.1)
    figure = Figure(figsize=(12, 9), layout="constrained", dpi=_DPI)
    rows = figure.subplots(4, 1, sharex=True, height_ratios=(3, 3, 3, 1))
    figure.suptitle(manifest.input.name, fontweight="bold", parse_math=False)
    _wave(rows[0], sound, manifest, arrays.get("tempo_extractor"))
    _pitch(rows[1], arrays.get("pitch_extractor"), length)
    _chroma(rows[2], manifest, arrays.get("chroma_key"), length)
    _structure(rows[3], arrays.get("structure"))
    for axes in rows:
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_xlim(0, length)
    rows[3].set_xlabel("seconds")
    figure.savefig(path, metadata={"Software": "melisma"})


def _title(axes: Axes, words: str) -> None:
    axes.set_title(words, loc="left", fontsize=10)


def _absent(axes: Axes, words: str) -> None:
    axes.text(0.5, 0.5, words, ha="center", va="center", transform=axes.transAxes, color="#868e96")
    axes.set_yticks([])


def _wave(axes: Axes, sound: Path, manifest: AudioManifest, tempo: Arrays | None) -> None:
    low, high = _extremes(sound, manifest.input.frames)
    times = np.linspace(0, manifest.input.duration_s, len(low))
    axes.fill_between(times, low, high, color=_WAVE, linewidth=0)
    axes.set_ylim(-1.05, 1.05)
    axes.set_yticks([-1, 0, 1])
    found = next((p for p in manifest.extractors if p.name == "tempo_extractor"), None)
    bpm = found.features.get("tempo_bpm") if found else None
    _title(axes, f"Wave and beats: {bpm:.2f} BPM" if isinstance(bpm, float) else "Wave")
    if tempo is None:
        return
    beats, bars = tempo.get("beats_s", np.zeros(0)), tempo.get("downbeats_s", np.zeros(0))
    if len(beats) <= _MOST_LINES:
        axes.vlines(beats, -1, 1, color=_BEAT, linewidth=0.8)
    if len(bars) <= _MOST_LINES:
        axes.vlines(bars, -1, 1, color=_BAR, linewidth=1.4)


def _extremes(sound: Path, frames: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """The lowest and highest sample of each point of the picture, read anew in blocks."""
    points = max(1, min(_POINTS, frames))
    low, high = np.zeros(points), np.zeros(points)
    at = 0
    try:
        with stream(sound, max_seconds=24 * 3600.0) as source:
            for block in source.blocks:
                places = np.minimum(
                    (at + np.arange(len(block))) * points // max(frames, 1), points - 1
                )
                np.minimum.at(low, places, block.min(axis=1))
                np.maximum.at(high, places, block.max(axis=1))
                at += len(block)
    except Undecodable:  # it was read a moment ago; the picture is no reason to fail
        pass
    return low, high


def _pitch(axes: Axes, pitch: Arrays | None, length: float) -> None:
    _title(axes, "Pitch")
    if pitch is None or not pitch["voiced"].any():
        _absent(axes, "no pitch was looked for" if pitch is None else "nothing here has a pitch")
        return
    hz = pitch["f0_hz"].astype(np.float64)
    midi = np.where(hz > 0, 69 + 12 * np.log2(np.maximum(hz, 1.0) / 440), np.nan)
    # a leap is no glide: no line is drawn over it
    midi[1:][np.abs(np.diff(midi)) > _LEAP] = np.nan
    times = np.arange(len(hz)) * 0.01
    axes.plot(times, midi, color=_PITCH, linewidth=1.2 if length < 120 else 0.6)
    low, high = int(np.nanmin(midi)) - 1, int(np.nanmax(midi)) + 2
    step = 1 if high - low <= 14 else 2 if high - low <= 26 else 6
    ticks = range(low, high + 1, step)
    axes.set_yticks(list(ticks), [f"{_NAMES[n % 12]}{n // 12 - 1}" for n in ticks], fontsize=8)
    axes.set_ylim(low, high)
    axes.grid(visible=True, axis="y", alpha=0.25)


def _chroma(axes: Axes, manifest: AudioManifest, chroma: Arrays | None, length: float) -> None:
    found = next((p for p in manifest.extractors if p.name == "chroma_key"), None)
    key = found.features.get("key") if found else None
    _title(axes, f"Chroma: {key} {found.features.get('scale')}" if found and key else "Chroma")
    if chroma is None or not len(chroma["chroma"]):
        _absent(axes, "no chroma was looked for")
        return
    rows = chroma["chroma"]
    # as many columns as the picture can show, each the mean of its frames
    edges = np.unique(
        np.linspace(0, len(rows), min(_POINTS, len(rows)), endpoint=False).astype(int)
    )
    shown = np.add.reduceat(rows, edges, axis=0) / np.diff(np.append(edges, len(rows)))[:, None]
    axes.imshow(
        shown.T, aspect="auto", origin="lower", cmap="magma", interpolation="nearest",
        extent=(0, length, -0.5, 11.5),
    )  # fmt: skip
    axes.set_yticks(range(12), _NAMES, fontsize=8)


def _structure(axes: Axes, structure: Arrays | None) -> None:
    _title(axes, "Structure")
    axes.set_yticks([])
    if structure is None:
        _absent(axes, "no structure was looked for")
        return
    borders, labels = structure["borders_s"], structure["labels"]
    for start, end, label in zip(borders[:-1], borders[1:], labels.tolist(), strict=True):
        axes.axvspan(start, end, color=_PARTS[label % len(_PARTS)], linewidth=0)
        axes.text((start + end) / 2, 0.5, chr(ord("A") + label), ha="center", va="center",
                  transform=axes.get_xaxis_transform())  # fmt: skip
