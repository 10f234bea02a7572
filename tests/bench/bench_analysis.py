"""How fast the meter is, beside the meters of the field: ``python -m tests.bench.bench_analysis``.

One process, one core, one file: each reads the same WAV and measures. Ours gives the whole of
``analysis/1``; the others what they can, which the table names. ``--detect N`` also plants every
fault N times and counts what is found.
"""

from __future__ import annotations

import os

os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"))

import argparse
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyebur128
import pyloudnorm
import soundfile
from rich.console import Console
from rich.table import Table

from processors.analysis.faults import faults
from processors.analysis.meter import measure, measure_blocks
from tests import programmes
from tests.programmes import FAULTS, Programme


def _ours(path: Path) -> str:
    found = measure(path, max_seconds=4 * 3600)
    return f"I {found.loudness.integrated_lufs:.2f}, TP {found.peaks.true_peak_dbtp:.2f}"


def _libebur128(path: Path) -> str:
    mode = pyebur128.MeasurementMode
    wave, rate = soundfile.read(path)
    state = pyebur128.R128State(
        wave.shape[1], rate, mode.MODE_I | mode.MODE_LRA | mode.MODE_TRUE_PEAK
    )
    state.add_frames(np.ascontiguousarray(wave).ravel(), len(wave))
    peak = max(pyebur128.get_true_peak(state, channel) for channel in range(wave.shape[1]))
    loudness = pyebur128.get_loudness_global(state)
    return f"I {loudness:.2f}, TP {20 * np.log10(peak):.2f}"


def _pyloudnorm(path: Path) -> str:
    wave, rate = soundfile.read(path)
    return f"I {pyloudnorm.Meter(rate).integrated_loudness(wave):.2f}"


METERS: dict[str, tuple[str, Callable[[Path], str]]] = {
    "melisma": ("all of analysis/1, true peak 8×", _ours),
    "libebur128 (pyebur128)": ("I, LRA, true peak 4×", _libebur128),
    "pyloudnorm": ("I", _pyloudnorm),
}


def _speeds(seconds: float, rate: int, rounds: int) -> Table:
    table = Table(title=f"{seconds:.0f} s stereo, {rate} Hz, 24 bit; one core, processor time")
    for column in ("meter", "measures", "reads", "× real time", "against ours"):
        table.add_column(column, justify="right" if column[0] in "×a" else "left")
    song = programmes.make(1, genre="pop", rate=rate, seconds=30).audio.samples
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "song.wav"
        soundfile.write(path, np.resize(song.T, (round(seconds * rate), 2)), rate, "PCM_24")
        best: dict[str, float] = {}
        said: dict[str, str] = {}
        for _ in range(rounds):
            for name, (_, meter) in METERS.items():
                started = time.process_time()
                said[name] = meter(path)
                spent = time.process_time() - started
                best[name] = min(best.get(name, np.inf), spent)
    for name, (measures, _) in METERS.items():
        ratio = best["melisma"] / best[name]
        table.add_row(name, measures, said[name], f"{seconds / best[name]:.0f}", f"{ratio:.2f}")
    return table


def _found(song: Programme) -> frozenset[str]:
    audio = song.audio
    return frozenset(
        faults(
            measure_blocks(
                song.blocks(), rate=audio.rate, channels=audio.channels, encoding="pcm_24"
            )
        )
    )


def _detection(count: int, seconds: float) -> Table:
    table = Table(title=f"faults of known depth, {count} programmes each, {seconds:.0f} s")
    for column in ("fault", "recall", "false alarms on clean programmes"):
        table.add_column(column)
    clean = [_found(song) for song in programmes.clean(count, seed=50_000, seconds=seconds)]
    for fault in FAULTS:
        songs = programmes.planted(fault, count, seed=60_000, seconds=seconds)
        hits = sum(fault in _found(song) for song in songs)
        alarms = sum(fault in found for found in clean)
        table.add_row(fault, f"{hits}/{count}", f"{alarms}/{count}")
    return table


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description="Measure the meter.")
    parser.add_argument("--seconds", type=float, default=240.0)
    parser.add_argument("--rates", type=int, nargs="+", default=[44_100, 96_000])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--detect", type=int, default=0, metavar="N")
    given = parser.parse_args()
    console = Console(width=110)
    for rate in given.rates:
        console.print(_speeds(given.seconds, rate, given.rounds))
    if given.detect:
        console.print(_detection(given.detect, 12.0))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    console.print(f"peak memory of the run, with the others' whole files in it: {peak:.0f} MB")


if __name__ == "__main__":
    main()
