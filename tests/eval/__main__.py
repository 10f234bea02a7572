"""How good the karaoke is: ``make eval``, ``make eval DATASET=folder``, ``python -m tests.eval``.

Every song goes through the product's own stages with its lyrics, in a process of its own on one
core; onsets are those of the published words against the truth. Without a folder the songs are
made (`tests.songs`: with a long break, a repeated chorus, ad-libs, in Russian, a duet, a mono MP3);
with one they are yours (`tests.eval.dataset` says how to lay it out). Ends with status 1 when the
targets of alignment on separated vocals are missed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path

from rich.console import Console

from tests.eval import report
from tests.eval.dataset import NoDataset, pieces
from tests.eval.figures import Row, misses, summary
from tests.eval.pieces import MADE_KINDS, Piece, made

_ONE_CORE = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
_DONE = "row: "
_NO_MODEL = "model_unavailable"  # as `processors.choices` says it
_HOW_FULL = (
    "for rows of the full backends: `make setup-models`, weights in DEMUCS_REPO and SPEECH_MODELS"
    " or a network that reaches their hubs, then `python -m tests.eval --backends light full`"
    " (models with random weights would say nothing)"
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Evaluate, print, write; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.eval", description=__doc__)
    parser.add_argument("--dataset", type=Path, help="folder of real songs with word times")
    parser.add_argument("--kinds", nargs="+", choices=MADE_KINDS, default=MADE_KINDS)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1])
    parser.add_argument("--backends", nargs="+", choices=("light", "full"))
    parser.add_argument("--out", type=Path, default=Path("out/eval"))
    parser.add_argument("--one", metavar="BACKEND", help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.one:
        return _one(given.one)
    backends = list(given.backends or (["light", "full"] if find_spec("nemo") else ["light"]))
    left_out = "" if "full" in backends or given.backends else "NeMo is not installed"
    console = Console(stderr=True)
    given.out.mkdir(parents=True, exist_ok=True)
    rows: list[Row] = []
    failed: list[str] = []
    try:
        with tempfile.TemporaryDirectory(prefix="melisma-eval-") as scratch:
            songs = (
                pieces(given.dataset)
                if given.dataset
                else made(given.kinds, given.seeds, Path(scratch))
            )
            for piece in songs:
                for backend in tuple(backends):
                    console.print(f"{piece.name} by {backend} …", style="dim")
                    row = _alone(piece, backend)
                    if isinstance(row, Row):
                        rows.append(row)
                    elif row.code == _NO_MODEL and not given.backends:
                        left_out = row.message
                        backends.remove(backend)
                    else:
                        failed.append(f"{piece.name} by {backend}: {row.message}")
    except NoDataset as error:
        console.print(f"eval: {error}", style="red")
        return 2
    if left_out:
        console.print(f"full is left out: {left_out}; {_HOW_FULL}", style="yellow", soft_wrap=True)
    return _concluded(rows, failed, given.out, given.dataset)


def _concluded(rows: Sequence[Row], failed: Sequence[str], out: Path, dataset: Path | None) -> int:
    console = Console(width=170)
    missed = list(failed)
    if rows:
        console.print(report.table(rows))
        report.draw(out / "eval.png", rows)
        about: dict[str, object] = {
            "dataset": dataset.name if dataset else "made",
            "failed": failed,
        }
        report.write(out / "eval.json", rows, about)
        console.print(f"{out / 'eval.png'}  {out / 'eval.json'}", style="dim")
    for backend in dict.fromkeys(row.backend for row in rows):
        own = [row for row in rows if row.backend == backend]
        missed += [f"{backend}: {one}" for one in misses(own)]
        if summary(own).placed < summary(own).words:
            lacking = summary(own).words - summary(own).placed
            console.print(f"{backend}: {lacking} words were not placed", style="yellow")
    for one in missed:
        console.print(f"missed  {one}", style="red", highlight=False)
    if rows and not missed:
        console.print("every target is met", style="green")
    return 1 if missed or not rows else 0


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a song could not be measured."""

    code: str
    message: str


def _alone(piece: Piece, backend: str) -> Row | Refused:
    """Measured in a fresh process; why it could not be, otherwise."""
    run = subprocess.run(
        [sys.executable, "-m", "tests.eval", "--one", backend],
        env={**os.environ, **_ONE_CORE},
        input=piece.to_json(),
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    found = [line for line in run.stdout.splitlines() if line.startswith(_DONE)]
    if not found:
        return Refused("ended", f"its process ended with status {run.returncode}")
    told = json.loads(found[-1].removeprefix(_DONE))
    return Refused(**told["refused"]) if "refused" in told else Row(**told)


def _one(backend: str) -> int:
    from processors.runtime import Reject, Retry
    from tests.eval.measuring import measure
    from topics import logs

    logs.configure("json", "error", stream=sys.stderr)
    piece = Piece.from_json(sys.stdin.read())
    with tempfile.TemporaryDirectory(prefix="melisma-eval-") as folder:
        try:
            told = asdict(measure(piece, backend, Path(folder)))
        except (Reject, Retry) as refusal:
            told = {"refused": {"code": refusal.code, "message": refusal.message}}
    print(_DONE + json.dumps(told, ensure_ascii=False))
    return 0


if __name__ == "__main__":
    sys.exit(main())
