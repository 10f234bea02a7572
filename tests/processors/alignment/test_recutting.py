from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from processors.alignment.aligner import Placement
from processors.alignment.recutting import LONGEST, at_pauses, by_words, is_run_on
from schemas.documents.lyrics import LyricsDocument


def placed(gaps_ms: Sequence[int]) -> list[list[Placement]]:
    """A word of 300 ms behind each gap, a row each."""
    rows, at = [], 0
    for gap in gaps_ms:
        at += gap
        rows.append([Placement(at, at + 300, 0.9, "aligned")])
        at += 300
    return rows


def run_on(words: int) -> LyricsDocument:
    return LyricsDocument.from_text(" ".join(f"WORD{n}" for n in range(words)))


def test_lines_of_songs_are_left_alone() -> None:
    lyrics = LyricsDocument.from_text("twinkle twinkle little star\nhow I wonder what you are")
    assert not is_run_on(lyrics)
    assert by_words(lyrics) == lyrics


def test_text_in_one_piece_is_cut_at_the_longest_pauses() -> None:
    lyrics = run_on(24)
    assert is_run_on(lyrics)
    gaps = [2500 if n in (7, 13) else 900 if n == 18 else 50 for n in range(24)]
    cut = at_pauses(lyrics, placed(gaps), by_words(lyrics))
    assert [len(line.words) for line in cut.lines] == [7, 6, 5, 6]
    assert [line.id for line in cut.lines] == ["l1", "l2", "l3", "l4"]
    assert cut.lines[0].text == " ".join(f"WORD{n}" for n in range(7))


def test_marks_tell_line_ends_where_nobody_pauses() -> None:
    text = " ".join(f"word{n}" + ("," if n in (6, 13) else "") for n in range(21))
    lyrics = LyricsDocument.from_text(text)
    cut = at_pauses(lyrics, placed([50] * 21), by_words(lyrics))
    assert [line.words[-1].text for line in cut.lines][:2] == ["word6,", "word13,"]


def test_only_the_long_line_is_cut_and_ids_stay_unique() -> None:
    text = "first line\n" + " ".join(["la"] * 25) + "\nlast line"
    lyrics = LyricsDocument.from_text(text)
    cut = by_words(lyrics)
    assert cut.lines[0] == lyrics.lines[0]
    assert cut.lines[-1] == lyrics.lines[-1]
    assert len({line.id for line in cut.lines}) == len(cut.lines)
    assert cut.lines[1].id == "l2"


@given(st.lists(st.integers(0, 5000), min_size=LONGEST + 1, max_size=80), st.data())
def test_every_word_stays_once_and_in_order(gaps: list[int], data: st.DataObject) -> None:
    lyrics = run_on(len(gaps))
    rows = placed(gaps)
    for at in data.draw(st.sets(st.integers(0, len(gaps) - 1), max_size=5)):
        rows[at] = [Placement(None, None, 0.0, "aligned", "unheard")]
    cut = at_pauses(lyrics, rows, by_words(lyrics))
    assert [word.id for word in cut.words()] == [word.id for word in lyrics.words()]
    assert all(3 <= len(line.words) <= 10 for line in cut.lines)
