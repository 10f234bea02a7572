"""Do the ears lent to a speech model tell the language? ``python -m tests.bench.bench_languages``

Songs in ten languages, true and separated vocals; their lines where they are sung, and off by a
little at random, as an aligner of another language places them. Each is said to be in its own
language and in every other that is tried for its letters.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from rich.console import Console
from rich.table import Table

from processors.alignment.aligner import Placement
from processors.alignment.document import compose
from processors.alignment.ears import Ears, ears
from processors.alignment.languages import script
from processors.alignment.testimony import LANGUAGES, other_languages
from processors.audio.activity import detect
from processors.quality.thresholds import Thresholds
from processors.separation.light import LightSeparator
from schemas.documents.karaoke import Karaoke
from schemas.documents.lyrics import LyricsDocument
from tests import foreign, songs

_OFF_MS = (0.0, 200.0)


@dataclass(frozen=True, slots=True)
class Told:
    """How much better the best other language fits, nats a frame."""

    vocals: str
    off_ms: float
    right: bool
    margin: float


@dataclass(frozen=True, slots=True)
class _Off:
    """Ears that look for every line beside its place, by what its time says (a fixed seed)."""

    listens: Ears
    off_ms: float

    def __call__(
        self, lines: Sequence[Sequence[str]], language: str, start_ms: int, end_ms: int
    ) -> float | None:
        by = round(np.random.default_rng(start_ms).normal(0, self.off_ms))
        return self.listens.fit(lines, language, start_ms + by, end_ms + by)


def _songs(seeds: int) -> Iterator[songs.Song]:
    for seed in range(seeds):
        yield from (foreign.make(language, seed) for language in foreign.LYRICS)
    for kind in ("english", "russian"):
        yield from (songs.make(kind, seed) for seed in range(seeds + 1))


def _placed(song: songs.Song) -> Karaoke:
    rows = [[Placement(w.start_ms, w.end_ms, 1.0, "aligned") for w in line] for line in song.lines]
    lyrics = LyricsDocument.from_text(song.lyrics_text)
    return compose(
        lyrics, rows, language=song.language, duration_ms=round(1000 * song.vocals.seconds)
    )


def measure(song: songs.Song) -> Iterator[Told]:
    """The song said to be in each language, true and separated, at its places and beside them."""
    content = _placed(song)
    candidates = {*LANGUAGES[script(song.lyrics_text) or ""], song.language}
    separated = LightSeparator().separate(song.mix, lambda _share: None).vocals
    for name, vocals in (("true", song.vocals), ("separated", separated)):
        listens = ears(vocals, detect(vocals))
        for off_ms in _OFF_MS:
            for said in sorted(candidates):
                tried = other_languages(content, _Off(listens, off_ms), said)
                best = max((one.margin for one in tried), default=None)
                if best is not None:
                    yield Told(name, off_ms, said == song.language, best)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=2)
    began = time.process_time()
    told = [one for song in _songs(parser.parse_args().seeds) for one in measure(song)]
    bar = Thresholds().language_margin
    table = Table(
        title=f"the language by ear: the best other one fits better by {bar} nats a frame"
    )
    for column in ("vocals", "lines off by", "right: most", "right: flagged", "wrong: flagged"):
        table.add_column(column, justify="right")
    for vocals in ("true", "separated"):
        for off_ms in _OFF_MS:
            some = [one for one in told if (one.vocals, one.off_ms) == (vocals, off_ms)]
            right = [one.margin for one in some if one.right]
            wrong = [one.margin for one in some if not one.right]
            table.add_row(
                vocals,
                f"{off_ms:.0f} ms",
                f"{max(right):.2f}",
                f"{sum(one >= bar for one in right)} of {len(right)}",
                f"{sum(one >= bar for one in wrong)} of {len(wrong)}",
            )
    console = Console(width=100)
    console.print(table)
    console.print(f"{len(told)} times; {time.process_time() - began:.0f} s with making the songs")


if __name__ == "__main__":
    main()
