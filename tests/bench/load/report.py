"""The report: tables in Markdown, and plots beside it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot

from tests.bench.load.runs import Run

_COLOURS = {"melisma": "#0b6e4f", "Celery + Redis": "#b5432c"}


def write(folder: Path, machine: str, batches: Sequence[Run], others: Sequence[Run]) -> Path:
    """``report.md`` and its pictures; the report's path."""
    folder.mkdir(parents=True, exist_ok=True)
    fairness = [run for run in others if run.title == FAIRNESS]
    _curves(folder / "batches.png", batches)
    _waits(folder / "latency.png", batches)
    lines = ["# Extraction under load", "", machine, ""]
    lines += ["## Batches", "", "![items done over time](batches.png)", ""]
    lines += _table(batches)
    lines += ["", "![latency](latency.png)", ""]
    if fairness:
        lines += ["## A short request behind a long batch", "", *_fairness(fairness), ""]
    for title in dict.fromkeys(run.title for run in others if run.title != FAIRNESS):
        lines += [f"## {title}", "", *_table([run for run in others if run.title == title]), ""]
    notes = [
        f"- {run.system}, {run.title}: {note}" for run in [*batches, *others] for note in run.notes
    ]
    lines += (["## Notes", "", *notes, ""]) if notes else []
    path = folder / "report.md"
    path.write_text("\n".join(lines), "utf-8")
    return path


FAIRNESS = "A short request behind a long batch"


def _table(runs: Sequence[Run]) -> list[str]:
    rows = [
        "| run | concurrency | system | items | makespan s | items/s | p50 s | p95 s | cores used"
        " | peak MiB | failed | lost | status old s |",
        "|---|--:|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for run in runs:
        stale = "–" if run.stale_s is None else f"{run.stale_s:.2f}"
        rows.append(
            f"| {run.title} | {run.concurrency} | {run.system} | {len(run.items)}"
            f" | {run.makespan_s:.1f} | {run.rate:.2f} | {run.latency_s(50):.1f}"
            f" | {run.latency_s(95):.1f} | {run.cpu_share:.2f} | {run.peak_mib:.0f}"
            f" | {run.failed} | {run.lost} | {stale} |"
        )
    return rows


def _fairness(runs: Sequence[Run]) -> list[str]:
    rows = [
        "| system | short request waited s | long batch's makespan s |",
        "|---|--:|--:|",
    ]
    for run in runs:
        long_s = max(item.ended_s or 0.0 for item in run.of("long"))
        rows.append(f"| {run.system} | {run.latency_s(95, 'short'):.1f} | {long_s:.1f} |")
    return rows


def _curves(path: Path, runs: Sequence[Run]) -> None:
    kinds = list(dict.fromkeys((run.title, run.concurrency) for run in runs))
    figure, axes = pyplot.subplots(
        1, max(len(kinds), 1), figsize=(4 * max(len(kinds), 1), 3.2), squeeze=False
    )
    for axis, (title, concurrency) in zip(axes[0], kinds, strict=False):
        for run in runs:
            if (run.title, run.concurrency) == (title, concurrency):
                done = run.done
                axis.step(done, range(1, len(done) + 1), label=run.system,
                          color=_COLOURS[run.system], where="post")  # fmt: skip
        axis.set(title=f"{title}, {concurrency} at once", xlabel="s", ylabel="items done")
        axis.legend(frameon=False)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def _waits(path: Path, runs: Sequence[Run]) -> None:
    figure, axis = pyplot.subplots(figsize=(7, 3.2))
    labels = [f"{run.title}\n{run.concurrency} at once\n{run.system}" for run in runs]
    data = [
        [item.ended_s - item.sent_s for item in run.items if item.ended_s is not None]
        for run in runs
    ]
    boxes = axis.boxplot(data, patch_artist=True, whis=(5, 95), showfliers=False)
    for box, run in zip(boxes["boxes"], runs, strict=True):
        box.set_facecolor(_COLOURS[run.system])
    axis.set_xticks(range(1, len(labels) + 1), labels, fontsize=6)
    axis.set(ylabel="s from request to result", title="latency: p5 to p95")
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
