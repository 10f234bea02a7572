"""Versions differ by what a person or an alignment did to words, told by their ids."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.documents.difference import Difference, difference
from schemas.documents.edits import LyricsEdit, apply_edits
from schemas.documents.lyrics import LyricsDocument

SONG = "[Anna]\nHarbour lights are calling me\nDon't let go\n[Ben]\nnot now\nnot ever"
WORDS = ["la", "lo", "li", "harbour", "lights", "мир", "don't"]


def song() -> LyricsDocument:
    return apply_edits(
        LyricsDocument.from_text(SONG),
        [
            LyricsEdit(word_id=word.id, start_ms=1000 * i, end_ms=1000 * i + 500, locked=False)
            for i, word in enumerate(LyricsDocument.from_text(SONG).words(), start=1)
        ],
    )


def edited(*edits: LyricsEdit) -> Difference:
    return difference(song(), apply_edits(song(), edits))


def test_nothing_changed() -> None:
    same = difference(song(), song())
    assert (same.words, same.lines) == ((), ())
    assert same.summary.unchanged_words == 12
    assert same.summary.mean_move_ms is None
    assert list(same.told()) == []


def test_a_respelled_moved_and_locked_word() -> None:
    found = edited(LyricsEdit(word_id="w2", text="light", start_ms=2100, end_ms=2450))
    (word,) = found.words
    assert word.changes == ("text", "moved", "locked")
    assert (word.text_before, word.text) == ("lights", "light")
    assert (word.start_moved_ms, word.end_moved_ms) == (100, -50)
    assert found.summary.words == {"text": 1, "moved": 1, "locked": 1}
    assert (found.summary.mean_move_ms, found.summary.largest_move_ms) == (100.0, 100)
    assert found.summary.unchanged_words == 11
    assert list(found.told()) == [
        "word w2 'light' was 'lights', starts +100 ms, ends -50 ms, was locked"
    ]


def test_a_line_with_another_singer() -> None:
    (line,) = edited(LyricsEdit(line_id="l2", singer="Ben")).lines
    assert (line.changes, line.singer_before, line.singer) == (("singer",), "Anna", "Ben")


def test_words_added_and_removed() -> None:
    after = song().with_text(SONG.replace("let go", "ever let").replace("not now\n", ""))
    found = difference(song(), after)
    changed = {word.text: word.changes for word in found.words}
    assert changed == {
        "ever": ("added",),
        "go": ("removed",),
        "not": ("removed",),
        "now": ("removed",),
    }
    assert found.summary.lines == {"removed": 1}


def test_a_line_split_in_two_keeps_its_words() -> None:
    found = difference(song(), song().with_text(SONG.replace("lights are", "lights\nare")))
    assert found.words == ()
    (line, other) = (*found.lines, None)[:2]
    assert line is not None
    assert line.changes == ("split",)
    assert other is None


def test_lines_merged_keep_their_words() -> None:
    found = difference(song(), song().with_text(SONG.replace("me\nDon't", "me Don't")))
    assert found.words == ()
    (line,) = found.lines
    assert (line.changes, line.others) == (("merged",), ("l2",))


def test_a_draft_against_a_version_with_times() -> None:
    found = difference(LyricsDocument.from_text(SONG), song())
    assert found.summary.words == {"timed": 12}


lines = st.lists(st.lists(st.sampled_from(WORDS), min_size=1, max_size=6), min_size=1, max_size=6)


def text_of(words: list[list[str]]) -> str:
    return "\n".join(" ".join(line) for line in words)


@settings(max_examples=150)
@given(lines, st.data())
def test_an_edit_of_one_word_changes_that_word_only(
    words: list[list[str]], data: st.DataObject
) -> None:
    before = LyricsDocument.from_text(text_of(words))
    row = data.draw(st.integers(0, len(words) - 1))
    at = data.draw(st.integers(0, len(words[row]) - 1))
    changed = [list(line) for line in words]
    changed[row][at] = "respelled"
    after = before.with_text(text_of(changed))
    found = difference(before, after)
    assert [word.changes for word in found.words] == [("text",)]
    assert found.words[0].id == list(before.lines[row].words)[at].id
    assert [line.id for line in after.lines] == [line.id for line in before.lines]


@settings(max_examples=150)
@given(lines, st.data())
def test_new_line_ends_change_no_word(words: list[list[str]], data: st.DataObject) -> None:
    before = LyricsDocument.from_text(text_of(words))
    flat = [word for line in words for word in line]
    ends = data.draw(st.sets(st.integers(1, len(flat)), max_size=len(flat)))
    text = "".join(word + ("\n" if n in ends else " ") for n, word in enumerate(flat, start=1))
    after = before.with_text(text)
    kept = {word.id for word in before.words()} & {word.id for word in after.words()}
    if len(words) == 1 or len(after.lines) == 1:
        assert len(kept) == len(flat)  # one line cut, or all made one
    assert len({word.id for word in after.words()}) == len(flat)


@settings(max_examples=150)
@given(lines, lines)
def test_what_is_told_makes_the_later_version_of_the_earlier(
    first: list[list[str]], second: list[list[str]]
) -> None:
    before = LyricsDocument.from_text(text_of(first))
    after = before.with_text(text_of(second))
    found = difference(before, after)
    rebuilt = {word.id: word.text for word in before.words()}
    for word in found.words:
        if "removed" in word.changes:
            del rebuilt[word.id]
        else:
            assert ("added" in word.changes) == (word.id not in rebuilt)
            rebuilt[word.id] = word.text
    assert rebuilt == {word.id: word.text for word in after.words()}
    touched = sum("removed" not in word.changes for word in found.words)
    assert found.summary.unchanged_words == len(rebuilt) - touched
