from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processors.audio.samples import Audio
from processors.quality.evidence import (
    Flag,
    QualityReport,
    TimedLine,
    TimedWord,
    assess,
)
from processors.quality.thresholds import Thresholds

RATE = 8000


def stem(*sung: tuple[int, int], song_ms: int = 20_000, level: float = 0.2) -> Audio:
    """A stem with noise in the given stretches, ms."""
    random = np.random.default_rng(5)
    samples = np.zeros(song_ms * RATE // 1000, np.float32)
    for start, end in sung:
        part = slice(start * RATE // 1000, end * RATE // 1000)
        samples[part] = level * random.standard_normal(part.stop - part.start)
    return Audio(samples[None], RATE)


def words(line: str, *times: tuple[int, int] | None, confidence: float = 0.9) -> TimedLine:
    return TimedLine(
        line,
        tuple(
            TimedWord(
                f"{line}-{n}",
                f"word{n}",
                time[0] if time else None,
                time[1] if time else None,
                confidence,
            )
            for n, time in enumerate(times)
        ),
    )


GOOD = words("a", (1000, 1500), (1500, 2000), (2000, 2600))
SUNG = (1000, 2600)


def codes(flags: Iterable[Flag]) -> list[str]:
    return [flag.code for flag in flags]


def test_nothing_speaks_against_words_that_are_sung_where_they_stand() -> None:
    assert assess([GOOD], stem(SUNG)) == QualityReport(1.0, ())


def test_a_word_that_starts_in_silence_is_named_with_its_place() -> None:
    line = words("a", (1000, 1500), (8000, 8500))
    report = assess([line], stem((1000, 1500), (9000, 10_000)))
    (flag,) = report.flags
    assert (flag.code, flag.line_id, flag.word_id) == ("word_in_silence", "a", "a-1")
    assert (flag.start_ms, flag.end_ms) == (8000, 8500)
    assert flag.message == "“word1” starts where nobody sings."
    assert report.score < 1


def test_an_unplaced_word_gives_its_reason() -> None:
    line = TimedLine("a", (*GOOD.words, TimedWord("x", "ghost", None, None, 0.0, reason="unheard")))
    (flag,) = assess([line], stem(SUNG)).flags
    assert (flag.code, flag.start_ms) == ("word_unplaced", None)
    assert flag.message == "“ghost” could not be placed: unheard."


@pytest.mark.parametrize("token", ["…", "🎵", "-"])
def test_punctuation_and_emoji_are_never_missed(token: str) -> None:
    line = TimedLine("a", (*GOOD.words, TimedWord("x", token, None, None, 0.0)))
    assert assess([line], stem(SUNG)).flags == ()


def test_findings_of_one_kind_are_one_flag_a_line() -> None:
    line = words("a", (1000, 1500), (1500, 2000), None, None)
    (flag,) = assess([line], stem((1000, 2000))).flags
    assert flag.word_id is None
    assert flag.message.startswith("2 of the line's 4 words could not be placed")


def test_interpolated_words_and_doubtful_lines_are_told_apart() -> None:
    guessed = TimedWord("a-1", "maybe", 1500, 2000, 0.8, src="interpolated")
    line = TimedLine("a", (GOOD.words[0], guessed, GOOD.words[2]))
    assert codes(assess([line], stem(SUNG)).flags) == ["word_interpolated"]
    doubtful = words("b", (1000, 1500), (1500, 2600), confidence=0.1)
    assert codes(assess([doubtful], stem(SUNG)).flags) == ["line_confidence"]


def test_what_a_person_placed_is_not_doubted() -> None:
    line = TimedLine("a", (TimedWord("a-0", "mine", 5000, 5020, 0.0, src="manual"),))
    assert assess([line], stem((5000, 5500), SUNG)).flags == ()


def test_a_line_faster_than_anyone_sings() -> None:
    line = words("a", *((1000 + 80 * n, 1080 + 80 * n) for n in range(8)))
    assert codes(assess([line], stem((1000, 1640))).flags) == ["line_pace"]


def test_a_word_held_against_all_custom() -> None:
    line = words("a", (1000, 1400), (1400, 1800), (1800, 7000))
    (flag,) = assess([line], stem((1000, 7000))).flags
    assert (flag.code, flag.word_id) == ("word_duration", "a-2")


def test_singing_without_words_is_found_from_four_seconds_on() -> None:
    short = assess([GOOD], stem(SUNG, (10_000, 13_500)))
    assert short.flags == ()
    report = assess([GOOD], stem(SUNG, (10_000, 15_000)))
    (flag,) = report.flags
    assert (flag.code, flag.line_id) == ("singing_without_words", None)
    assert abs((flag.start_ms or 0) - 10_000) <= 50
    assert abs((flag.end_ms or 0) - 15_000) <= 50
    assert "5 s" in flag.message
    assert report.score < 0.5


def test_residue_much_quieter_than_the_words_is_no_singing() -> None:
    loud, residue = stem(SUNG), stem((8000, 14_000), level=0.05)
    leaking = Audio(loud.samples + residue.samples, RATE)
    assert assess([GOOD], leaking).flags == ()


def test_an_instrumental_has_no_quality() -> None:
    report = assess([GOOD], stem())
    assert (report.score, codes(report.flags)) == (0.0, ["no_singing"])


def test_no_words_at_all_score_nothing() -> None:
    assert assess([], stem(SUNG)).score == 0.0


def test_thresholds_are_settings() -> None:
    audio = stem(SUNG, (10_000, 13_500))
    strict = Thresholds(uncovered_ms=3000)
    assert codes(assess([GOOD], audio, strict).flags) == ["singing_without_words"]


times = st.one_of(
    st.none(), st.tuples(st.integers(0, 19_000), st.integers(1, 3000)).map(lambda t: (t[0], sum(t)))
)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.lists(times, max_size=5), max_size=5))
def test_any_lines_get_a_score_and_flags_that_point_at_them(
    rows: list[list[tuple[int, int] | None]],
) -> None:
    lines = [words(str(n), *row) for n, row in enumerate(rows)]
    report = assess(lines, stem((1000, 6000), (9000, 12_000)))
    assert 0.0 <= report.score <= 1.0
    ids = {line.id: {word.id for word in line.words} for line in lines}
    for flag in report.flags:
        assert flag.message.endswith(".")
        assert flag.line_id is None or flag.line_id in ids
        assert flag.word_id is None or flag.word_id in ids[flag.line_id or ""]
    keys = [(flag.start_ms is None, flag.start_ms or 0) for flag in report.flags]
    assert keys == sorted(keys)
