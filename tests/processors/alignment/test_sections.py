from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from processors.alignment.aligner import LyricWord
from processors.alignment.sections import is_fixed, sections

FREE = LyricWord("la")


def locked(start: int, end: int) -> LyricWord:
    return LyricWord("la", start, end, locked=True)


def test_without_locked_words_the_song_is_one_section() -> None:
    (section,) = sections([[FREE, FREE], [FREE]], 9000)
    assert (section.start_ms, section.end_ms) == (0, 9000)
    assert section.lines == ((0, 1), (2,))


def test_a_locked_word_cuts_its_line() -> None:
    before, after = sections([[FREE, locked(1000, 1500), FREE], [FREE]], 9000)
    assert (before.start_ms, before.end_ms, before.lines) == (0, 1000, ((0,),))
    assert (after.start_ms, after.end_ms, after.lines) == (1500, 9000, ((2,), (3,)))


def test_adjacent_locked_words_leave_no_section_between_them() -> None:
    assert sections([[locked(0, 100), locked(100, 200)]], 1000) == []


def test_a_lock_without_times_is_no_lock() -> None:
    assert not is_fixed(LyricWord("la", None, None, locked=True))
    assert not is_fixed(LyricWord("la", 1, 2))


words = st.one_of(
    st.just(FREE),
    st.builds(
        lambda start, length: locked(start, start + length),
        st.integers(0, 12_000),
        st.integers(1, 3000),
    ),
)


@given(st.lists(st.lists(words, max_size=6), max_size=6), st.integers(1, 10_000))
def test_sections_hold_every_free_word_once_in_order_and_time(
    lines: list[list[LyricWord]], song_ms: int
) -> None:
    found = sections(lines, song_ms)
    flat = [word for line in lines for word in line]
    assert [n for section in found for n in section.words] == [
        n for n, word in enumerate(flat) if not is_fixed(word)
    ]
    latest = 0
    for section in found:
        assert latest <= section.start_ms <= section.end_ms <= song_ms
        latest = section.end_ms
