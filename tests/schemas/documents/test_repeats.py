"""Repetitions that pasted lyrics only hint at are written out, each with ids of its own."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.documents.lyrics import LyricsDocument, TooManyWords
from schemas.documents.text import split_lyrics


def sung(text: str) -> list[str]:
    return ["".join(word + sep for word, sep in line.words) for line in split_lyrics(text)]


@pytest.mark.parametrize(
    "mark", ["(2x)", "(x2)", "(×2)", "[2x]", "x2", "2x", "(2 times)", "(twice)", "(2 раза)"]
)
def test_a_marked_line_is_sung_twice(mark: str) -> None:
    assert sung(f"hold on {mark}\nlet go") == ["hold on", "hold on", "let go"]


def test_a_mark_alone_repeats_the_block_above() -> None:
    assert sung("a b\nc d\n(x2)\n\ne") == ["a b", "c d", "a b", "c d", "e"]
    assert sung("x\n\na b\nc d\n\n(x3)\ne") == ["x", *["a b", "c d"] * 3, "e"]


@pytest.mark.parametrize("head", ["[Chorus] (2x)", "[Chorus x2]", "Chorus: (2x)", "(Chorus) x2"])
def test_a_marked_heading_repeats_the_block_below(head: str) -> None:
    assert sung(f"one\n\n{head}\na b\nc d\n\ntwo") == ["one", "a b", "c d", "a b", "c d", "two"]


def test_a_bare_heading_stands_for_the_block_that_it_named() -> None:
    text = "[Verse 1]\none\n\n[Chorus]\nla la\n\n[Verse 2]\ntwo\n\n[Chorus]\n\n"
    text += "[Bridge]\nthree\n[Chorus]"
    assert sung(text) == ["one", "la la", "two", "la la", "three", "la la"]
    assert sung("Припев:\nла ла\n\nраз\n\nПрипев:\n\nдва") == ["ла ла", "раз", "ла ла", "два"]


def test_a_heading_that_named_nothing_yet_heads_what_follows() -> None:
    assert sung("[Chorus]\n\nla la\n\none\n\n[Chorus]") == ["la la", "one", "la la"]


@pytest.mark.parametrize("line", ["my chorus", "break", "at 2 times the speed", "x ray", "I am 2"])
def test_words_that_are_no_marks_are_sung(line: str) -> None:
    assert sung(line) == [line]


def test_each_singing_has_ids_of_its_own_and_keeps_them_in_edits() -> None:
    text = "hold on (2x)\nlet go"
    lyrics = LyricsDocument.from_text(text)
    assert [line.id for line in lyrics.lines] == ["l1", "l2", "l3"]
    assert len({word.id for word in lyrics.words()}) == 6
    assert lyrics.with_text(text).lines == lyrics.lines
    assert lyrics.with_text(lyrics.text).lines == lyrics.lines
    edited = lyrics.with_text("hold on\nhold tight\nlet go")
    assert [line.id for line in edited.lines] == ["l1", "l2", "l3"]


def test_marks_upon_marks_end_at_the_bound_of_any_song() -> None:
    text = "[A] x16\n" + "la la la la x16\n" * 100 + "\n[A]\n\n" * 1000
    with pytest.raises(TooManyWords):
        LyricsDocument.from_text(text)


@given(st.lists(st.sampled_from(["a b", "[Chorus]", "", "(x2)", "c x3", "[Anna]"]), max_size=12))
def test_what_is_written_out_is_written_out_for_good(lines: list[str]) -> None:
    once = sung("\n".join(lines))
    assert sung("\n".join(once)) == once
