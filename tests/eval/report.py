"""The table, the picture and the file of an evaluation."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
from rich.table import Table

from tests.eval.figures import DERAILED_S, WITHIN_S, Row, misses, summary

_COLUMNS = (
    "words", "mean s", "median", "p95", "≤ 0.1 s", "≤ 0.3 s", "> 1 s", "unplaced", "perceptual",
    "SDR dB (mix)", "invented", "qc", "× real time", "peak MB",
)  # fmt: skip


def table(rows: Sequence[Row]) -> Table:
    """A row a song and backend, and a total for each backend."""
    made = Table(title="word onsets on separated vocals")
    made.add_column("song")
    made.add_column("by")
    for column in _COLUMNS:
        made.add_column(column, justify="right")
    for backend in dict.fromkeys(row.backend for row in rows):
        own = [row for row in rows if row.backend == backend]
        for row in own:
            made.add_row(row.song, backend, *_cells([row]))
        made.add_section()
        made.add_row("all", backend, *_cells(own), style="bold")
        made.add_section()
    return made


def _cells(rows: Sequence[Row]) -> list[str]:
    found = summary(rows)
    sdr = [row.sdr_db for row in rows if row.sdr_db is not None]
    mix = [row.sdr_mix_db for row in rows if row.sdr_mix_db is not None]
    sung = [row.perceptual for row in rows if row.perceptual is not None]
    scores = [row.score for row in rows if row.score is not None]
    heard = [(row.invented, row.heard) for row in rows if row.heard is not None]
    took = sum(row.song_s / row.speed for row in rows if row.speed)
    return [
        str(found.words),
        f"{found.mean_s:.3f}",
        f"{found.median_s:.3f}",
        f"{found.p95_s:.3f}",
        f"{found.within_100_ms:.1%}",
        f"{found.within_300_ms:.1%}",
        f"{found.derailed:.1%}",
        str(found.words - found.placed),
        f"{np.mean(sung):.3f}" if sung else "–",
        f"{np.median(sdr):.1f} ({np.median(mix):.1f})" if sdr else "–",
        f"{sum(n or 0 for n, _ in heard)} of {sum(n or 0 for _, n in heard)}" if heard else "–",
        f"{np.mean(scores):.2f}" if scores else "–",
        f"{sum(row.song_s for row in rows) / took:.1f}" if took else "–",
        f"{max(row.peak_mb for row in rows):.0f}",
    ]


def draw(path: Path, rows: Sequence[Row]) -> None:
    """The distribution of onset errors, a row a song and backend, as PNG."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    names = [f"{row.song} · {row.backend}" for row in rows]
    figure, axes = pyplot.subplots(figsize=(10, 1.6 + 0.34 * len(rows)), layout="constrained")
    random = np.random.default_rng(0)
    for place, row in enumerate(rows):
        errors = np.array(row.errors_s)
        if errors.size:
            shown = np.clip(errors, -2.0, 2.0)  # what is off by more has a mark at the edge
            marks = random.uniform(-0.28, 0.28, errors.size) + place
            off = np.abs(errors) > DERAILED_S
            axes.scatter(shown[~off], marks[~off], s=7, alpha=0.5, color="#3a6ea5", linewidths=0)
            axes.scatter(shown[off], marks[off], s=26, color="#c0392b", marker="x")
            low, middle, high = np.percentile(shown, [5, 50, 95])
            axes.plot([low, high], [place, place], color="#222222", linewidth=1.2)
            axes.plot([middle], [place], "|", color="#222222", markersize=11)
    for limit in (-WITHIN_S, WITHIN_S):
        axes.axvline(limit, color="#999999", linewidth=0.8, linestyle="--")
    axes.axvline(0, color="#999999", linewidth=0.8)
    axes.set_yticks(range(len(rows)), names)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlim(-2.05, 2.05)
    axes.set_xscale("symlog", linthresh=0.1, linscale=1.5)
    ticks = [-2, -1, -0.3, -0.1, 0, 0.1, 0.3, 1, 2]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_xlabel("found − true onset, s (early left, late right); bar: 5 to 95 %, tick: median")
    axes.set_title("Word onsets on separated vocals")
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def write(path: Path, rows: Sequence[Row], about: dict[str, object]) -> None:
    """Everything as JSON: rows with every error, totals, and which targets were missed."""
    backends = dict.fromkeys(row.backend for row in rows)
    own = {name: [row for row in rows if row.backend == name] for name in backends}
    document = {
        "schema": "eval/1",
        **about,
        "totals": {name: asdict(summary(some)) for name, some in own.items()},
        "missed": {name: misses(some) for name, some in own.items()},
        "rows": [asdict(row) | {"speed": round(row.speed, 2)} for row in rows],
    }
    path.write_text(json.dumps(document, ensure_ascii=False, indent=1) + "\n", "utf-8")
