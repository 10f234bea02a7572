"""The full separation beside Demucs itself: ``python -m tests.bench.bench_demucs``.

The model has htdemucs' architecture and random weights, which cost what trained ones do; it is
saved and loaded as a repo folder. Each measurement runs in a process of its own; the peak is its
resident memory, with the song and both stems in it. Time is that of separating one song, once the
model is there. ``--repeats`` rounds, each with a ratio of its own, and their median: it counts, as
others may use the machine too.

The second table lets a song come from a server on this machine at a given speed, and compares the
stage that separates what has arrived with one that waits for the last byte. It cannot save more
than the download takes: a table that says so was disturbed.
"""

from __future__ import annotations

import argparse
import http.server
import json
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from processors.audio.encoding import write_flac
from processors.audio.samples import Audio
from processors.choices import Computing
from processors.runtime.testing import StageEnvironment
from processors.separation.full import DemucsSeparator
from processors.separation.stage import separation
from schemas.events import ImportRequested, Work
from tests import models, songs
from tests.bench.bench_separation import peak_mb

_MODEL = "measured"
_PIECES_S = 20  # a second: how evenly the slow server sends


def _song(seconds: float) -> Audio:
    """A song repeated to a length: random weights hear nothing in it anyway."""
    mix = songs.make("english").mix
    frames = round(seconds * mix.rate)
    return Audio(np.resize(mix.samples[0], frames)[None].repeat(2, axis=0), mix.rate)


def _ignore(_: float) -> None: ...


def _by_us(repo: Path, mix: Audio, limit: int | None) -> Callable[[], Any]:
    computing = Computing(use_gpu=False, threads=0, gpu_limit_mib=None)
    separator = DemucsSeparator(_MODEL, repo=repo, device=computing.device, memory_mib=limit)
    return lambda: separator.separate(mix, _ignore)


def _by_demucs(repo: Path, mix: Audio) -> Callable[[], Any]:
    import torch
    from demucs.apply import apply_model
    from demucs.pretrained import get_model

    model = get_model(_MODEL, repo)
    Computing(use_gpu=False, threads=0, gpu_limit_mib=None).device()
    voice = model.sources.index("vocals")

    def separate() -> Any:
        song = torch.from_numpy(mix.samples)
        stems = apply_model(model, song[None], shifts=0, split=True, overlap=0.25, device="cpu")
        return stems[0, voice], song - stems[0, voice]

    return separate


def _measure(whose: str, repo: Path, seconds: float, limit: int | None) -> dict[str, float]:
    mix = _song(seconds)
    separate = _by_us(repo, mix, limit) if whose == "melisma" else _by_demucs(repo, mix)
    wall, busy = time.perf_counter(), time.process_time()
    kept = separate()
    wall, busy = time.perf_counter() - wall, time.process_time() - busy
    del kept
    return {"wall": wall, "busy": busy, "peak": peak_mb()}


def _alone(whose: str, repo: Path, seconds: float, limit: int | None) -> dict[str, float]:
    arguments = ["--one", whose, str(repo), "--seconds", str(seconds)]
    if limit is not None:
        arguments += ["--limit", str(limit)]
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "tests.bench.bench_demucs", *arguments],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    measured: dict[str, float] = json.loads(run.stdout.splitlines()[-1])
    return measured


def _beside(repo: Path, seconds: float, repeats: int) -> Table:
    """A row a round, the order turned round each time: who comes second finds a warmer machine."""
    table = Table(title=f"htdemucs on {seconds:.0f} s of song, this machine's cores")
    names = {"melisma": "melisma", "demucs": "demucs' apply_model"}
    for column in ("", "wall s", "processor s", "peak MiB"):
        table.add_column(column, justify="right" if column else "left")
    ratios: list[dict[str, float]] = []
    for number in range(repeats):
        order = list(names) if number % 2 == 0 else list(names)[::-1]
        rows = {whose: _alone(whose, repo, seconds, None) for whose in order}
        for whose in names:
            row = rows[whose]
            table.add_row(names[whose], *_cells(row["wall"], row["busy"], row["peak"]))
        ratios.append({name: row / rows["demucs"][name] for name, row in rows["melisma"].items()})
        ratio = ratios[-1]
        table.add_row("ratio", *(f"{ratio[name]:.3f}" for name in ("wall", "busy", "peak")))
        table.add_section()
    middle = (float(np.median([row[name] for row in ratios])) for name in ("wall", "busy", "peak"))
    table.add_row("median ratio", *(f"{value:.3f}" for value in middle), style="bold")
    return table


def _cells(wall: float, busy: float, peak: float) -> tuple[str, str, str]:
    return f"{wall:.1f}", f"{busy:.1f}", f"{peak:.0f}"


class _Server(http.server.BaseHTTPRequestHandler):
    """Sends one file at one speed."""

    content = b""
    bytes_a_second = 1.0

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.content)))
        self.end_headers()
        size = max(1, int(self.bytes_a_second / _PIECES_S))
        began = time.monotonic()
        for at in range(0, len(self.content), size):
            self.wfile.write(self.content[at : at + size])
            due = began + (at + size) / self.bytes_a_second
            time.sleep(max(0.0, due - time.monotonic()))

    def log_message(self, *_: object) -> None:
        """Nothing is printed between the figures."""


def _staged(repo: Path, song: Path, address: str, *, early: bool) -> float:
    """Seconds of the whole stage, with a store whose bytes come from ``address``."""
    with tempfile.TemporaryDirectory() as folder:
        env = StageEnvironment(
            Path(folder),
            separation_backend="full",
            demucs_model=_MODEL,
            demucs_repo=repo,
            use_gpu=False,
        )
        source = env.put("source", song)
        fetch = env.store.fetch

        def slowly(
            uri: str,
            target: Path,
            *,
            sha256: str | None = None,
            seen: Callable[[bytes], None] | None = None,
        ) -> str:
            with urllib.request.urlopen(address) as answer:
                while data := answer.read1(1 << 20):
                    if seen is not None and early:
                        seen(data)
            return fetch(uri, target, sha256=sha256)

        env.store.fetch = slowly  # type: ignore[method-assign]
        work = Work(job_id="job_1", track_id="trk_1", artifacts=(source,))
        began = time.monotonic()
        env.run(separation, ImportRequested(work=work))
        return time.monotonic() - began


def _arriving(repo: Path, seconds: float, download_s: float, repeats: int) -> Table:
    table = Table(
        title=f"the stage on {seconds:.0f} s of FLAC that takes {download_s:.0f} s to come"
    )
    table.add_column("")
    table.add_column("s", justify="right")
    with tempfile.TemporaryDirectory() as folder:
        song = Path(folder) / "song.flac"
        write_flac(song, _song(seconds))
        _Server.content = song.read_bytes()
        _Server.bytes_a_second = len(_Server.content) / download_s
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Server)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            address = f"http://127.0.0.1:{server.server_port}/"
            _staged(repo, song, address, early=False)  # loads the model, which is kept
            waiting, early = (
                min(times)
                for times in zip(
                    *(
                        [_staged(repo, song, address, early=early) for early in (False, True)]
                        for _ in range(repeats)
                    ),
                    strict=True,
                )
            )
        finally:
            server.shutdown()
            server.server_close()
            thread.join()
    table.add_row("waits for the last byte", f"{waiting:.1f}")
    table.add_row("separates what has arrived", f"{early:.1f}")
    table.add_row("saved", f"{waiting - early:.1f}")
    return table


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description="Measure the full separation beside Demucs.")
    parser.add_argument("--seconds", type=float, default=40.0, help="of the song")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--download", type=float, default=15.0, help="seconds; 0 to leave it out")
    parser.add_argument("--minutes", type=float, default=0.0, help="of a long song, for its memory")
    parser.add_argument("--limit", type=int, help="SEPARATION_MEMORY_LIMIT of the long song")
    parser.add_argument("--one", nargs=2, metavar=("WHOSE", "REPO"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if find_spec("torch") is None:
        print("the full separation is left out: `make setup-models` installs it")
        return
    if given.one:
        whose, repo = given.one
        print(json.dumps(_measure(whose, Path(repo), given.seconds, given.limit)))
        return
    console = Console(width=100)
    with tempfile.TemporaryDirectory() as folder:
        repo = models.demucs_repo(Path(folder), _MODEL, real=True)
        if given.minutes:
            row = _alone("melisma", repo, 60 * given.minutes, given.limit)
            console.print(
                f"{given.minutes:g} minutes of song: {row['wall']:.0f} s, "
                f"peak {row['peak']:.0f} MiB (limit: {given.limit or 'none'})"
            )
            return
        console.print(_beside(repo, given.seconds, given.repeats))
        if given.download:
            console.print(_arriving(repo, given.seconds, given.download, given.repeats))


if __name__ == "__main__":
    main()
