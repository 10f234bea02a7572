"""A part that ends by itself ends its process, which says so."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import pytest
import typer

from gateway.projection.projector import Projector
from tools.serve import run_everything, run_projector


@pytest.fixture(autouse=True)
def _surprised(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(self: Projector, stop: threading.Event) -> None:
        raise RuntimeError("nobody thought of this")

    monkeypatch.setattr(Projector, "run", run)
    monkeypatch.setattr("tools.product.stages", lambda *_: nullcontext())


@pytest.mark.parametrize(
    "run", [run_projector, partial(run_everything, host="127.0.0.1", port=0)], ids=["alone", "all"]
)
def test_a_projector_that_dies_takes_its_process_with_it(
    run: Callable[..., None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(typer.Exit) as end:
        run(data=tmp_path)
    assert end.value.exit_code == 1
    said = capsys.readouterr().err
    assert "the projector stopped by itself" in said
    assert "nobody thought of this" in said  # in the log, with where it happened
