"""How fast and how right extraction is: ``python -m tests.bench.bench_extraction``.

One core, processor time, ratios in one run: each extractor alone and all together against real
time; memory of an hour; accuracy over many generated sounds; and with ``--baselines VENV`` (a
virtual environment with librosa and essentia, outside the product) a table beside librosa's own
calls and Essentia's MusicExtractor on the same file.
"""

from __future__ import annotations

import os

os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"))

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import mir_eval
import numpy as np
import soundfile
from rich.console import Console
from rich.table import Table

from processors.extraction.chroma_key import ChromaKeyExtractor
from processors.extraction.extracting import Options, extract_file
from processors.extraction.pitch import PitchExtractor
from processors.extraction.registry import discover
from processors.extraction.tempo import TempoExtractor
from tests import features, programmes
from tests.processors.extraction.listening import heard

_BASELINE = r"""
import json, sys, time
import numpy as np
path, what = sys.argv[1:]
def spent():
    return time.process_time()
if what == "essentia":
    import essentia
    essentia.log.infoActive = essentia.log.warningActive = False
    import essentia.standard as es
    started = spent()
    mean = {kind + "Stats": ["mean"] for kind in ("lowlevel", "rhythm", "tonal")}
    pool, _ = es.MusicExtractor(**mean)(path)
    key = [pool["tonal.key_krumhansl." + part] for part in ("key", "scale")]
    said = f"{pool['rhythm.bpm']:.2f} BPM, {' '.join(key)}"
else:
    import librosa
    warm = np.zeros(22050, np.float32)
    librosa.beat.beat_track(y=warm); librosa.yin(warm, fmin=65, fmax=1050)
    started = spent()
    y, sr = librosa.load(path)
    said = ""
    if what in ("tempo", "all"):
        tempo, beats = librosa.beat.beat_track(y=y, sr=sr)
        said = f"{float(np.atleast_1d(tempo)[0]):.2f} BPM"
    if what in ("yin", "all"):
        librosa.yin(y, fmin=65, fmax=1050, sr=sr, hop_length=220)
    if what == "pyin":
        librosa.pyin(y[: 30 * sr], fmin=65, fmax=1050, sr=sr, hop_length=220)
    if what == "all":
        S = np.abs(librosa.stft(y))
        librosa.feature.mfcc(y=y, sr=sr); librosa.feature.chroma_stft(S=S**2, sr=sr)
        librosa.feature.spectral_centroid(S=S, sr=sr); librosa.feature.spectral_flatness(S=S)
        librosa.feature.spectral_bandwidth(S=S, sr=sr); librosa.feature.spectral_rolloff(S=S, sr=sr)
        librosa.feature.zero_crossing_rate(y); librosa.feature.rms(S=S)
        librosa.onset.onset_detect(y=y, sr=sr)
seconds = spent() - started
high = open("/proc/self/status").read().split("VmHWM:")[1].split()[0]
print(json.dumps({"seconds": seconds, "said": said, "mb": int(high) / 1024}))
"""
"""Run by the other environment's Python: each library's own calls with its own defaults."""

_FACTS = dict[str, float | str]


def song(folder: Path, seconds: float) -> Path:
    """A minute of pop, its whole bars repeated to the length, stereo, 44.1 kHz, 16 bit."""
    path = folder / f"{seconds:.0f}.wav"
    made = programmes.make(1, genre="pop", seconds=60)
    bar = 4 * 60 / made.bpm
    part = made.audio.samples.T[: round(int(60 / bar) * bar * 44_100)]
    with soundfile.SoundFile(path, "w", 44_100, 2, "PCM_16") as file:
        left = round(seconds * 44_100)
        while left > 0:
            file.write(part[:left])
            left -= len(part)
    return path


def _child(path: Path, names: str) -> _FACTS:
    """Ours in a process of its own, so that its memory is its own."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.bench_extraction", "--child", str(path), names],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    facts: _FACTS = json.loads(done.stdout.splitlines()[-1])
    return facts


def _extracted(path: Path, names: str) -> None:
    wanted = None if names == "all" else names.split(",")
    with tempfile.TemporaryDirectory() as folder:
        started = time.process_time()
        manifest = extract_file(path, wanted, Options(), Path(folder))
        seconds = time.process_time() - started
    assert all(part.status == "ok" for part in manifest.extractors)
    said = [
        f"{part.features['tempo_bpm']} BPM"
        if part.name == "tempo_extractor"
        else f"{part.features['key']} {part.features['scale']}"
        for part in manifest.extractors
        if part.name in ("tempo_extractor", "chroma_key")
    ]
    # not ru_maxrss, which a process inherits from the one that started it
    high = Path("/proc/self/status").read_text("ascii").split("VmHWM:")[1].split()[0]
    print(json.dumps({"seconds": seconds, "said": ", ".join(said), "mb": int(high) / 1024}))


def _other(python: Path, path: Path, what: str) -> _FACTS:
    done = subprocess.run(
        [str(python), "-c", _BASELINE, str(path), what], check=False, capture_output=True, text=True
    )
    if done.returncode:
        return {"seconds": float("nan"), "said": done.stderr.strip().splitlines()[-1][:60], "mb": 0}
    facts: _FACTS = json.loads(done.stdout.splitlines()[-1])
    return facts


def speeds(path: Path, seconds: float, rounds: int, baselines: Path | None) -> Iterator[Table]:
    """Each extractor alone, all together, and the others."""
    bpm = programmes.make(1, genre="pop", seconds=1).bpm
    table = Table(
        title=f"{seconds:.0f} s stereo, 44.1 kHz, {bpm:.4f} BPM; decoding included; one core"
    )
    for column in ("extractors", "× real time", "MB", "says"):
        table.add_column(column, justify="right" if column[0] in "×M" else "left")
    jobs = [("all", "all"), *((name, name) for name in discover().usual())]
    for title, names in jobs:
        runs = [_child(path, names) for _ in range(rounds)]
        _row(table, f"melisma: {title}", seconds, runs)
    if baselines is not None:
        python = baselines / "bin" / "python"
        for what, title in (
            ("tempo", "librosa: load, beat_track"),
            ("yin", "librosa: load, yin"),
            ("pyin", "librosa: pyin (30 s of it)"),
            ("all", "librosa: load, beats, yin, mfcc, chroma, spectral, onsets"),
            ("essentia", "Essentia MusicExtractor"),
        ):
            times = 1 if what == "pyin" else rounds
            runs = [_other(python, path, what) for _ in range(times)]
            _row(table, title, 30.0 if what == "pyin" else seconds, runs)
    yield table


def _row(table: Table, title: str, seconds: float, runs: Sequence[_FACTS]) -> None:
    best = min(float(run["seconds"]) for run in runs)
    memory = max(float(run["mb"]) for run in runs)
    table.add_row(title, f"{seconds / best:.0f}", f"{memory:.0f}", str(runs[0]["said"]))


def accuracy(count: int) -> Table:
    """Generated sounds against what was written into them."""
    table = Table(title=f"{count} generated sounds each")
    for column in ("measure", "mean", "worst"):
        table.add_column(column, justify="left" if column == "measure" else "right")
    errors, fs, first, second = [], [], 0, 0
    for seed in range(count):
        made = features.rhythm(10_000 + seed)
        found = heard(TempoExtractor(), made.wave)
        tempo = found.values["tempo_bpm"]
        bpm = tempo if isinstance(tempo, float) else 0.0
        first += abs(bpm / made.bpm - 1) <= 0.04
        second += any(abs(bpm / made.bpm / k - 1) <= 0.04 for k in (1, 2, 3, 0.5, 1 / 3))
        if abs(bpm / made.bpm - 1) <= 0.04:
            errors.append(abs(bpm - made.bpm))
            truth, beats = (
                mir_eval.beat.trim_beats(b) for b in (made.beats, found.arrays["beats_s"])
            )
            fs.append(mir_eval.beat.f_measure(truth, beats))
    table.add_row("tempo, Acc1", f"{first / count:.1%}", "")
    table.add_row("tempo, Acc2", f"{second / count:.1%}", "")
    table.add_row("tempo error, BPM", f"{np.mean(errors):.4f}", f"{np.max(errors):.4f}")
    table.add_row("beat F (70 ms)", f"{np.mean(fs):.4f}", f"{np.min(fs):.4f}")
    accuracies, middles = [], []
    for seed in range(count):
        low, high = ((40, 55), (48, 67), (60, 80), (41, 81))[seed % 4]
        melody = features.melody(
            20_000 + seed, low=low, high=high, vibrato_hz=5 + seed % 3,
            vibrato_cents=(0, 30, 60)[seed % 3], glide_s=(0, 0.06)[seed % 2],
        )  # fmt: skip
        hz = heard(PitchExtractor(), melody.wave).arrays["f0_hz"].astype(np.float64)
        rows = mir_eval.melody.to_cent_voicing(
            melody.times, melody.hz, np.arange(len(hz)) * 0.01, hz
        )
        accuracies.append(mir_eval.melody.raw_pitch_accuracy(*rows))
        both = (rows[0] > 0) & (rows[2] > 0)
        middles.append(float(np.median(np.abs(rows[1] - rows[3])[both])))
    table.add_row("F0 RPA (50 cents)", f"{np.mean(accuracies):.4f}", f"{np.min(accuracies):.4f}")
    table.add_row("F0 median error, cents", f"{np.mean(middles):.2f}", f"{np.max(middles):.2f}")
    shares = [
        float(heard(PitchExtractor(), features.noise(seed, colour)).arrays["voiced"].mean())
        for colour in features.COLOURS
        for seed in range(max(1, count // 4))
    ]
    table.add_row("voiced share of noise", f"{np.mean(shares):.5f}", f"{np.max(shares):.5f}")
    right = []
    for seed in range(count):
        cadence = features.cadence(30_000 + seed)
        key = heard(ChromaKeyExtractor(), cadence.wave).values
        right.append(mir_eval.key.weighted_score(cadence.key, f"{key['key']} {key['scale']}"))
    exact = np.mean(np.array(right) == 1.0)
    table.add_row("key: exact | mir_eval's weighted score", f"{exact:.1%}", f"{np.mean(right):.3f}")
    return table


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description="Measure extraction.")
    parser.add_argument("--seconds", type=float, default=240.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sounds", type=int, default=100, help="generated sounds of each kind")
    parser.add_argument(
        "--hour", type=float, default=3600.0, help="seconds of the long file; 0: none"
    )
    parser.add_argument("--baselines", type=Path, help="virtual environment with librosa, essentia")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.child:
        _extracted(Path(asked.child[0]), asked.child[1])
        return
    console = Console(width=110)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if asked.seconds:
            path = song(folder, asked.seconds)
            for table in speeds(path, asked.seconds, asked.rounds, asked.baselines):
                console.print(table)
        if asked.hour:
            facts = _child(song(folder, asked.hour), "all")
            console.print(
                f"{asked.hour:.0f} s, all extractors: {facts['mb']:.0f} MB at most,"
                f" {asked.hour / float(facts['seconds']):.0f} × real time"
            )
    if asked.sounds:
        console.print(accuracy(asked.sounds))


if __name__ == "__main__":
    main()
