"""Keys against cadences that were written in them."""

from __future__ import annotations

import mir_eval
import numpy as np
import pytest

from processors.extraction.chroma_key import ChromaKeyExtractor
from tests import features
from tests.processors.extraction.listening import heard, number

pytestmark = pytest.mark.slow

COUNT = 60


def test_the_key_of_cadences_is_right() -> None:
    scores = []
    for seed in range(COUNT):
        made = features.cadence(seed)
        found = heard(ChromaKeyExtractor(), made.wave).values
        scores.append(mir_eval.key.weighted_score(made.key, f"{found['key']} {found['scale']}"))
    assert np.mean(np.array(scores) == 1.0) >= 0.95


@pytest.mark.parametrize("cents", [-35.0, -10.0, 0.0, 20.0, 40.0])
def test_the_tuning_is_told(cents: float) -> None:
    made = features.cadence(2, tuning_cents=cents)
    assert number(heard(ChromaKeyExtractor(), made.wave), "tuning_cents") == pytest.approx(
        cents, abs=9
    )


def test_one_note_is_one_class() -> None:
    found = heard(ChromaKeyExtractor(), 0.2 * np.sin(2 * np.pi * 440 * np.arange(88_200) / 44_100))
    chroma = found.values["chroma_mean"]
    assert isinstance(chroma, list)
    assert chroma.index(1.0) == 9
    assert sum(chroma) < 1.1  # type: ignore[arg-type]


def test_silence_has_no_key() -> None:
    found = heard(ChromaKeyExtractor(), features.silence(2))
    assert found.values["key"] is None
    assert found.reasons["key"] == "nothing here has a pitch"
