"""Karaoke documents to write: one that is looked at, and any that keep their promises."""

from __future__ import annotations

from hypothesis import strategies as st

from schemas.documents.formats import About
from schemas.documents.karaoke import Flag, Karaoke, Line, Quality, Word
from schemas.documents.lyrics import Singer
from schemas.documents.text import split_line

ABOUT = About(title="The Star", artist="Jane Taylor")


def word(number: int, text: str, start: int | None, end: int | None, sep: str = " ") -> Word:
    return Word(id=f"w{number}", text=text, sep=sep, start_ms=start, end_ms=end)


def song(*lines: Line, language: str = "en", duration_ms: int = 60_000) -> Karaoke:
    unplaced = tuple(
        Flag(code="word_unplaced", message="not heard", word_id=one.id)
        for line in lines
        for one in line.words
        if one.start_ms is None
    )
    return Karaoke(
        language=language,
        duration_ms=duration_ms,
        singers=(Singer(id="s1", name="Anna"), Singer(id="s2", name="Ben")),
        lines=lines,
        qc=Quality(flags=unplaced),
    )


def duet() -> Karaoke:
    """Two singers who overlap, a word and a line that could not be placed."""
    return song(
        Line.of(
            "l1",
            "s1",
            [
                word(1, "Twinkle", 1005, 1500),
                word(2, "twinkle", None, None),
                word(3, "star", 2000, 2600, ""),
            ],
        ),
        Line.of("l2", "s2", [word(4, "Мир", 2100, 2500), word(5, "мой", 2500, 3100, "")]),
        Line.of("l3", "s1", [word(6, "ad-lib", None, None, "")]),
        Line.of("l4", "s1", [word(7, "שלום", 9000, 9700), word(8, "you", 9710, 10_005, "")]),
    )


_HOSTILE = """{\\an8} \\N <00:01.00> [00:09.99] --> &amp; <b> ]]> a:b ~ - E P1 #BPM:1 " ' x,y { }
* 00:00:01,000 1999 NOTE STYLE </span> \\ [ti:x] {\\k50}la \u200fمرحبا e\u0301 🎵"""


def _words(pick: st.SearchStrategy[str]) -> st.SearchStrategy[list[list[str]]]:
    return st.lists(st.lists(pick, min_size=1, max_size=5), min_size=1, max_size=5)


@st.composite
def songs(draw: st.DrawFn, *, hostile: bool = False, voices: int = 2) -> Karaoke:
    """Any song whose words are placed; ``hostile`` ones say what formats take for their own."""
    plain = st.text(st.sampled_from("abcдеעשй'é你"), min_size=1, max_size=6).filter(
        lambda text: text.strip("'") != ""
    )
    pick = st.one_of(st.sampled_from(_HOSTILE.split()), plain) if hostile else plain
    count = 0
    reached = {f"s{n}": draw(st.integers(0, 3000)) for n in range(1, voices + 1)}
    lines = []
    for index, texts in enumerate(draw(_words(pick)), start=1):
        singer = draw(st.sampled_from(sorted(reached)))
        made = []
        pieces = [(text, " ") for text in texts] if hostile else split_line(" ".join(texts))
        for place, (text, sep) in enumerate(pieces, start=1):
            count += 1
            start = reached[singer] + draw(st.sampled_from([0, 0, 7, 13, 250, 9000]))
            reached[singer] = end = start + draw(st.integers(60, 900))
            made.append(word(count, text, start, end, sep if place < len(pieces) else ""))
        lines.append(Line.of(f"l{index}", singer, made))
    return song(*lines, duration_ms=max(reached.values()) + 1000)
