"""What an edit costs beside the import: ``python -m tests.bench.bench_realigning [light|full]``.

A song of several minutes (test songs one after the other) goes through every stage; then one word
of its lyrics is changed, as the gateway would ask for it. CPU time of one process on one core;
shares of the import in the same run. ``full`` needs the extra ``models`` and takes tiny ones:
real ones make the import, not the edit, longer.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

_ONE_CORE = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
_SONGS = 6  # of 30 s


@dataclass(slots=True)
class Clock:
    """CPU seconds by stage."""

    took: dict[str, float]

    def run(self, name: str, work: Callable[[], Any]) -> Any:
        """Do it and remember how long it took."""
        began = time.process_time()
        result = work()
        self.took[name] = time.process_time() - began
        return result


@dataclass(frozen=True, slots=True)
class Measured:
    """``first`` and ``edit``: CPU seconds by stage; ``stayed``: whether lines that were not edited
    did; ``kept``: bytes that are kept so that nothing is heard twice.
    """

    seconds: float
    first: dict[str, float]
    edit: dict[str, float]
    stayed: bool
    kept: dict[str, int]


def measure(backend: str, folder: Path) -> Measured:
    """A song imported, then edited."""
    from processors.alignment.earlier import PARENT
    from processors.alignment.memory import NAME as HEARD
    from processors.alignment.stage import alignment
    from processors.publishing.stage import publishing
    from processors.quality.listening import NAME as LISTENED
    from processors.quality.stage import quality
    from processors.runtime.testing import StageEnvironment
    from processors.separation.stage import separation
    from schemas.documents.karaoke import Karaoke
    from schemas.documents.lyrics import LyricsDocument
    from schemas.events import ImportRequested, ReprocessRequested, Work
    from schemas.work import extend, find

    source, text = _song(folder)
    env = StageEnvironment(folder, **_settings(backend, folder, text))

    def kept(lyrics: LyricsDocument, key: str) -> Any:
        return env.put("lyrics", lyrics.to_json(), "application/json", key=key)

    lyrics = LyricsDocument.from_text(text, language="en")
    work = Work(
        job_id="job_1",
        track_id="trk_1",
        language="en",
        artifacts=(env.put("source", source),),
        lyrics=kept(lyrics, "lyrics.json"),
    )
    _warm(env, backend)
    first = Clock({})
    event = first.run("separation", lambda: env.run(separation, ImportRequested(work=work)).event)
    seconds = event.work.duration_ms / 1000
    aligned = first.run("alignment", lambda: env.run(alignment, event).event)
    checked = first.run("quality", lambda: env.run(quality, aligned).event)
    published = first.run("publishing", lambda: env.run(publishing, checked).event)

    lines = [line.text for line in lyrics.lines]
    lines[len(lines) // 2] = "la " + lines[len(lines) // 2]
    before = find(published.work, "alignment")
    assert before is not None
    again = extend(
        published.work,
        replace(before, name=PARENT),
        lyrics=kept(lyrics.with_text("\n".join(lines)), "edited.json"),
        from_stage="alignment",
    )
    edit = Clock({})
    request = ReprocessRequested(work=again, reason="reprocess")
    aligned = edit.run("alignment", lambda: env.run(alignment, request).event)
    checked = edit.run("quality", lambda: env.run(quality, aligned).event)
    edit.run("publishing", lambda: env.run(publishing, checked).event)
    after = find(aligned.work, "alignment")
    assert after is not None
    was, is_ = (Karaoke.from_json(env.store.read(one.uri)).lines for one in (before, after))
    moved = [at for at, (old, new) in enumerate(zip(was, is_, strict=True)) if old != new]
    return Measured(
        seconds,
        first.took,
        edit.took,
        all(abs(at - len(lines) // 2) <= 1 for at in moved),
        {one.name: one.bytes for one in checked.work.artifacts if one.name in (HEARD, LISTENED)},
    )


def _song(folder: Path) -> tuple[Path, str]:
    import numpy as np
    import soundfile

    from tests import songs

    parts = [songs.make("english", seed) for seed in range(_SONGS)]
    path = folder / "song.wav"
    soundfile.write(
        path, np.concatenate([part.mix.samples for part in parts], axis=1).T, parts[0].mix.rate
    )
    return path, "\n".join(part.lyrics_text for part in parts)


def _settings(backend: str, folder: Path, text: str) -> dict[str, Any]:
    chosen = {f"{stage}_backend": backend for stage in ("separation", "alignment")}
    if backend == "light":
        return chosen
    from tests import models

    return {
        **chosen,
        "demucs_model": "tiny",
        "demucs_repo": models.demucs_repo(folder / "demucs"),
        "speech_models": {"en": str(models.nemo_model(folder / "tiny.nemo", [text] * 20))},
        "use_gpu": False,
        "model_threads": 1,
    }


def _warm(env: Any, backend: str) -> None:
    """Load what a child process holds from one song to the next."""
    from processors.alignment.stage import _aligner
    from processors.separation.stage import _separator

    _separator(env.settings)
    aligner = _aligner(env.settings, "en")
    if backend == "light":
        from processors.alignment.acoustic_model import english

        english()
    assert aligner.name == backend


def main() -> None:
    """Print the table, in a process on one core."""
    from rich.console import Console
    from rich.table import Table

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("backend", nargs="?", choices=("light", "full"), default="light")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if not given.here:
        command = [sys.executable, "-m", __spec__.name, given.backend, "--here"]
        sys.exit(subprocess.run(command, env=os.environ | _ONE_CORE, check=False).returncode)
    with tempfile.TemporaryDirectory() as folder:
        got = measure(given.backend, Path(folder))
    first, edit = got.first, got.edit
    whole = sum(first.values())
    table = Table(title=f"{given.backend}: a song of {got.seconds:.0f} s, CPU seconds")
    for name in ("stage", "import", "edit", "edit / whole import"):
        table.add_column(name, justify="left" if name == "stage" else "right")
    for name, took in first.items():
        again = edit.get(name)
        share = "" if again is None else f"{again / whole:.1%}"
        table.add_row(name, f"{took:.2f}", "" if again is None else f"{again:.2f}", share)
    total = sum(edit.values())
    table.add_row("all", f"{whole:.2f}", f"{total:.2f}", f"{total / whole:.1%}")
    console = Console(width=100)
    console.print(table)
    console.print(f"only the edited line and its neighbours moved: {'yes' if got.stayed else 'NO'}")
    for name, size in got.kept.items():
        console.print(
            f"kept as '{name}': {size / 1000 / (got.seconds / 60):.0f} kB a minute of song"
        )


if __name__ == "__main__":
    main()
