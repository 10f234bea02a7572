"""How well and how fast voices are separated: ``python -m tests.bench.bench_separation``.

SDR is 10 log10(‖s‖² / ‖s − ŝ‖²) over the whole song and all channels, with no filter or gain
allowed to the estimate; SI-SDR allows it one gain (Le Roux et al. 2019, "SDR — half-baked or well
done?"). "Before" takes the mix itself as the estimate. Each song runs in a process of its own on
one core; the peak is that process's resident memory, with the song and both stems in it.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from processors.audio.decoding import decode
from processors.audio.samples import Audio, Samples
from processors.separation.light import LightSeparator
from tests import songs

_ONE_CORE = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


def sdr(truth: Samples, estimate: Samples) -> float:
    """Signal to distortion in dB."""
    wrong = float(np.sum((truth - estimate) ** 2, dtype=np.float64))
    return 10 * float(np.log10(np.sum(truth**2, dtype=np.float64) / wrong))


def si_sdr(truth: Samples, estimate: Samples) -> float:
    """Scale-invariant signal to distortion in dB."""
    gain = np.sum(truth * estimate, dtype=np.float64) / np.sum(truth**2, dtype=np.float64)
    return sdr(truth * np.float32(gain), estimate)


def _ignore(_: float) -> None: ...


def _separate(mix: Audio) -> tuple[Samples, float, float]:
    """The voice, × real time and peak MB of this process."""
    started = time.process_time()
    vocals = LightSeparator().separate(mix, _ignore).vocals.samples
    speed = mix.seconds / (time.process_time() - started)
    return vocals, speed, peak_mb()


def peak_mb() -> float:
    """The most memory that this process has had resident, in MB."""
    # not ru_maxrss: that one survives exec, so a child would report its parent's peak
    status = Path("/proc/self/status").read_text("ascii")
    [line] = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) / 1024


def _measure(kind: songs.Kind, seed: int) -> dict[str, float]:
    song = songs.make(kind, seed)
    heard = decode(song.path, max_seconds=600)  # the file: the mono song is a lossy MP3
    found, speed, peak = _separate(heard)
    truth, mix = song.vocals.samples, heard.samples
    return {
        "seconds": song.mix.seconds,
        "before": sdr(truth, mix),
        "after": sdr(truth, found),
        "si_before": si_sdr(truth, mix),
        "si_after": si_sdr(truth, found),
        "speed": speed,
        "peak": peak,
    }


def _measure_long(minutes: float) -> dict[str, float]:
    """A song repeated to a length: quality means nothing here, memory and speed do."""
    mix = songs.make("english").mix
    frames = round(minutes * 60 * mix.rate)
    samples = np.resize(mix.samples[0], frames)[None].repeat(2, axis=0)
    _, speed, peak = _separate(Audio(samples, mix.rate))
    return {"seconds": 60 * minutes, "speed": speed, "peak": peak}


def _alone(*arguments: str) -> dict[str, float]:
    run = subprocess.run(
        [sys.executable, "-m", "tests.bench.bench_separation", *arguments],
        env={**os.environ, **_ONE_CORE},
        capture_output=True,
        text=True,
        check=True,
    )
    measured: dict[str, float] = json.loads(run.stdout)
    return measured


def _rows(seeds: list[int]) -> Iterator[tuple[songs.Kind, int, dict[str, float]]]:
    for kind in songs.KINDS:
        for seed in seeds:
            songs.make(kind, seed)  # composing is not part of the measurement
            yield kind, seed, _alone("--one", kind, str(seed))


def _table(seeds: list[int], minutes: float) -> Table:
    table = Table(title="light separation, one core")
    columns = ("length s", "SDR before", "after", "gain", "SI-SDR gain", "× real time", "peak MB")
    table.add_column("song")
    for column in columns:
        table.add_column(column, justify="right")
    gains: list[float] = []
    si_gains: list[float] = []
    for kind, seed, row in _rows(seeds):
        gain, si_gain = row["after"] - row["before"], row["si_after"] - row["si_before"]
        if kind != "mono_mp3":
            gains.append(gain)
            si_gains.append(si_gain)
        decibels = (row["before"], row["after"], gain, si_gain)
        table.add_row(
            f"{kind} {seed}",
            f"{row['seconds']:.1f}",
            *(f"{value:.2f}" for value in decibels),
            f"{row['speed']:.1f}",
            f"{row['peak']:.0f}",
        )
    table.add_section()
    medians = (f"{statistics.median(values):.2f}" for values in (gains, si_gains))
    table.add_row("median of the stereo songs", "", "", "", *medians, "", "")
    if minutes:
        row = _alone("--long", str(minutes))
        speed, peak = f"{row['speed']:.1f}", f"{row['peak']:.0f}"
        table.add_row("a long song", f"{row['seconds']:.0f}", "", "", "", "", speed, peak)
    return table


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="Measure the light separation.")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--minutes", type=float, default=15.0, help="of the long song; 0 for none")
    parser.add_argument("--one", nargs=2, metavar=("KIND", "SEED"), help=argparse.SUPPRESS)
    parser.add_argument("--long", type=float, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        print(json.dumps(_measure(given.one[0], int(given.one[1]))))
    elif given.long:
        print(json.dumps(_measure_long(given.long)))
    else:
        Console(width=110).print(_table(given.seeds, given.minutes))


if __name__ == "__main__":
    main()
