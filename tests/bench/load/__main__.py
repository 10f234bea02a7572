"""Loads the product, and the first design beside it: ``make load CELERY=venv REDIS=redis-server``.

Batches of 50 and 100 files at concurrency 4 and 8 through a real gateway and worker processes; a
short request behind a long batch; a worker killed (-9) half-way; 1,000 short files with a broken
one among them. The report, with plots, is written into ``--out``. Without ``--celery`` the product
runs alone. Ratios hold on any machine; the absolute figures are of the one that it ran on.

Of 24 rounds on two cores a batch took 1.03 of the first design's time on average, 0.94 to 1.17,
with half of its items there a third sooner. What is around an extraction takes 11 % of the
processors: one half the stage's child (a digest of the file, 22 syncs of its results), the other
the five processes that keep the log, the status and the order. Keeping the memory of one file for
the next won 4 % back; two or four places on two cores instead of three, ten looks a second at the
log instead of twenty, huge pages, and no garbage collection made no difference.

No GPU has been at hand: its rows have not been run.
"""

from __future__ import annotations

import argparse
import os
import platform
import signal
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console

from tests.bench.load import files, ours, report, theirs
from tests.bench.load.runs import Order, Run

WARM = 4
SECONDS = (15.0, 40.0)
"""Of the files of a batch: as the clips that the first service was made for, one in ten longer."""

SHORT = (1.0, 2.0)
LIGHT = ("loudness", "spectral")
"""For 1,000 files: what is around an extraction shows when the extraction is quick."""

_console = Console()


def _both(
    title: str,
    orders: Sequence[Order],
    concurrency: int,
    media: Path,
    outside: theirs.Outside | None,
    *,
    extractors: Sequence[str] | None = None,
    kill_at: int | None = None,
    theirs_first: bool = False,
) -> list[Run]:
    """The product's run and the other's."""
    warm = files.make(media, max(WARM, concurrency), 999, seconds=SHORT)
    how: dict[str, Any] = {"extractors": extractors, "kill_at": kill_at}

    def mine(folder: Path) -> Run:
        with ours.product(folder, media, concurrency, warm) as made:
            return ours.run(made, title, orders, concurrency, **how)

    def other(folder: Path) -> Run:
        assert outside is not None
        with theirs.celery(outside, folder, concurrency, warm) as made:
            return theirs.run(made, title, orders, concurrency, **how)

    systems = [mine] if outside is None else [mine, other]
    found: list[Run] = []
    with tempfile.TemporaryDirectory(prefix="load-") as name:
        for system in reversed(systems) if theirs_first else systems:
            found.append(system(Path(name) / system.__name__))
            _tell(found[-1])
    return found[::-1] if theirs_first else found


def _rounds(
    rounds: int,
    title: str,
    order: Order,
    media: Path,
    outside: theirs.Outside | None,
) -> list[Run]:
    """The same several times, in turns, and of those the one in the middle: a shared machine is a
    fifth slower or faster from one minute to the next. Who goes first takes turns, too."""
    found = [
        _both(title, [order], order.concurrency, media, outside, theirs_first=bool(turn % 2))
        for turn in range(rounds)
    ]
    if outside is None:
        return sorted(found, key=lambda runs: runs[0].makespan_s)[rounds // 2]

    def ratio(runs: list[Run]) -> float:
        return runs[0].makespan_s / runs[1].makespan_s

    found.sort(key=ratio)
    ratios = ", ".join(f"{ratio(runs):.2f}" for runs in found)
    mine, other = found[rounds // 2]
    _console.print(f"{title}, {order.concurrency} at once: makespans {ratios} of the other's")
    said = f"{order.concurrency} at once: makespans {ratios} of the other's; shown is the middle"
    return [replace(mine, notes=(*mine.notes, said)), other]


def _gpu() -> bool:
    """Whether torch finds one."""
    try:
        import torch
    except ImportError:
        return False
    return bool(torch.cuda.is_available())


def _tell(run: Run) -> None:
    stale = "" if run.stale_s is None else f", status at most {run.stale_s:.2f} s old"
    _console.print(
        f"{run.title}, {run.concurrency} at once, {run.system}: {run.makespan_s:.1f} s,"
        f" {run.rate:.2f} items/s, p50 {run.latency_s(50):.1f} s, p95 {run.latency_s(95):.1f} s,"
        f" {run.cpu_share:.2f} cores, {run.peak_mib:.0f} MiB, {run.failed} failed,"
        f" {run.lost} lost{stale}",
        soft_wrap=True,
        highlight=False,
    )


def main() -> None:
    """Run, tell, write; status 1 when the product lost anything."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--celery", type=Path, help="virtual environment with celery[redis]")
    parser.add_argument("--redis", type=Path, help="redis-server")
    parser.add_argument("--out", type=Path, default=Path("out/load"))
    parser.add_argument("--sizes", type=int, nargs="+", default=[50, 100])
    parser.add_argument("--concurrency", type=int, nargs="+", default=[4, 8])
    parser.add_argument("--many", type=int, default=1000, help="short files in one batch; 0: none")
    parser.add_argument("--rounds", type=int, default=3, help="of each batch; the middle counts")
    given = parser.parse_args()
    if given.rounds < 1:
        parser.error("--rounds: one at least")
    # Ends what was started on the way out, too, when a time limit ends this.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    outside = None
    if given.celery is not None:
        if given.redis is None:
            parser.error("--celery needs --redis: the path of a redis-server")
        outside = theirs.Outside(given.celery.absolute(), given.redis.absolute())
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    batches: list[Run] = []
    others: list[Run] = []
    with tempfile.TemporaryDirectory(prefix="load-media-") as name:
        media = Path(name)
        songs = files.make(media, max(given.sizes), 1, seconds=SECONDS)
        for concurrency in given.concurrency:
            for size in given.sizes:
                order = Order("web", songs[:size], concurrency=concurrency)
                batches += _rounds(given.rounds, f"{size} files", order, media, outside)
        if _gpu():
            size, concurrency = min(given.sizes), given.concurrency[0]
            order = Order("web", songs[:size], concurrency=concurrency, use_gpu=True)
            batches += _both(f"{size} files on the GPU", [order], concurrency, media, None)
        short = files.make(media, 1, 2, seconds=SHORT)
        first = given.concurrency[0]
        long_batch = Order("long", songs[: min(given.sizes)], concurrency=first)
        others += _both(
            report.FAIRNESS,
            [long_batch, Order("short", short, after_s=3.0, concurrency=1)],
            first,
            media,
            outside,
        )
        others += _both(
            "A worker killed half-way",
            [Order("web", songs[: min(given.sizes)], concurrency=first)],
            first,
            media,
            outside,
            kill_at=min(given.sizes) // 2,
        )
        if given.many:
            many = files.make(media, given.many, 3, seconds=SHORT)
            many[given.many // 2].write_bytes(b"no sound in here, only words")
            others += _both(
                f"{given.many} short files, one of them broken",
                [Order("web", many, concurrency=given.concurrency[-1])],
                given.concurrency[-1],
                media,
                outside,
                extractors=LIGHT,
            )
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}."
    path = report.write(given.out, machine, batches, others)
    _console.print(f"the report is in [bold]{path}[/]")
    lost = sum(run.lost for run in (*batches, *others) if run.system == "melisma")
    raise SystemExit(bool(lost))


if __name__ == "__main__":
    main()
