"""Does the quality check tell right karaoke from wrong? ``python -m tests.bench.bench_quality``

Songs whose truth is known are aligned by the light backend on their true and their separated
vocals: with their own lyrics, where nothing may be called below the bar, and with planted faults,
where everything must be. ``--seeds N`` takes N songs of each kind, from ``--first S`` on.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass

_ONE_CORE = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}

RIGHT = ("right", "capitals", "a cappella")
"""What a person would sing without a second thought; everything else is planted."""
FAULTS = (
    "late",
    "early",
    "other song",
    "first half",
    "every second",
    "shuffled",
    "instrumental",
    "other language",
)


@dataclass(frozen=True, slots=True)
class Row:
    """One case; ``refused`` is the code where alignment already said no."""

    song: str
    vocals: str
    case: str
    refused: str
    score: float
    below: bool
    errors: list[str]
    margin: float | None
    coverage: float | None
    late_ms: int | None
    bleed_db: float | None
    line_flags: dict[str, int]
    mean_error_ms: float | None
    worst_error_ms: float | None


def measure(kind: str, seed: int) -> Iterator[Row]:
    """All cases of one song."""
    import numpy as np

    from processors.alignment.light import LightAligner
    from processors.audio.samples import Audio
    from processors.separation.light import LightSeparator
    from tests import songs
    from tests.faulty import judged

    found = next(known for known in songs.KINDS if known == kind)
    song = songs.make(found, seed)
    other = "\n".join(_of_others(found, seed, song.lyrics_text.splitlines()))
    foreign = songs.make("english" if song.language == "ru" else "russian", seed)
    lines = song.lyrics_text.strip().splitlines()
    mixed = [lines[at] for at in np.random.default_rng(seed).permutation(len(lines))]
    aligner = LightAligner()

    def split(mix: Audio) -> tuple[Audio, Audio]:
        stems = LightSeparator().separate(mix, lambda _share: None)
        return stems.vocals, stems.minus

    def row(case: str, vocals: str, stems: tuple[Audio, Audio], text: str, **how: object) -> Row:
        shift = how.get("shift_ms", 0)
        language = str(how.get("language", song.language))
        assert isinstance(shift, int)
        got = judged(aligner, *stems, text, language, shift_ms=shift)
        errors: list[float] = []
        if case in RIGHT and not got.refused:
            errors = [
                abs(start - word.start_ms)
                for word, start in zip(song.words, got.starts, strict=True)
                if start is not None
            ]
        flags: dict[str, int] = {}
        for flag in got.quality.flags:
            flags[flag.code] = flags.get(flag.code, 0) + 1
        measures = got.quality.measures
        return Row(
            song=song.name,
            vocals=vocals,
            case=case,
            refused=got.refused,
            score=got.quality.score or 0.0,
            below=bool(got.refused) or got.quality.needs_review,
            errors=[flag.code for flag in got.quality.flags if flag.severity == "error"],
            margin=measures.lyrics_margin if measures else None,
            coverage=measures.coverage if measures else None,
            late_ms=measures.late_ms if measures else None,
            bleed_db=measures.bleed_db if measures else None,
            line_flags=flags,
            mean_error_ms=float(np.mean(errors)) if errors else None,
            worst_error_ms=max(errors) if errors else None,
        )

    text = song.lyrics_text
    for vocals, stems in (("true", (song.vocals, song.backing)), ("separated", split(song.mix))):
        yield row("right", vocals, stems, text)
        yield row("capitals", vocals, stems, " ".join(lines).upper())
        yield row("late", vocals, stems, text, shift_ms=1000)
        yield row("early", vocals, stems, text, shift_ms=-1000)
        yield row("other song", vocals, stems, other)
        yield row("other language", vocals, stems, foreign.lyrics_text, language=foreign.language)
        if len(lines) > 3:
            yield row("first half", vocals, stems, "\n".join(lines[: len(lines) // 2]))
            yield row("every second", vocals, stems, "\n".join(lines[::2]))
            if mixed != lines:
                yield row("shuffled", vocals, stems, "\n".join(mixed))
    yield row("instrumental", "separated", split(song.backing), text)
    yield row("a cappella", "separated", split(song.vocals), text)
    aligner.close()


def _of_others(kind: str, seed: int, own: list[str]) -> list[str]:
    """As many lines of other songs of the kind, none of this one's: songs here share a pool."""
    import numpy as np

    from tests import song_lyrics

    language = "ru" if kind == "russian" else "en"
    lines: dict[str, None] = {}
    for number in range(20):
        verses, choruses = song_lyrics.draw(language, np.random.default_rng([seed, number]))
        lines.update(dict.fromkeys([*verses, *choruses]))
    return [line for line in lines if line not in own][: len(own)]


def main() -> None:
    """Print the tables; each song in a process of its own."""
    import numpy as np
    from rich.console import Console
    from rich.table import Table

    from tests import songs

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--kinds", default=",".join(songs.KINDS))
    parser.add_argument("--rows", action="store_true", help="print every case as JSON, too")
    parser.add_argument("--one", nargs=2, metavar=("KIND", "SEED"))
    arguments = parser.parse_args()
    if arguments.one:
        for made in measure(arguments.one[0], int(arguments.one[1])):
            print(json.dumps(asdict(made)))
        return
    rows: list[Row] = []
    for kind in arguments.kinds.split(","):
        for seed in range(arguments.first, arguments.first + arguments.seeds):
            done = subprocess.run(
                [sys.executable, "-m", __spec__.name, "--one", kind, str(seed)],
                env=os.environ | _ONE_CORE,
                stdout=subprocess.PIPE,
                check=True,
            )
            rows += [Row(**json.loads(line)) for line in done.stdout.splitlines()]
            if arguments.rows:
                print(done.stdout.decode(), flush=True)
    table = Table(title="quality check: right karaoke and planted faults")
    names = ("case", "vocals", "songs", "below", "score", "margin", "coverage", "late ms", "errors")
    for name in names:
        table.add_column(name, justify="left" if name in ("case", "vocals", "errors") else "right")
    for case in (*RIGHT, *FAULTS):
        for vocals in ("true", "separated"):
            some = [row for row in rows if (row.case, row.vocals) == (case, vocals)]
            if some:
                told = sorted({code for row in some for code in [*row.errors, row.refused] if code})
                table.add_row(
                    case,
                    vocals,
                    str(len(some)),
                    str(sum(row.below for row in some)),
                    _range([row.score for row in some if not row.refused]),
                    _range([row.margin for row in some]),
                    _range([row.coverage for row in some]),
                    _range([row.late_ms for row in some], ".0f"),
                    ", ".join(told),
                )
        if case == RIGHT[-1]:
            table.add_section()
    console = Console(width=150)
    console.print(table)
    right = [row for row in rows if row.case in RIGHT]
    wrong = [row for row in rows if row.case in FAULTS]
    fine = [row for row in right if row.worst_error_ms is not None and row.worst_error_ms <= 1000]
    console.print(
        f"recall {sum(row.below for row in wrong)} of {len(wrong)} planted faults, false alarms"
        f" {sum(row.below for row in fine)} of {len(fine)} right alignments (no word off by 1 s);"
        f" {len(right) - len(fine)} alignments of right lyrics are wrong by themselves,"
        f" {sum(row.below for row in right) - sum(row.below for row in fine)} of them below"
    )
    bleeds = {
        vocals: [row.bleed_db for row in right if row.vocals == vocals and row.bleed_db is not None]
        for vocals in ("true", "separated")
    }
    for vocals, values in bleeds.items():
        if values:
            console.print(f"bleed, {vocals} stems: {_range(values, '.0f')} dB")
    false_lines = sum(row.line_flags.get("line_differs", 0) for row in fine)
    console.print(f"line_differs in right alignments: {false_lines} lines")
    assert np.isfinite([row.score for row in rows]).all()


def _range(values: list[float | None] | list[float] | list[int | None], how: str = ".2f") -> str:
    known = sorted(value for value in values if value is not None)
    if not known:
        return ""
    low, middle, high = known[0], known[len(known) // 2], known[-1]
    return f"{low:{how}} {middle:{how}} {high:{how}}"


if __name__ == "__main__":
    main()
