"""The picture of a master can be drawn whatever was measured, and nothing waits for matplotlib."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from processors.analysis.meter import measure_blocks
from schemas.documents.chain import Chain
from schemas.documents.checks import Checks, Pair, PreviewCheck
from schemas.documents.decision import Decision, Provenance, Target, Words
from schemas.documents.rendered import Reduction, Rendered
from schemas.documents.report import Explanation, Report
from tools.master import Song
from tools.pictures.mastering import draw

pytestmark = pytest.mark.slow

RATE = 44_100
LIMITING = Reduction(most_db=4.0, mean_db=1.0, share=0.5, step_s=0.1, curve_db=(0.0, 4.0, 1.0))


def song(folder: Path, level: float, limiting: Reduction | None) -> Song:
    noise = level * np.random.default_rng(1).uniform(-1, 1, (4 * RATE, 2)).astype(np.float32)
    heard = measure_blocks([noise], rate=RATE, channels=2)
    decision = Decision(
        preset="streaming",
        target=Target(lufs=-14.0, true_peak_dbtp=-1.0, most_limiting_db=6.0),
        moves=(),
        predicted=(),
        chain=Chain(),
        made_by=Provenance(revision=1, rules_sha256="ab" * 32, files=()),
    )
    rendered = Rendered(
        rate_hz=RATE,
        channels=2,
        frames=4 * RATE,
        bits=24,
        dithered=False,
        changed=True,
        lufs=None,
        true_peak_dbtp=None,
        limiting=limiting,
        offset=(0.0, 0.0),
        offset_removed=(0.0, 0.0),
    )
    checks = Checks(
        rendered=rendered,
        format="wav",
        corrected=False,
        source_frames=4 * RATE,
        length_kept=True,
        tags=(),
        preview=PreviewCheck(
            lufs=None,
            true_peak_dbtp=None,
            gain_db=0.0,
            frames=4 * RATE,
            rate_hz=RATE,
            under_full_scale=True,
        ),
        pair=Pair(lufs=None, before_gain_db=0.0, after_gain_db=0.0),
    )
    report = Report(
        preset="streaming",
        outcomes=(),
        misses=(),
        explanation=Explanation(source="rules", en=(), ru=()),
        summary=Words(en="Done.", ru="Готово."),
    )
    return Song("a $mix$ & more.wav", folder, heard, heard, decision, report, checks)


@pytest.mark.parametrize("limiting", [LIMITING, None])
@pytest.mark.parametrize("level", [0.3, 0.0])
def test_is_drawn(tmp_path: Path, level: float, limiting: Reduction | None) -> None:
    path = tmp_path / "picture.png"
    draw(path, song(tmp_path, level, limiting))
    head = path.read_bytes()[:24]
    assert head[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = (int.from_bytes(head[at : at + 4], "big") for at in (16, 20))
    assert (width, height) == (1320, 1020)


def test_help_does_not_load_it() -> None:
    seen = "import sys, tools.cli, tools.master; print('matplotlib' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", seen], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "False"
