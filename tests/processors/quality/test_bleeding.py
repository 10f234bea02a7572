"""Vocals mixed into a minus at known levels are measured at those levels."""

from __future__ import annotations

import numpy as np
import pytest

from processors.audio.activity import detect
from processors.audio.samples import Audio
from processors.quality.bleeding import bleed_db
from tests import songs


@pytest.fixture(scope="module")
def song() -> songs.Song:
    return songs.make("english", 1)


@pytest.mark.parametrize("level_db", [-6.0, -12.0, -20.0])
def test_a_known_share_of_the_voice_is_measured(song: songs.Song, level_db: float) -> None:
    left = np.float32(10 ** (level_db / 20))
    minus = Audio(song.backing.samples + left * song.vocals.samples, song.mix.rate)
    measured = bleed_db(minus, song.vocals, detect(song.vocals))
    assert measured is not None
    assert abs(measured - level_db) <= 2.0


def test_the_band_alone_is_no_voice(song: songs.Song) -> None:
    measured = bleed_db(song.backing, song.vocals, detect(song.vocals))
    assert measured is not None
    assert measured <= -25


@pytest.mark.parametrize("band", [0.1, 0.2])
def test_band_in_the_stem_is_not_taken_for_voice_in_the_minus(
    song: songs.Song, band: float
) -> None:
    part = np.float32(band)
    stem = Audio(song.vocals.samples + part * song.backing.samples, song.mix.rate)
    minus = Audio((1 - part) * song.backing.samples, song.mix.rate)
    measured = bleed_db(minus, stem, detect(song.vocals))
    assert measured is not None
    assert measured <= -15


def test_stems_of_different_songs_or_of_silence_tell_nothing(song: songs.Song) -> None:
    activity = detect(song.vocals)
    short = Audio(song.backing.samples[:, : song.mix.rate], song.mix.rate)
    assert bleed_db(short, song.vocals, activity) is None
    silent = Audio(np.zeros_like(song.vocals.samples), song.mix.rate)
    assert bleed_db(song.backing, silent, detect(silent)) is None
