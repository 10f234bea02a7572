"""The picture of a master: spectrum, loudness and gain reduction, before and after."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from schemas.documents.analysis import Analysis

if TYPE_CHECKING:
    from tools.master import Song

_BEFORE, _AFTER, _GOAL = "#9aa5b1", "#d9480f", "#2f9e44"
_DPI = 120
_OCTAVES_HZ = (31.5, 63, 125, 250, 500, 1000, 2000, 4000, 8000, 16000)


def draw(path: Path, song: Song) -> None:
    """Write the picture of a song's master as PNG."""
    figure = Figure(figsize=(11, 8.5), layout="constrained", dpi=_DPI)
    spectrum, loudness, reduction = figure.subplots(3, 1, height_ratios=(3, 3, 2))
    figure.suptitle(song.name, fontweight="bold", parse_math=False)
    _spectrum(spectrum, song.before, song.after)
    _loudness(loudness, song)
    _reduction(reduction, song)
    for axes in (spectrum, loudness, reduction):
        axes.grid(visible=True, alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    reduction.sharex(loudness)
    figure.savefig(path, metadata={"Software": "melisma"})


def _spectrum(axes: Axes, before: Analysis, after: Analysis) -> None:
    """Third octaves against the mean of each, so that the tone is compared and not the level."""
    for analysis, colour, label in ((before, _BEFORE, "before"), (after, _AFTER, "after")):
        known = [
            (band.centre_hz, band.level_dbfs)
            for band in analysis.balance.third_octaves
            if band.level_dbfs is not None
        ]
        if not known:
            continue
        middle = [level for hz, level in known if 100 <= hz <= 10_000] or [0.0]
        mean = sum(middle) / len(middle)
        axes.plot(
            [hz for hz, _ in known],
            [level - mean for _, level in known],
            color=colour,
            label=label,
            linewidth=1.8,
        )
    axes.set_xscale("log")
    axes.set_xticks(_OCTAVES_HZ)
    axes.xaxis.set_major_formatter(FuncFormatter(_hertz))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlim(20, 20_000)
    low, high = axes.get_ylim()
    axes.set_ylim(max(low, -50), min(high, 30))
    axes.set_title("Spectrum, third octaves", loc="left", fontsize=10)
    axes.set_ylabel("dB against the mean")
    if axes.lines:
        axes.legend(frameon=False, loc="lower left")


def _hertz(hz: float, position: int | None = None) -> str:
    return f"{hz / 1000:g}k" if hz >= 1000 else f"{hz:g}"


def _loudness(axes: Axes, song: Song) -> None:
    lowest: list[float] = []
    for analysis, colour, label in (
        (song.before, _BEFORE, "before"),
        (song.after, _AFTER, "after"),
    ):
        levels = analysis.curve.short_term_lufs
        step_s = analysis.curve.step_s
        times = [step_s * index for index in range(len(levels))]
        whole = analysis.loudness.integrated_lufs
        shown = label if whole is None else f"{label}: {whole:.1f} LUFS".replace("-", "−")
        axes.plot(times, _gaps(levels), color=colour, label=shown, linewidth=1.4)
        lowest += [each for each in levels if each is not None]
    goal = song.decision.target.lufs
    axes.axhline(
        goal,
        color=_GOAL,
        linestyle="--",
        linewidth=1,
        label=f"target {goal:g} LUFS".replace("-", "−"),
    )
    if lowest:
        axes.set_ylim(max(min(lowest) - 2, goal - 40), max(*lowest, goal) + 3)
    axes.set_xlim(0, max(song.before.source.duration_s, 0.1))
    axes.set_title("Short-term loudness", loc="left", fontsize=10)
    axes.set_ylabel("LUFS")
    axes.legend(frameon=False, loc="lower right", ncols=3)


def _reduction(axes: Axes, song: Song) -> None:
    limiting = song.checks.rendered.limiting
    axes.set_title("Gain reduction of the limiter", loc="left", fontsize=10)
    axes.set_ylabel("dB")
    axes.set_xlabel("seconds")
    if limiting is None or limiting.most_db < 0.05:
        axes.text(0.5, 0.5, "the limiter had nothing to do", ha="center", transform=axes.transAxes)
        axes.set_ylim(-3, 0)
        return
    times = [limiting.step_s * index for index in range(len(limiting.curve_db))]
    # Down means less, whichever sign the curve has.
    depth = [-abs(each) for each in limiting.curve_db]
    axes.fill_between(times, depth, 0, color=_AFTER, alpha=0.5, step="post", linewidth=0)
    axes.set_ylim(min(-3.0, 1.15 * min(depth)), 0)
    axes.text(
        0.995,
        0.05,
        f"at most {limiting.most_db:.1f} dB, at work in {limiting.share:.0%} of the song",
        ha="right",
        transform=axes.transAxes,
        fontsize=9,
    )


def _gaps(levels: Sequence[float | None]) -> list[float]:
    """Nothing is drawn where nothing was measured."""
    return [float("nan") if each is None else each for each in levels]
