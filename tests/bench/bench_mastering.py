"""Masters against their promises, and beside matchering: ``python -m tests.bench.bench_mastering``.

First many generated programmes through a whole chain: loudness, true peak, offset, length; then
pairs of them through the match-EQ. Then one long song, its time and memory in a process of its
own on one core: the chain with the MP3, and, in the same run, matchering (GPL) from a virtual
environment of its own (``--matchering FOLDER``, or one that is made for the run; ``--no-baseline``
does without).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile
from rich.console import Console
from rich.table import Table

from processors.analysis.loudness import LoudnessMeter
from processors.analysis.meter import measure, measure_blocks
from processors.audio.encoding import write_mp3
from processors.audio.samples import Audio
from processors.decision.referring import COMPARED_HZ, follow
from processors.rendering.limiter import true_peak
from processors.rendering.matching import fitted, spectrum_of
from processors.rendering.modules import process
from processors.rendering.rendering import render
from schemas.documents.analysis import Analysis
from schemas.documents.chain import (
    MATCH_LIMIT_DB,
    THIRD_OCTAVES_HZ,
    Chain,
    Compressor,
    Dither,
    DynamicEq,
    DynamicEqBand,
    Eq,
    EqBand,
    Limiter,
    LoudnessGoal,
    MatchEq,
    Module,
    Stereo,
)
from tests import programmes

EQ = Eq(bands=(EqBand(kind="highpass", hz=25), EqBand(hz=300, db=-2), EqBand(hz=3_000, db=1)))
MODULES: tuple[Module, ...] = (
    EQ,
    DynamicEq(bands=(DynamicEqBand(hz=90), DynamicEqBand(hz=3_500, q=2))),
    Compressor(),
    Stereo(crossovers_hz=(200, 4_000), widths=(1, 1.1, 1.2), mono_below_hz=100),
)
TARGETS_LUFS = (-8.0, -11.0, -14.0, -16.0, -23.0)
CEILING_DBTP = -1.0


def chain(lufs: float, tone: MatchEq | None = None) -> Chain:
    """The chain of the bench: everything but saturation, expansion and what mends faults."""
    matched = (tone,) if tone else ()
    return Chain(
        modules=(*matched, *MODULES, Limiter(ceiling_dbtp=CEILING_DBTP), Dither()),
        loudness=LoudnessGoal(lufs=lufs),
    )


def decibels(value: float) -> float:
    return 20 * float(np.log10(max(value, 1e-12)))


def measured(path: Path) -> tuple[float | None, float, float, int]:
    """Integrated LUFS, true peak dBTP at 16 times the rate, worst offset dBFS, and frames."""
    samples, rate = soundfile.read(path, dtype="float64", always_2d=True)
    sound = np.ascontiguousarray(samples.T)
    meter = LoudnessMeter(rate, len(sound))
    for start in range(0, sound.shape[1], rate):
        meter.add(sound[:, start : start + rate])
    offset = decibels(float(np.abs(sound.mean(axis=1)).max()))
    return (
        meter.reading().integrated,
        decibels(true_peak([sound], len(sound))),
        offset,
        sound.shape[1],
    )


def promises(count: int, seconds: float, folder: Path) -> Table:
    """Every programme rendered, the file read back and measured."""
    within = stated = over = leaning = wrong = 0
    worst_lu = worst_peak = worst_offset = -200.0
    for number, programme in enumerate(programmes.clean(count, seed=500, seconds=seconds)):
        target = TARGETS_LUFS[number % len(TARGETS_LUFS)]
        source, master = folder / "song.wav", folder / "master.wav"
        subtype = ("PCM_16", "PCM_24", "FLOAT")[number % 3]
        soundfile.write(source, programme.audio.samples.T, programme.audio.rate, subtype)
        made = render(source, chain(target), master)
        lufs, peak, offset, frames = measured(master)
        error = abs(target - lufs) if lufs is not None else float("inf")
        if error <= 0.1:
            within += 1
            worst_lu = max(worst_lu, error)
        elif made.shortfall is not None:
            stated += 1
        over += peak > CEILING_DBTP
        leaning += offset > -80
        wrong += frames != programme.audio.frames
        worst_peak, worst_offset = max(worst_peak, peak), max(worst_offset, offset)
    table = Table(title=f"{count} programmes of {seconds:g} s, all genres, 44.1 to 192 kHz")
    table.add_column("promise")
    table.add_column("kept", justify="right")
    table.add_column("worst", justify="right")
    table.add_row("loudness within 0.1 LU", f"{within}", f"{worst_lu:.3f} LU")
    table.add_row("… or the shortfall stated", f"{stated}", "")
    table.add_row("… or neither", f"{count - within - stated}", "")
    table.add_row("true peak ≤ -1 dBTP", f"{count - over}", f"{worst_peak:.3f} dBTP")
    table.add_row("offset < -80 dBFS", f"{count - leaning}", f"{worst_offset:.0f} dBFS")
    table.add_row("length to the sample", f"{count - wrong}", "")
    return table


def matches(count: int, seconds: float) -> Table:
    """Residual of the match-EQ as the product makes it, measured on the equalised sound.

    Over the third octaves from 60 Hz to 12 kHz that differ by less than the limit.
    """
    songs = [p.audio for p in programmes.clean(count + 3, seed=900, seconds=seconds)]
    residuals: list[float] = []
    for song, reference in zip(songs[:count], songs[3:], strict=True):
        sounds = [each.samples.astype(np.float64) for each in (song, reference)]
        spectra = [
            spectrum_of([sound], each.rate, len(sound))
            for sound, each in zip(sounds, (song, reference), strict=True)
        ]
        levels = [spectrum.third_octaves_db() for spectrum in spectra]
        curve = follow(analysed(song), analysed(reference), 1.0).curve_db
        if curve is None:
            continue
        made = process(fitted(MatchEq(curve_db=curve), spectra[0]), sounds[0], song.rate)
        gained = spectrum_of([made], song.rate, len(made)).third_octaves_db() - levels[0]
        hz = np.array(THIRD_OCTAVES_HZ)
        heard = np.nanmax(levels, axis=1, keepdims=True) - 75.0 < levels
        compared = (hz >= COMPARED_HZ[0]) & (hz <= COMPARED_HZ[1]) & heard.all(axis=0)
        wanted = levels[1] - levels[0]
        wanted -= wanted[compared].mean()
        within = compared & (np.abs(wanted) < MATCH_LIMIT_DB)
        residuals.append(float(np.std((wanted - gained)[within])))
    table = Table(title=f"match-EQ on {len(residuals)} pairs, third octaves 60 Hz - 12 kHz")
    table.add_column("residual, dB RMS")
    table.add_column("", justify="right")
    for name, value in (
        ("median", np.median(residuals)),
        ("worst", max(residuals)),
        ("over 1.0", sum(r > 1.0 for r in residuals)),
    ):
        table.add_row(name, f"{value:.2f}" if name != "over 1.0" else f"{value:.0f}")
    return table


def analysed(sound: Audio) -> Analysis:
    """What the decision knows of it."""
    return measure_blocks([sound.samples.T], rate=sound.rate, channels=len(sound.samples))


def long_song(path: Path, seed: int, genre: programmes.Genre, seconds: float) -> None:
    """Stereo at 44.1 kHz: half a minute, its repetitions at changing levels."""
    part = programmes.make(seed, genre=genre, seconds=30).audio
    with soundfile.SoundFile(path, "w", part.rate, 2, "PCM_16") as file:
        for number in range(max(1, round(seconds / 30))):
            file.write(part.samples.T * np.float32((0.6, 1.0, 0.8)[number % 3]))


def matched_and_rendered(song: Path, reference: Path, folder: Path) -> None:
    """What a child process runs: both measured, decided, chain, file and MP3."""
    one, two = (measure(path, max_seconds=1e9) for path in (song, reference))
    curve = follow(one, two, 1.0).curve_db
    assert curve is not None
    assert two.loudness.integrated_lufs is not None
    rendered(song, chain(two.loudness.integrated_lufs, MatchEq(curve_db=curve)), folder)


def rendered(song: Path, links: Chain, folder: Path) -> None:
    """Chain, file and MP3."""
    render(song, links, folder / "master.wav")
    samples, rate = soundfile.read(folder / "master.wav", dtype="float32", always_2d=True)
    write_mp3(folder / "preview.mp3", Audio(samples.T, rate))


_BASELINE = """
import sys, matchering
song, reference, master = sys.argv[1:]
matchering.process(target=song, reference=reference, results=[matchering.pcm16(master)])
"""


def timed(arguments: list[str], folder: Path) -> tuple[float, float]:
    """Seconds and resident MiB of a process on one core, its own children included."""
    report = folder / "usage.json"
    wrapper = (
        "import json,os,resource,subprocess,sys,time;"
        "os.sched_setaffinity(0,{min(os.sched_getaffinity(0))});"
        "t=time.process_time();r=subprocess.run(sys.argv[2:],check=True);"
        "u=resource.getrusage(resource.RUSAGE_CHILDREN);"
        "json.dump([u.ru_utime+u.ru_stime,u.ru_maxrss/1024],open(sys.argv[1],'w'))"
    )
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    subprocess.run(
        [sys.executable, "-c", wrapper, str(report), *arguments],
        check=True,
        env=environment,
        stdout=subprocess.DEVNULL,
    )
    seconds, mebibytes = json.loads(report.read_text())
    return float(seconds), float(mebibytes)


def baseline(folder: Path) -> Path:
    """The Python of matchering's own environment, made when it is not there."""
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "-q", "matchering"], check=True)
    return python


def beside(seconds: float, folder: Path, matchering: Path | None) -> Iterator[Table]:
    """Time, memory, true peak and loudness error of one song towards one reference."""
    song, reference = folder / "long.wav", folder / "reference.wav"
    long_song(song, 1, "acoustic", seconds)
    long_song(reference, 2, "pop", seconds)
    target = measured(reference)[0]
    assert target is not None
    table = Table(title=f"a song of {seconds:g} s towards a reference, one core, processor time")
    for name in ("", "× real time", "MiB", "true peak dBTP", "loudness error LU", "MP3"):
        table.add_column(name, justify="left" if not name else "right")
    own = [sys.executable, "-m", "tests.bench.bench_mastering"]
    alone = [*own, "--alone", str(song), str(target), str(folder)]
    towards = [*own, "--child", str(song), str(reference), str(folder)]
    runs = [
        ("melisma: chain, MP3", alone, folder / "master.wav", "yes"),
        ("melisma: analyse both, match, chain, MP3", towards, folder / "master.wav", "yes"),
    ]
    if matchering is not None:
        other = [str(baseline(matchering)), "-c", _BASELINE, str(song), str(reference),
                 str(folder / "baseline.wav")]  # fmt: skip
        runs.append(("matchering 2: match, limiter", other, folder / "baseline.wav", "no"))
    for name, arguments, master, mp3 in runs:
        took, memory = timed(arguments, folder)
        lufs, peak, _, _ = measured(master)
        error = abs((lufs or -99) - target)
        table.add_row(
            name, f"{seconds / took:.1f}", f"{memory:.0f}", f"{peak:+.2f}", f"{error:.2f}", mp3
        )
    yield table


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--programmes", type=int, default=200)
    parser.add_argument("--pairs", type=int, default=40)
    parser.add_argument("--seconds", type=float, default=6.0, help="of each programme")
    parser.add_argument("--song", type=float, default=240.0, help="seconds of the long song")
    parser.add_argument("--matchering", type=Path, help="folder of its virtual environment")
    parser.add_argument("--no-baseline", action="store_true")
    parser.add_argument("--child", nargs=3, type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--alone", nargs=3, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.child:
        matched_and_rendered(*asked.child)
        return
    if asked.alone:
        song, lufs, out = asked.alone
        rendered(Path(song), chain(float(lufs)), Path(out))
        return
    console = Console(width=100)
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        environment = asked.matchering or folder / "matchering"
        for table in beside(asked.song, folder, None if asked.no_baseline else environment):
            console.print(table)
        if asked.pairs:
            console.print(matches(asked.pairs, 12.0))
        if asked.programmes:
            console.print(promises(asked.programmes, asked.seconds, folder))
    console.print(f"{time.perf_counter() - started:.0f} s in all")


if __name__ == "__main__":
    main()
