"""``melisma demo``: the committed song, whose truth is known, through the whole product."""

from __future__ import annotations

import json
from importlib.resources import as_file, files
from pathlib import Path

from rich.console import Console

from tools.demo.accuracy import accuracy
from tools.sing import sing_song


def run_demo(out: Path) -> None:
    """Sing the demo song into ``out`` and say how exact its words are."""
    with as_file(files("tools.demo")) as folder:
        truth = json.loads((folder / "truth.json").read_text("utf-8"))
        sung = sing_song(
            folder / "song.mp3",
            folder / "lyrics.txt",
            language="en",
            out=out,
            title="The demo song",
            artist="espeak-ng and a synthesised band",
            truth_ms=[word["startMs"] for line in truth["lines"] for word in line],
        )
    exact = accuracy(sung.karaoke, truth)
    Console().print(
        f"word onsets against the truth: mean error [bold]{exact.mean_s:.3f} s[/], "
        f"median {exact.median_s:.3f} s, worst {exact.worst_s:.3f} s, "
        f"{exact.within_300ms:.0%} within 0.3 s ({exact.placed} of {exact.words} words)",
        soft_wrap=True,
    )
