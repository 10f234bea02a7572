"""Lyrics keep their surface, their ids and their locks through every edit."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.documents.edits import EditRefused, LyricsEdit, apply_edits
from schemas.documents.lyrics import LyricsDocument, NothingSung, TooManyWords
from schemas.documents.text import is_sung, split_line, split_lyrics

SONG = "Harbour lights are calling me\nDon't let go — not now\n\nHarbour lights are calling me"


def song() -> LyricsDocument:
    return LyricsDocument.from_text(SONG, language="en")


def timed() -> LyricsDocument:
    return apply_edits(
        song(),
        [
            LyricsEdit(word_id=word.id, start_ms=1000 * i, end_ms=1000 * i + 500, locked=False)
            for i, word in enumerate(song().words(), start=1)
        ],
    )


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("Don't let go — not now", ["Don't", "let", "go", "not", "now"]),
        ("— hello, world!", ["— hello,", "world!"]),
        ("«мир» и  труд ♪", ["«мир»", "и", "труд ♪"]),
        ("你好，世界", ["你", "好，", "世", "界"]),
        ("1999 (42)", ["1999", "(42)"]),
        ("🎵🎵", ["🎵🎵"]),
        ("rock'n'roll half-light", ["rock'n'roll", "half-light"]),
    ],
)
def test_words_are_what_a_singer_sings(line: str, words: list[str]) -> None:
    assert [word for word, _ in split_line(line)] == words


@given(st.text(min_size=1, max_size=60).filter(lambda text: text.strip()))
def test_words_and_separators_rebuild_the_line(text: str) -> None:
    line = text.strip()
    pieces = split_line(line)
    assert "".join(word + sep for word, sep in pieces) == line
    assert pieces[-1][1] == ""
    assert all(word for word, _ in pieces)
    assert len(pieces) == 1 or all(is_sung(word) for word, _ in pieces)


def test_section_marks_are_not_sung_and_name_singers() -> None:
    lines = split_lyrics("[Verse 1: Anna]\none\n[Chorus]\ntwo\n[Ben]\nthree\n[Припев]\nfour")
    assert [(line.words[0][0], line.singer) for line in lines] == [
        ("one", "Anna"),
        ("two", "Anna"),
        ("three", "Ben"),
        ("four", "Ben"),
    ]


def test_duet_lyrics_get_a_singer_each() -> None:
    duet = LyricsDocument.from_text("[Anna]\nhello\n[Ben]\ngood bye\n[Anna]\nhello")
    assert [singer.name for singer in duet.singers] == ["Anna", "Ben"]
    assert [line.singer for line in duet.lines] == ["s1", "s2", "s1"]


@pytest.mark.parametrize("text", ["", "  \n ", "!!! … —", "🎤🎶 🔥", "[Chorus]"])
def test_lyrics_without_words_are_refused(text: str) -> None:
    with pytest.raises(NothingSung):
        LyricsDocument.from_text(text)


def test_lyrics_longer_than_any_song_are_refused() -> None:
    assert len(list(LyricsDocument.from_text("la " * 10_000).words())) == 10_000
    with pytest.raises(TooManyWords):
        LyricsDocument.from_text("la " * 20_001)


def test_a_document_is_the_same_after_json() -> None:
    assert LyricsDocument.from_json(song().to_json()) == song()


def test_unchanged_words_keep_ids_times_and_locks() -> None:
    before = apply_edits(timed(), [LyricsEdit(word_id="w2", start_ms=2100)])
    after = before.with_text(SONG.replace("not now", "not right now").replace("calling", "taking"))
    by_id = {word.id: word for word in after.words()}
    assert by_id["w2"] == next(word for word in before.words() if word.id == "w2")
    assert by_id["w2"].locked
    assert by_id["w4"].text == "taking"  # respelled in its place
    new = [word for word in after.words() if word.id not in {w.id for w in before.words()}]
    assert [word.text for word in new] == ["right"]
    assert new[0].start_ms is None
    assert after.origin == "edited"


def test_an_inserted_line_moves_no_other() -> None:
    before = timed()
    after = before.with_text("A new first line\n" + SONG)
    assert [line.id for line in after.lines] == ["l4", "l1", "l2", "l3"]
    assert after.lines[1:] == before.lines


def test_a_removed_and_added_word_never_reuses_an_id() -> None:
    once = song().with_text(SONG.replace("Harbour lights are", "Harbour"))
    again = once.with_text(SONG)
    kept = {word.id for word in once.words()}
    fresh = [word.id for word in again.words() if word.id not in kept]
    assert fresh
    assert len({word.id for word in again.words()}) == len(list(again.words()))


@given(st.lists(st.sampled_from(["red", "blue", "go", "stay", "now"]), min_size=1, max_size=12))
def test_any_new_text_is_said_exactly(words: list[str]) -> None:
    text = " ".join(words)
    assert song().with_text(text).text == text


def test_a_person_sets_times_and_the_word_is_locked() -> None:
    edited = apply_edits(song(), [LyricsEdit(word_id="w3", start_ms=900, end_ms=1300)])
    word = edited.lines[0].words[2]
    assert (word.start_ms, word.end_ms, word.locked) == (900, 1300, True)


def test_a_line_is_shifted_and_stretched_as_a_group() -> None:
    shifted = apply_edits(timed(), [LyricsEdit(line_id="l1", start_ms=200)]).lines[0].words
    assert [(w.start_ms, w.end_ms) for w in shifted][:2] == [(200, 700), (1200, 1700)]
    halved = apply_edits(timed(), [LyricsEdit(line_id="l1", start_ms=1000, end_ms=3250)])
    assert [w.start_ms for w in halved.lines[0].words] == [1000, 1500, 2000, 2500, 3000]
    assert all(w.locked for w in halved.lines[0].words)


def test_a_line_gets_a_new_singer_and_new_words() -> None:
    edited = apply_edits(
        timed(),
        [LyricsEdit(line_id="l2", singer="Anna"), LyricsEdit(line_id="l2", text="Don't let it go")],
    )
    assert [singer.id for singer in edited.singers] == ["s1", "s2"]
    assert edited.lines[1].singer == "s2"
    assert edited.lines[1].text == "Don't let it go"
    assert edited.lines[0] == timed().lines[0]
    assert edited.lines[1].words[0] == timed().lines[1].words[0]


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        ({"wordId": "w99", "text": "x"}, "no word w99"),
        ({"lineId": "l99", "text": "x"}, "no line l99"),
        ({"wordId": "w1", "text": "two words"}, "several words"),
        ({"wordId": "w1", "startMs": 100}, "one time without the other"),
        ({"wordId": "w1", "startMs": 100, "endMs": 100}, "ends before it starts"),
        ({"wordId": "w1", "locked": True}, "locked without times"),
        ({"lineId": "l1", "startMs": 100}, "no times yet"),
        ({"lineId": "l1", "text": "a\nb"}, "several lines"),
    ],
)
def test_an_edit_that_does_not_fit_says_why(edit: dict[str, object], reason: str) -> None:
    with pytest.raises(EditRefused, match=reason):
        apply_edits(song(), [LyricsEdit.model_validate(edit)])


def test_locked_words_must_keep_their_order() -> None:
    edits = [
        LyricsEdit(word_id="w1", start_ms=5000, end_ms=5500),
        LyricsEdit(word_id="w2", start_ms=4000, end_ms=4500),
    ]
    with pytest.raises(EditRefused, match="words of a singer keep their order"):
        apply_edits(song(), edits)


@pytest.mark.parametrize(
    "edit",
    [
        {},
        {"wordId": "w1"},
        {"wordId": "w1", "lineId": "l1", "text": "x"},
        {"wordId": "w1", "singer": "Anna"},
        {"wordId": "w1", "text": "  "},
        {"wordId": "w1", "startMs": -1},
        {"wordId": "w1", "startMs": 1.5},
        {"wordId": "w1", "text": "x", "colour": "red"},
    ],
)
def test_malformed_edits_are_refused(edit: dict[str, object]) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  pydantic's own message names the field
        LyricsEdit.model_validate(edit)
