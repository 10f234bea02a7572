"""A karaoke document that breaks a promise to players cannot be made."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from schemas.documents.formats.cues import About
from schemas.documents.formats.lrc import to_lrc
from schemas.documents.karaoke import (
    Flag,
    Gap,
    Karaoke,
    KaraokeDocument,
    Line,
    Quality,
    Word,
    find_gaps,
)
from schemas.documents.lyrics import Singer


def word(number: int, start: int | None, end: int | None, **fields: Any) -> Word:
    return Word(id=f"w{number}", text=f"word{number}", start_ms=start, end_ms=end, **fields)


def karaoke(*lines: Line, **fields: Any) -> Karaoke:
    singers = tuple(Singer(id=id_, name="") for id_ in ("s1", "s2"))
    return Karaoke(duration_ms=60_000, singers=singers, lines=lines, **fields)


def line(number: int, *words: Word, singer: str = "s1") -> Line:
    return Line.of(f"l{number}", singer, words)


def test_two_singers_may_overlap_and_one_may_not() -> None:
    first, second = word(1, 1000, 3000), word(2, 2000, 4000)
    karaoke(line(1, first), line(2, second, singer="s2"))
    with pytest.raises(ValidationError, match="w2 starts before word w1 has ended"):
        karaoke(line(1, first), line(2, second))


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ([line(1, word(1, 59_000, 61_000))], "inside its line and the song"),
        ([line(1, word(1, 2000, 2000))], "inside its line and the song"),
        ([line(1, word(1, 1000, None))], "one time without the other"),
        ([line(1, word(1, 0, 10)), line(2, word(1, 20, 30))], "id occurs twice"),
        ([line(1, word(1, 0, 10), singer="s9")], "unknown singer s9"),
        ([line(1, word(1, None, None))], "no flag says why"),
        ([line(1, word(1, 0, 10)).model_copy(update={"text": "other"})], "do not rebuild"),
        ([line(1, word(1, 5, 10)).model_copy(update={"start_ms": 7})], "inside its line"),
    ],
)
def test_a_broken_promise_is_named(lines: list[Line], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        karaoke(*lines)


def test_an_unplaced_word_with_its_reason_is_fine() -> None:
    flag = Flag(code="unplaced", message="the line does not occur in the vocals", word_id="w2")
    made = karaoke(line(1, word(1, 0, 900), word(2, None, None)), qc=Quality(flags=(flag,)))
    assert made.lines[0].end_ms == 900


def test_gaps_are_the_long_stretches_without_words() -> None:
    lines = [line(1, word(1, 6000, 7000), word(2, 9000, 10_000)), line(2, word(3, 22_000, 23_000))]
    assert find_gaps(lines, 24_000) == (
        Gap(start_ms=0, end_ms=6000),
        Gap(start_ms=10_000, end_ms=22_000),
    )
    assert find_gaps([], 4000) == ()


def test_the_stamped_document_round_trips_and_gives_its_lyrics_back() -> None:
    content = karaoke(line(1, word(1, 10, 900, locked=True, sep=" "), word(2, 900, 1500)))
    document = KaraokeDocument.stamp(content, track_id="trk_1", version=2, parent=1)
    again = KaraokeDocument.from_json(document.to_json())
    assert again == document
    lyrics = again.lyrics()
    assert lyrics.text == "word1 word2"
    assert [w.locked for w in lyrics.words()] == [True, False]
    assert [w.start_ms for w in lyrics.words()] == [10, 900]


def test_lrc_has_tags_and_a_line_each() -> None:
    flag = Flag(code="unplaced", message="not heard", word_id="w3")
    content = karaoke(
        line(1, word(1, 61_239 - 2000, 59_999)),
        line(2, word(3, None, None)),
        line(3, word(2, 1009, 2000), singer="s2"),
        qc=Quality(flags=(flag,)),
        language="en",
    )
    document = KaraokeDocument.stamp(content, track_id="trk_1", version=1, parent=None)
    assert to_lrc(document, About(title="A [live]\nsong")) == (
        "[ti:A [live) song]\n[la:en]\n[length:1:00]\n"
        "[00:01.00]word2\n[00:59.23]word1\n[00:59.23]word3\n"
    )
