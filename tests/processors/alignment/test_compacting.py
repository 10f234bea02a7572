"""A line that was stretched across a break comes back to where it is sung."""

from __future__ import annotations

import pytest

from processors.alignment.aligner import LyricWord
from processors.alignment.compacting import _places
from processors.alignment.light import LightAligner
from processors.alignment.windows import Heard
from processors.audio.decoding import decode
from processors.separation.light import LightSeparator
from tests import songs

pytestmark = pytest.mark.slow


def ignore(_: float) -> None:
    pass


@pytest.mark.parametrize(
    ("kind", "seed"), [("english_break", 10), ("english_break", 21), ("mono_mp3", 9)]
)
def test_a_line_after_a_break_is_not_held_by_residue(kind: songs.Kind, seed: int) -> None:
    """Its first words repeat ("hold on, hold on"), and the break holds noise that is like them.

    In song 10 the line is stretched by less than tempo varies; but it was sung before, and took
    three quarters of the time. In song 9 what is left of an instrument that leads into the first
    line fits no worse than that line itself, which is hardly heard at all.
    """
    song = songs.make(kind, seed)
    mix = decode(song.path, max_seconds=120, rate=44_100)
    vocals = LightSeparator().separate(mix, ignore).vocals
    lyrics = [[LyricWord(word.text) for word in line] for line in song.lines]
    placed = LightAligner().align(vocals, lyrics, song.language, ignore)
    for line, row in zip(song.lines, placed, strict=True):
        for true, got in zip(line, row, strict=True):
            assert got.start_ms is not None
            assert abs(got.start_ms - true.start_ms) < 1000, true.text


def test_compact_places_are_the_two_ends_of_the_line() -> None:
    row = [Heard(100, 150, 3, 1.0, -2.0), Heard(150, 900, 4, 1.0, -4.0)]
    assert _places(row, 300) == [(600, 900), (100, 400)]
    assert _places(row, 2000) == [(100, 900), (100, 900)]
