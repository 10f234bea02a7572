"""What is heard of the stems is kept as it is, or not believed at all."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from processors import arrays
from processors.audio.samples import Audio
from processors.quality import listening
from processors.quality.listening import listen
from tests.processors.quality.test_evidence import stem

ORIGIN = listening.origin("a" * 64, "b" * 64, "decoder 1", 900)
VOCALS, MINUS = stem((1000, 3000), (5000, 7000)), stem((0, 20_000), level=0.1)


@pytest.mark.parametrize("minus", [MINUS, None])
def test_what_is_recalled_is_what_was_heard(tmp_path: Path, minus: Audio | None) -> None:
    heard = listen(VOCALS, minus)
    path = tmp_path / "listened.npz"
    listening.keep(path, ORIGIN, heard)
    found = listening.recall(path, ORIGIN)
    assert found is not None
    for part in ("activity", "melody"):
        one, other = getattr(heard, part), getattr(found, part)
        for field in fields(one):
            was, is_ = getattr(one, field.name), getattr(other, field.name)
            assert was.dtype == is_.dtype
            assert np.array_equal(was, is_, equal_nan=is_.dtype != np.bool_)
    assert (found.voice, found.rest, found.bleed_db) == (heard.voice, heard.rest, heard.bleed_db)
    assert (heard.rest is None) == (minus is None)


@pytest.mark.parametrize("at", [0, 1, 2, 3])
def test_another_origin_is_not_believed(tmp_path: Path, at: int) -> None:
    path = tmp_path / "listened.npz"
    listening.keep(path, ORIGIN, listen(VOCALS))
    given = ["a" * 64, "b" * 64, "decoder 1", "900"]
    given[at] = ["c" * 64, "", "decoder 2", "901"][at]
    other = listening.origin(given[0], given[1], given[2], float(given[3]))
    assert listening.recall(path, other) is None


def test_arrays_that_are_not_these_are_not_believed(tmp_path: Path) -> None:
    path = tmp_path / "listened.npz"
    listening.keep(path, ORIGIN, listen(VOCALS))
    known = arrays.recall(path)
    assert known is not None
    for name in known[1]:
        arrays.keep(path, ORIGIN, {key: one for key, one in known[1].items() if key != name})
        assert listening.recall(path, ORIGIN) is None
        arrays.keep(path, ORIGIN, known[1] | {name: known[1][name][:-1]})
        assert listening.recall(path, ORIGIN) is None


def test_silence_has_no_voice_and_no_pitch() -> None:
    heard = listen(Audio(np.zeros((2, 80_000), np.float32), 8000), MINUS)
    assert (heard.voice, heard.bleed_db) == (0.0, None)
    assert not heard.activity.active.any()
    assert np.isnan(heard.melody.midi).all()
