"""Faults of known depth are found, and only they."""

from __future__ import annotations

import math

import pytest

from processors.analysis.faults import faults
from processors.analysis.meter import measure_blocks
from schemas.documents.analysis import Analysis
from tests import programmes
from tests.programmes import FAULTS, Fault, Programme

pytestmark = pytest.mark.slow

PLANTED, CLEAN = 8, 24
RECALL, FALSE_ALARMS = 0.95, 0.05


def measured(programme: Programme) -> Analysis:
    audio = programme.audio
    return measure_blocks(
        programme.blocks(), rate=audio.rate, channels=audio.channels, encoding="pcm_24"
    )


@pytest.mark.parametrize("fault", FAULTS)
def test_planted_faults_are_found(fault: Fault) -> None:
    songs = list(programmes.planted(fault, PLANTED))
    missed = [song.name for song in songs if fault not in faults(measured(song))]
    assert len(missed) <= (1 - RECALL) * len(songs), missed


def test_clean_programmes_raise_no_alarm() -> None:
    alarms = dict.fromkeys(FAULTS, 0)
    for song in programmes.clean(CLEAN, seed=400, seconds=10):
        for fault in faults(measured(song)):
            alarms[fault] += 1
    assert max(alarms.values()) <= FALSE_ALARMS * CLEAN, alarms


def test_a_clipped_song_that_was_turned_down_says_so() -> None:
    song = programmes.make(1, genre="rock", seconds=5, faults={"clipping": 6.0})
    top = float(abs(song.audio.samples).max())
    loud = measured(programmes.quieter(song, -20 * math.log10(top)))
    quiet = measured(programmes.quieter(song, -26.0))
    assert not loud.clipping.attenuated
    assert quiet.clipping.attenuated
    assert quiet.clipping.runs == loud.clipping.runs > 0
