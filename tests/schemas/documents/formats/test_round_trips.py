"""What is written is read back: words exactly, times as exactly as each format promises."""

from __future__ import annotations

from collections import defaultdict

import pytest
from hypothesis import given, settings

from schemas.documents.formats import READ, WRITTEN, guess
from schemas.documents.karaoke import Karaoke
from schemas.documents.lyrics import LyricsDocument
from tests.schemas.documents.formats.songs import ABOUT, songs

FEW = settings(max_examples=30)

Timed = list[tuple[str, int, int]]


def read_back(karaoke: Karaoke, name: str) -> LyricsDocument:
    return READ[name](WRITTEN[name].write(karaoke, ABOUT, {})).document(locked=True)


def by_singer(document: Karaoke | LyricsDocument) -> dict[str, Timed]:
    """Words with times by the singer's name: formats are in order of time, not of the document."""
    names = {singer.id: singer.name for singer in document.singers}
    found: dict[str, Timed] = defaultdict(list)
    for line in document.lines:
        for word in line.words:
            assert word.start_ms is not None
            assert word.end_ms is not None
            found[names[line.singer]].append((word.text, word.start_ms, word.end_ms))
    return found


@FEW
@given(songs())
def test_ttml_keeps_every_millisecond_and_singer(karaoke: Karaoke) -> None:
    again = read_back(karaoke, "ttml")
    assert by_singer(again) == by_singer(karaoke)
    assert all(word.locked for word in again.words())
    shown = sorted(karaoke.lines, key=lambda line: line.start_ms or 0)
    assert [line.text for line in again.lines] == [line.text for line in shown]


@FEW
@given(songs())
def test_ultrastar_moves_no_time_by_more_than_five_milliseconds(karaoke: Karaoke) -> None:
    again = by_singer(read_back(karaoke, "ultrastar"))
    expected = by_singer(karaoke)
    if len(expected) == 1:  # one voice has no name in the format
        again = {next(iter(expected)): next(iter(again.values()))}
    assert again.keys() == expected.keys()
    for singer, words in expected.items():
        for before, after in zip(words, again[singer], strict=True):
            assert before[0] == after[0]
            assert abs(before[1] - after[1]) <= 5
            assert abs(before[2] - after[2]) <= 5


@FEW
@given(songs(voices=1))
def test_enhanced_lrc_is_early_by_less_than_a_hundredth(karaoke: Karaoke) -> None:
    expected = by_singer(karaoke)["Anna"]
    again = by_singer(read_back(karaoke, "elrc"))[""]
    for before, after in zip(expected, again, strict=True):
        assert before[0] == after[0]
        assert 0 <= before[1] - after[1] < 10
        assert 0 <= before[2] - after[2] < 10


@FEW
@given(songs(voices=1))
def test_lrc_starts_each_line_where_it_is_sung(karaoke: Karaoke) -> None:
    again = READ["lrc"](WRITTEN["lrc"].write(karaoke, ABOUT, {})).document(locked=False)
    assert [line.text for line in again.lines] == [line.text for line in karaoke.lines]
    assert not any(word.locked for word in again.words())
    for before, after in zip(karaoke.lines, again.lines, strict=True):
        start = after.words[0].start_ms
        assert before.start_ms is not None
        assert start is not None
        assert 0 <= before.start_ms - start < 10


@FEW
@given(songs())
def test_karaoke_json_is_the_document(karaoke: Karaoke) -> None:
    assert Karaoke.from_json(WRITTEN["karaoke"].write(karaoke, ABOUT, {}).encode()) == karaoke


@pytest.mark.parametrize("name", ["lrc", "elrc", "ttml", "ultrastar"])
@FEW
@given(karaoke=songs(hostile=True))
def test_hostile_words_are_written_and_read_without_losing_a_line(
    name: str, karaoke: Karaoke
) -> None:
    text = WRITTEN[name].write(karaoke, ABOUT, {})
    again = READ[name](text)
    assert len(again.lines) == len(karaoke.lines)
    assert guess(text) == ("lrc" if name == "elrc" else name)


@pytest.mark.parametrize("name", sorted(WRITTEN))
@FEW
@given(karaoke=songs(hostile=True))
def test_writing_is_deterministic_utf8_that_ends_in_a_line_end(name: str, karaoke: Karaoke) -> None:
    text = WRITTEN[name].write(karaoke, ABOUT, {})
    assert text == WRITTEN[name].write(karaoke, ABOUT, {})
    text.encode("utf-8")
    assert name == "karaoke" or text.endswith("\n")
