"""How well duets are placed whose voices overlap: ``python -m tests.bench.bench_duets``

Each second line begins with the one above it (overlap 1), in its middle (0.5), or behind it (0).
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import numpy as np
from rich.console import Console
from rich.table import Table

from processors.alignment.aligner import Placement
from processors.alignment.document import to_align
from processors.alignment.light import LightAligner
from processors.alignment.voices import place_voices
from processors.audio.samples import Audio
from processors.separation.light import LightSeparator
from schemas.documents.lyrics import LyricsDocument
from tests.duets import overlapping
from tests.songs import Song

_OVERLAPS = (1.0, 0.5, 0.0)
_NOWHERE_S = 60.0  # a word without a place: over 1 s, and in no mean


@dataclass(frozen=True, slots=True)
class Errors:
    """Onset errors of all words, seconds: of one path through all lines, and by the voices."""

    one_path: list[float]
    voices: list[float]


def measure(aligner: LightAligner, song: Song, vocals: Audio) -> Errors:
    """The song's words placed both ways."""
    lyrics = LyricsDocument.from_text(song.lyrics_text, language="en")
    lines = to_align(lyrics)
    heard = aligner.hear(vocals, lines, "en", _ignore)
    singers = [line.singer for line in lyrics.lines]
    song_ms = round(1000 * vocals.seconds)
    return Errors(
        _errors(song, heard.place(lines, "en", _ignore)),
        _errors(song, place_voices(heard, lines, singers, "en", song_ms, _ignore)),
    )


def _errors(song: Song, rows: list[list[Placement]]) -> list[float]:
    spots = [spot for row in rows for spot in row]
    return [
        _NOWHERE_S if spot.start_ms is None else abs(spot.start_ms - word.start_ms) / 1000
        for spot, word in zip(spots, song.words, strict=True)
    ]


def _ignore(_share: float) -> None:
    """Progress that nobody watches."""


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seeds", type=int, default=6)
    given = parser.parse_args()
    table = Table(title="overlapping duets: onset error, s")
    for column in ("vocals", "overlap", "words", "one path", "over 1 s", "voices", "over 1 s"):
        table.add_column(column, justify="right")
    aligner = LightAligner()
    for vocals in ("true", "separated"):
        for overlap in _OVERLAPS:
            all_of = Errors([], [])
            for seed in range(given.first, given.first + given.seeds):
                song = overlapping(seed, overlap)
                stem = song.vocals
                if vocals == "separated":
                    stem = LightSeparator().separate(song.mix, _ignore).vocals
                found = measure(aligner, song, stem)
                all_of.one_path.extend(found.one_path)
                all_of.voices.extend(found.voices)
            row = [vocals, f"{overlap:g}", str(len(all_of.voices))]
            for errors in (all_of.one_path, all_of.voices):
                placed = [error for error in errors if error < _NOWHERE_S]
                row += [f"{np.mean(placed):.3f}", str(sum(error > 1 for error in errors))]
            table.add_row(*row)
    aligner.close()
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
