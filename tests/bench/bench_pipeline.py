"""How exact the published karaoke is: ``python -m tests.bench.bench_pipeline [--seed N]``.

Every test song goes through the started product over REST, with its lyrics. Onset errors are those
of the published words against the truth; SDR is that of the published vocals (definition in
`bench_separation`), with the mix as the estimate to improve on.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from gateway.client import Client
from processors.audio.decoding import decode
from schemas.documents.karaoke import KaraokeDocument
from tests import songs
from tests.bench.bench_separation import sdr
from tests.e2e.product import Product, accept, finish


@dataclass(frozen=True, slots=True)
class Measured:
    """One song as published."""

    words: int
    errors_s: list[float]  # of the placed words
    unexplained: int  # words without times and without a flag
    sdr_gain_db: float
    seconds: dict[str, float]  # by step


def _measure(client: Client, song: songs.Song, folder: Path) -> Measured:
    job = finish(client, accept(client, song)["jobId"])
    track = job["trackId"]
    karaoke = KaraokeDocument.model_validate(client.ready(track)["lyrics"])
    words = list(karaoke.words())
    flagged = {flag.word_id for flag in karaoke.qc.flags}
    client.download(client.assets(track)["vocals"]["url"], folder / "vocals.flac")
    found = decode(folder / "vocals.flac", max_seconds=600).samples
    heard = decode(song.path, max_seconds=600).samples
    truth = song.vocals.samples
    return Measured(
        words=len(words),
        errors_s=[
            abs(word.start_ms - true.start_ms) / 1000
            for word, true in zip(words, song.words, strict=True)
            if word.start_ms is not None
        ],
        unexplained=sum(w.start_ms is None and w.id not in flagged for w in words),
        sdr_gain_db=sdr(truth, found) - sdr(truth, heard),
        seconds={step["step"]: step["seconds"] for step in job["steps"] if "seconds" in step},
    )


def _table(rows: dict[str, Measured]) -> Table:
    table = Table(title="published karaoke against the truth")
    for column in ("song", "words", "placed", "mean s", "median", "worst", "> 1 s", "SDR gain dB"):
        table.add_column(column, justify="left" if column == "song" else "right")
    table.add_column("seconds a step")
    errors: list[float] = []
    for name, row in rows.items():
        errors += row.errors_s
        steps = ", ".join(f"{step} {seconds:.1f}" for step, seconds in row.seconds.items())
        table.add_row(name, *_figures(row.words, row.errors_s), f"{row.sdr_gain_db:.1f}", steps)
    stereo = [row.sdr_gain_db for name, row in rows.items() if not name.startswith("mono")]
    table.add_section()
    table.add_row(
        "all (median gain of stereo)",
        *_figures(sum(row.words for row in rows.values()), errors),
        f"{statistics.median(stereo):.1f}",
        f"unplaced without a reason: {sum(row.unexplained for row in rows.values())}",
    )
    return table


def _figures(words: int, errors: list[float]) -> list[str]:
    found = np.array(errors)
    return [
        str(words),
        str(found.size),
        f"{found.mean():.3f}",
        f"{np.median(found):.3f}",
        f"{found.max():.3f}",
        str(int((found > 1.0).sum())),
    ]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    seed = parser.parse_args().seed
    rows: dict[str, Measured] = {}
    with tempfile.TemporaryDirectory() as folder, Product(Path(folder)) as product:
        product.start()
        with product.client() as client:
            for song in songs.all(seed):
                rows[song.name] = _measure(client, song, Path(folder))
        product.stop()
    Console(width=150).print(_table(rows))


if __name__ == "__main__":
    main()
