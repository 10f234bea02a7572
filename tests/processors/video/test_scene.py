"""What is shown beside the lyrics, and when."""

from __future__ import annotations

import pysubs2

from processors.video.scene import captions, starts_after_breaks
from schemas.documents.formats import About
from schemas.documents.formats.ass import to_ass
from schemas.documents.karaoke import KaraokeDocument
from tests.processors.video.films import Timed, karaoke_of

ABOUT = About(title="Harbour Lights", artist="The Example")


def song(*starts_ms: int, singers: tuple[str, ...] = ()) -> KaraokeDocument:
    lines = [[Timed("la", at, at + 800), Timed("la", at + 900, at + 2_000)] for at in starts_ms]
    return karaoke_of(lines, max(starts_ms) + 5_000, singers)


def test_singing_that_begins_again_is_counted_in() -> None:
    karaoke = song(6_000, 8_500, 20_000)
    assert list(starts_after_breaks(karaoke)) == [6_000, 20_000]
    counts = captions(karaoke, ABOUT, title_card=False, countdown=True)
    assert [(c.text, c.start_ms, c.end_ms) for c in counts] == [
        ("3", 3_000, 4_000),
        ("2", 4_000, 5_000),
        ("1", 5_000, 6_000),
        ("3", 17_000, 18_000),
        ("2", 18_000, 19_000),
        ("1", 19_000, 20_000),
    ]


def test_a_song_that_begins_at_once_is_not_counted_in() -> None:
    assert captions(song(100, 3_000), ABOUT, title_card=False, countdown=True) == ()


def test_another_singer_who_sings_on_is_no_break() -> None:
    karaoke = song(0, 2_500, 5_000, 7_500, singers=("a", "b", "b", "a"))
    assert list(starts_after_breaks(karaoke)) == []


def test_the_title_ends_with_a_short_song_and_empty_names_are_left_out() -> None:
    [title] = captions(song(0), About(title="One"), title_card=True, countdown=False)
    assert (title.text, title.end_ms) == ("One", 5_000)
    assert captions(song(0), About(), title_card=True, countdown=True) == ()


def test_an_independent_reader_finds_lyrics_and_captions() -> None:
    karaoke = song(6_000)
    seen = captions(karaoke, ABOUT, title_card=True, countdown=True)
    read = pysubs2.SSAFile.from_string(to_ass(karaoke, ABOUT, captions=seen))
    own = [event for event in read if event.style == "Caption"]
    assert "Caption" in read.styles
    assert [(event.plaintext, event.start, event.end) for event in own] == [
        (caption.text, caption.start_ms, caption.end_ms)
        for caption in sorted(seen, key=lambda caption: caption.start_ms)
    ]
    without = pysubs2.SSAFile.from_string(to_ass(karaoke, ABOUT))
    assert "Caption" not in without.styles
    assert [e.text for e in read if e.style != "Caption"] == [e.text for e in without]
