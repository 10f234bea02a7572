"""Two singers at the same time: each has the lines that are his, where he sings them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest

from processors.alignment.aligner import Heard, Placement
from processors.alignment.document import compose, to_align
from processors.alignment.light import LightAligner
from processors.alignment.voices import place_voices
from processors.separation.light import LightSeparator
from schemas.documents.lyrics import LyricsDocument
from tests.duets import overlapping
from tests.songs import Song

pytestmark = pytest.mark.slow


def ignore(_share: float) -> None:
    """Progress that nobody watches."""


@pytest.fixture(scope="module")
def aligner() -> Iterator[LightAligner]:
    light = LightAligner()
    yield light
    light.close()


def both_ways(
    aligner: LightAligner, song: Song
) -> tuple[LyricsDocument, list[list[Placement]], list[list[Placement]]]:
    """The lyrics, their places by one path, and by the voices."""
    lyrics = LyricsDocument.from_text(song.lyrics_text, language="en")
    lines = to_align(lyrics)
    heard: Heard = aligner.hear(song.vocals, lines, "en", ignore)
    singers = [line.singer for line in lyrics.lines]
    song_ms = round(1000 * song.vocals.seconds)
    together = heard.place(lines, "en", ignore)
    return lyrics, together, place_voices(heard, lines, singers, "en", song_ms, ignore)


def errors(song: Song, rows: Sequence[Sequence[Placement]]) -> list[float]:
    """Seconds; a word without a place counts as a minute."""
    spots = (spot for row in rows for spot in row)
    return [
        60.0 if spot.start_ms is None else abs(spot.start_ms - word.start_ms) / 1000
        for spot, word in zip(spots, song.words, strict=True)
    ]


@pytest.mark.parametrize("seed", [0, 2])
def test_lines_that_are_sung_at_once_overlap_in_time(aligner: LightAligner, seed: int) -> None:
    """In duet 0 half of a line, squeezed between two others, sounds better than all of it."""
    song = overlapping(seed, 1.0)
    lyrics, together, voices = both_ways(aligner, song)
    assert [singer.name for singer in lyrics.singers] == ["Anna", "Ben"]
    found = errors(song, voices)
    assert sum(found) / len(found) <= 0.1
    assert max(found) <= 1.0
    assert sum(error > 1.0 for error in errors(song, together)) >= 10  # what one path makes of it
    content = compose(
        lyrics, voices, language="en", duration_ms=round(1000 * song.vocals.seconds)
    )  # which holds all its promises: no singer sings two words at once
    first, second = content.lines[:2]
    assert first.end_ms is not None
    assert second.start_ms is not None
    assert second.start_ms < first.end_ms - 1000


def test_a_line_that_would_begin_before_the_one_above_is_looked_for_again(
    aligner: LightAligner,
) -> None:
    """Ben's first line in duet 3, separated: alone it would begin 1 s before Anna's, whom that
    pushed aside."""
    song = overlapping(3, 1.0)
    stems = LightSeparator().separate(song.mix, ignore)
    _, together, voices = both_ways(aligner, replace(song, vocals=stems.vocals))
    assert max(errors(song, voices)) <= 1.0
    assert sum(error > 1.0 for error in errors(song, together)) >= 10


@pytest.mark.parametrize("seed", [0, 1])
def test_singers_who_take_turns_are_placed_as_before(aligner: LightAligner, seed: int) -> None:
    song = overlapping(seed, 0.0)
    _, together, voices = both_ways(aligner, song)
    assert max(errors(song, voices)) <= 1.0
    assert sum(errors(song, voices)) <= sum(errors(song, together)) + 0.1


def test_one_singer_is_placed_by_one_path(aligner: LightAligner) -> None:
    song = overlapping(1, 0.0)
    lyrics = LyricsDocument.from_text(song.lyrics_text, language="en")
    lines = to_align(lyrics)
    heard = aligner.hear(song.vocals, lines, "en", ignore)
    alone = place_voices(heard, lines, ["s1"] * len(lines), "en", 60_000, ignore)
    assert alone == heard.place(lines, "en", ignore)
