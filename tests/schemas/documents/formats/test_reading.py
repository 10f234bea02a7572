"""Files as people have them, and as they should not be."""

from __future__ import annotations

import pytest

from schemas.documents.formats import READ, UnreadableLyrics, guess
from schemas.documents.lyrics import NothingSung

Timed = list[tuple[str, int | None, int | None]]


def words(name: str, text: str) -> Timed:
    document = READ[name](text).document(locked=False)
    return [(word.text, word.start_ms, word.end_ms) for word in document.words()]


class TestLrc:
    def test_stamps_before_a_line_repeat_it_and_an_offset_shifts_all(self) -> None:
        text = "\ufeff[ti:T]\n[offset:+500]\n[00:10.00][00:02.5]la\n[00:04]lo lo\n[00:05.000]\n"
        assert words("lrc", text) == [
            ("la", 2000, 2500),
            ("lo", 3500, 3900),
            ("lo", 4100, 4500),
            ("la", 9500, 10_000),
        ]

    def test_lines_of_one_stamp_follow_one_another(self) -> None:
        assert words("lrc", "[00:01.00]aa\n[00:01.00]bb\n[00:02.00]cc")[:2] == [
            ("aa", 1000, 1500),
            ("bb", 1500, 2000),
        ]

    def test_section_marks_are_not_sung(self) -> None:
        assert words("lrc", "[00:01.00][Chorus]\n[00:02.00]la\n")[0] == ("la", 2000, 2500)

    def test_text_with_a_stamp_in_it_is_no_lrc(self) -> None:
        assert guess("[Chorus]\nwe met at [10:30]\nand left\n") == "text"
        assert guess("la la\nla") == "text"


class TestTtml:
    NS = 'xmlns="http://www.w3.org/ns/ttml" xmlns:ttm="http://www.w3.org/ns/ttml#metadata"'

    def test_syllables_make_words_and_apple_s_seconds_have_no_unit(self) -> None:
        text = (
            f'<tt {self.NS}><body><div><p begin="9.5" end="1:02.0"><span begin="9.5" end="10">Twin'
            '</span><span begin="10" end="10.5">kle</span>\n  <span begin="1:01.5" end="1:02">star'
            "</span></p></div></body></tt>"
        )
        assert words("ttml", text) == [("Twinkle", 9500, 10_500), ("star", 61_500, 62_000)]

    def test_spans_that_count_from_their_paragraph(self) -> None:
        text = (
            f'<tt {self.NS}><body><p begin="00:00:10.000" end="12s"><span begin="0s" dur="500ms">a'
            '</span> <span begin="1s" end="2s">b</span></p></body></tt>'
        )
        assert words("ttml", text) == [("a", 10_000, 10_500), ("b", 11_000, 12_000)]

    def test_agents_sing(self) -> None:
        text = (
            f'<tt {self.NS}><head><metadata><ttm:agent xml:id="v1"><ttm:name>Anna</ttm:name>'
            '</ttm:agent><ttm:agent xml:id="v2"/></metadata></head><body><p begin="1s" end="2s"'
            ' ttm:agent="v2">a</p><p begin="1s" end="2s" ttm:agent="v1">b</p></body></tt>'
        )
        document = READ["ttml"](text).document(locked=True)
        names = {singer.id: singer.name for singer in document.singers}
        assert [names[line.singer] for line in document.lines] == ["Singer 2", "Anna"]
        assert [word.start_ms for word in document.words()] == [1000, 1000]

    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            ('<!DOCTYPE tt [<!ENTITY a "b">]><tt>&a;</tt>', "DOCTYPE"),
            ('<!DOCTYPE tt SYSTEM "file:///etc/passwd"><tt/>', "DOCTYPE"),
            ("<tt>" * 40, "nested deeper"),
            ("<tt>&undefined;</tt>", "stops being XML"),
            ("<html/>", "root is not tt"),
            ("<tt><p begin='soon'>a</p></tt>", "'soon' is no time"),
            ("<tt><p begin='99999h' end='99999.5h'>a</p></tt>", "check the file's times"),
        ],
    )
    def test_hostile_files_are_named(self, text: str, reason: str) -> None:
        with pytest.raises(UnreadableLyrics, match=reason):
            READ["ttml"](text).document(locked=True)


class TestUltrastar:
    def test_tildes_hold_the_word_and_commas_are_points(self) -> None:
        text = "#BPM:150,0\n#GAP:1000\n: 0 5 3 Me\n: 5 5 4 lis\n* 10 5 4 ma\n: 15 5 5 ~ \n"
        text += "F 30 5 0 ah\nE"
        assert words("ultrastar", text) == [("Melisma", 1000, 3000), ("ah", 4000, 4500)]

    def test_two_voices_may_overlap(self) -> None:
        text = "#BPM:300\n#P1:Anna\n#P2:Ben\nP1\n: 0 4 0 one\nP 2\n: 2 4 0 two\nE\n"
        document = READ["ultrastar"](text).document(locked=True)
        assert [singer.name for singer in document.singers] == ["Anna", "Ben"]
        assert [word.start_ms for word in document.words()] == [0, 100]

    def test_relative_beats_count_from_the_last_line_end(self) -> None:
        text = "#BPM:300\n#RELATIVE:YES\n: 0 4 0 one\n- 10 10\n: 0 4 0 two\nE\n"
        assert words("ultrastar", text) == [("one", 0, 200), ("two", 500, 700)]

    def test_notes_that_overlap_give_way_and_out_of_order_ones_lose_their_times(self) -> None:
        text = "#BPM:300\n: 0 9 0 one \n: 4 4 0 two \n: 2 2 0 three\nE\n"
        assert words("ultrastar", text) == [
            ("one", 0, 200),
            ("two", 200, 400),
            ("three", None, None),
        ]

    @pytest.mark.parametrize("tempo", ["0", "-120", "nan", "inf", "1e9", "99999", "", "fast"])
    def test_a_tempo_that_is_none(self, tempo: str) -> None:
        with pytest.raises(UnreadableLyrics, match="#BPM"):
            READ["ultrastar"](f"#BPM:{tempo}\n: 0 4 0 la\nE\n")

    @pytest.mark.parametrize("row", [": 0 4", "what is this", ": a b c la"])
    def test_a_row_that_means_nothing_is_named_by_its_number(self, row: str) -> None:
        with pytest.raises(UnreadableLyrics, match="line 3 of the UltraStar file"):
            READ["ultrastar"](f"#BPM:300\n: 0 4 0 la\n{row}\nE\n")


def test_a_file_without_words_is_told_apart_from_one_that_cannot_be_read() -> None:
    with pytest.raises(NothingSung):
        READ["lrc"]("[00:01.00]♪\n").document(locked=False)


def test_one_long_line_under_many_stamps_is_refused_before_it_is_cut() -> None:
    with pytest.raises(UnreadableLyrics, match="more text than any song"):
        READ["lrc"]("[00:01.00]" * 1000 + "la " * 1000)
