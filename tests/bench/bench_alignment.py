"""Word placement on songs whose truth is known: ``python -m tests.bench.bench_alignment``.

Times are of one process on one core (numpy's threads are held to one); peak memory is what one
alignment adds to a fresh process. ``--seeds N`` takes N songs of each kind.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

_ONE_CORE = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


@dataclass(frozen=True, slots=True)
class Row:
    """One song on one kind of vocals; errors in ms, None entries of unplaced words left out."""

    song: str
    vocals: str
    onset_errors_ms: list[float]
    unplaced: int
    perceptual: float
    seconds: float
    song_seconds: float
    peak_mb: float


def measure(kind: str, seed: int, vocals_kind: str) -> Row:
    """Align one song in this process."""
    import mir_eval
    import numpy as np

    from processors.alignment.aligner import LyricWord
    from processors.alignment.light import LightAligner
    from processors.separation.light import LightSeparator
    from tests import songs

    found = next(known for known in songs.KINDS if known == kind)
    song = songs.make(found, seed)
    vocals = song.vocals
    if vocals_kind == "separated":
        vocals = LightSeparator().separate(song.mix, lambda _share: None).vocals
    lines = [[LyricWord(word.text) for word in line] for line in song.lines]
    aligner = LightAligner()
    before = _resident_kb("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the high-water mark starts again (proc(5))
    started = time.perf_counter()
    placed = aligner.align(vocals, lines, song.language, lambda _share: None)
    seconds = time.perf_counter() - started
    peak = _resident_kb("VmHWM") - before
    aligner.close()
    pairs = [
        (word.start_ms, placement.start_ms)
        for word, placement in zip(song.words, (p for line in placed for p in line), strict=True)
    ]
    known_pairs = [(true, guess) for true, guess in pairs if guess is not None]
    true_s = np.array([true for true, _ in known_pairs]) / 1000
    guess_s = np.array([guess for _, guess in known_pairs]) / 1000
    return Row(
        song=song.name,
        vocals=vocals_kind,
        onset_errors_ms=[float(guess - true) for true, guess in known_pairs],
        unplaced=len(pairs) - len(known_pairs),
        perceptual=float(mir_eval.alignment.karaoke_perceptual_metric(true_s, guess_s)),
        seconds=seconds,
        song_seconds=vocals.seconds,
        peak_mb=peak / 1024,
    )


def _resident_kb(name: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1])
    raise LookupError(name)


def main() -> None:
    """Print the table; each song in a process of its own."""
    import numpy as np
    from rich.console import Console
    from rich.table import Table

    from tests import songs

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--one", nargs=3, metavar=("KIND", "SEED", "VOCALS"))
    arguments = parser.parse_args()
    if arguments.one:
        kind, seed, vocals = arguments.one
        print(json.dumps(asdict(measure(kind, int(seed), vocals))))
        return

    table = Table(title="light alignment, word onsets")
    names = ("song", "vocals", "words", "mean ms", "median", "p95", "worst", "> 1 s", "unplaced")
    for name in (*names, "perceptual", "x real time", "peak MB"):
        table.add_column(name, justify="left" if name in ("song", "vocals") else "right")

    def add(label: str, vocals: str, rows: list[Row]) -> None:
        errors = np.abs([error for row in rows for error in row.onset_errors_ms])
        unplaced = sum(row.unplaced for row in rows)
        seconds = sum(row.seconds for row in rows)
        table.add_row(
            label,
            vocals,
            str(len(errors) + unplaced),
            f"{errors.mean():.0f}",
            f"{np.median(errors):.0f}",
            f"{np.percentile(errors, 95):.0f}",
            f"{errors.max():.0f}",
            str(int((errors > 1000).sum())),
            str(unplaced),
            f"{np.mean([row.perceptual for row in rows]):.3f}",
            f"{sum(row.song_seconds for row in rows) / seconds:.0f}",
            f"{max(row.peak_mb for row in rows):.0f}",
        )

    for vocals in ("true", "separated"):
        rows: list[Row] = []
        for kind in songs.KINDS:
            for seed in range(arguments.seeds):
                done = subprocess.run(
                    [sys.executable, "-m", __spec__.name, "--one", kind, str(seed), vocals],
                    env=os.environ | _ONE_CORE,
                    stdout=subprocess.PIPE,
                    check=True,
                )
                rows.append(Row(**json.loads(done.stdout)))
                add(rows[-1].song, vocals, rows[-1:])
        table.add_section()
        add("all", vocals, rows)
        table.add_section()
    Console(width=130).print(table)


if __name__ == "__main__":
    main()
