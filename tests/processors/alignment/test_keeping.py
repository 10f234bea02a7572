"""Which lines keep their places when the lyrics around them change."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from processors.alignment.aligner import Placement
from processors.alignment.document import compose
from processors.alignment.keeping import keeping
from processors.alignment.sections import held_place
from schemas.documents.karaoke import Karaoke
from schemas.documents.lyrics import LyricsDocument

TEXT = "one two\nthree four\nfive six\nseven eight\nnine ten"


def aligned(lyrics: LyricsDocument, unplaced: Sequence[str] = ()) -> Karaoke:
    numbers = iter(range(1000))
    placed = [
        [
            Placement(None, None, 0.0, "aligned", "it is a test")
            if word.id in unplaced
            else Placement(1000 * n, 1000 * n + 600, 0.7, "aligned")
            for word in line.words
            for n in [next(numbers)]
        ]
        for line in lyrics.lines
    ]
    return compose(lyrics, placed, language="en", duration_ms=1_000_000)


def kept(lyrics: LyricsDocument, before: Karaoke) -> list[bool]:
    return [all(held_place(word) for word in line) for line in keeping(lyrics, before)]


def test_lyrics_that_did_not_change_keep_every_place() -> None:
    lyrics = LyricsDocument.from_text(TEXT)
    before = aligned(lyrics, unplaced=("w4",))
    words = [word for line in keeping(lyrics, before) for word in line]
    assert words[3].known == Placement(None, None, 0.0, "aligned", "it is a test")
    assert words[4].known == Placement(4000, 4600, 0.7, "aligned")
    assert all(word.known for word in words)


def test_a_changed_line_and_its_neighbours_are_placed_anew() -> None:
    lyrics = LyricsDocument.from_text(TEXT)
    before = aligned(lyrics)
    edited = lyrics.with_text(TEXT.replace("five six", "five sixes"))
    assert kept(edited, before) == [True, False, False, False, True]


def test_lines_beside_a_new_or_a_lost_one_are_placed_anew() -> None:
    lyrics = LyricsDocument.from_text(TEXT)
    before = aligned(lyrics)
    longer = lyrics.with_text(TEXT.replace("five six", "five six\nand more"))
    assert kept(longer, before) == [True, True, False, False, False, True]
    shorter = lyrics.with_text(TEXT.replace("\nnine ten", ""))
    assert kept(shorter, before) == [True, True, True, False]


def test_a_new_lock_frees_the_rest_of_its_line() -> None:
    lyrics = LyricsDocument.from_text(TEXT)
    before = aligned(lyrics)
    line = lyrics.lines[0]
    locked = line.words[0].model_copy(update={"start_ms": 5, "end_ms": 90, "locked": True})
    edited = lyrics.model_copy(
        update={
            "lines": (
                line.model_copy(update={"words": (locked, line.words[1])}),
                *lyrics.lines[1:],
            )
        }
    )
    rows = keeping(edited, before)
    assert rows[0][1].known is None
    assert rows[0][0].locked
    assert kept(edited, before) == [False, False, True, True, True]


@given(st.lists(st.sampled_from(["la la", "oh my love", "go"]), min_size=1, max_size=8))
def test_a_kept_line_always_says_what_it_said(texts: list[str]) -> None:
    lyrics = LyricsDocument.from_text(TEXT)
    before = aligned(lyrics)
    edited = lyrics.with_text("\n".join([*TEXT.splitlines()[:3], *texts]))
    old = {word.id: word for word in before.words()}
    for line, row in zip(edited.lines, keeping(edited, before), strict=True):
        for word, place in zip(line.words, row, strict=True):
            if place.known is not None:
                assert old[word.id].text == word.text
                assert old[word.id].start_ms == place.known.start_ms
