"""How fast songs are decoded and encoded: ``python -m tests.bench.bench_decoding``.

Wall-clock on whatever machine this is, the best of three, to the working format of 44.1 kHz
stereo; FFmpeg's start is part of it.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from processors.audio.decoding import decode
from processors.audio.encoding import write_flac, write_mp3
from processors.audio.samples import Audio
from tests import songs
from tests.processors.audio.recordings import coded, pcm


def _best(work: Callable[[], object]) -> float:
    times = []
    for _ in range(3):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return min(times)


def _table(minutes: float, folder: Path) -> Table:
    song = songs.make("english").mix
    samples = np.tile(song.samples, (1, int(minutes * 60 / song.seconds) + 1))
    audio = Audio(samples[:, : round(minutes * 60 * song.rate)], song.rate)
    high = Audio(np.repeat(audio.samples[:, : audio.frames // 4], 4, axis=1), 176_400)
    files = {
        "WAV 16 bit": pcm(folder / "a.wav", audio),
        "FLAC 16 bit": pcm(folder / "a.flac", audio),
        "WAV 24 bit, 176.4 kHz, resampled": pcm(folder / "high.wav", high, "PCM_24"),
        "MP3": coded(folder / "a.mp3", audio, "-b:a", "192k"),
        "M4A (AAC)": coded(folder / "a.m4a", audio, "-b:a", "192k"),
        "Ogg Vorbis": coded(folder / "a.ogg", audio, "-q:a", "6"),
        "Opus, resampled": coded(folder / "a.opus", audio, "-ar", "48000"),
    }
    table = Table(title=f"decoding and encoding, {minutes:g} min of song")
    table.add_column("what")
    table.add_column("× real time", justify="right")
    for name, path in files.items():
        seconds = decode(path, max_seconds=7200).seconds
        took = _best(lambda path=path: decode(path, max_seconds=7200, rate=44_100, channels=2))  # type: ignore[misc]
        table.add_row(f"decode {name}", f"{seconds / took:.0f}")
    took = _best(lambda: write_flac(folder / "out.flac", audio, bits=24))
    table.add_row("write FLAC 24 bit", f"{audio.seconds / took:.0f}")
    took = _best(lambda: write_mp3(folder / "out.mp3", audio))
    table.add_row("write MP3", f"{audio.seconds / took:.0f}")
    return table


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="Measure decoding and encoding.")
    parser.add_argument("--minutes", type=float, default=3.0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        Console().print(_table(given.minutes, Path(folder)))


if __name__ == "__main__":
    main()
