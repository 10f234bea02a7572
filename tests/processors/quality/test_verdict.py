"""What is said of a whole song, each from evidence made for it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from processors.audio.samples import Audio
from processors.quality.evidence import TimedLine
from processors.quality.listening import listen
from processors.quality.thresholds import Thresholds
from processors.quality.verdict import Recording, judge
from schemas.documents.evidence import Evidence, LanguageEvidence, LineEvidence
from schemas.documents.karaoke import Quality
from tests.processors.quality.test_evidence import RATE, stem, words

SPANS = ((1000, 3000), (5000, 7000), (11_000, 14_000))
LINES = [words(f"l{n}", (a, (a + b) // 2), ((a + b) // 2, b)) for n, (a, b) in enumerate(SPANS)]
BAND = stem((0, 20_000), level=0.1)


def sounding(*margins: float) -> Evidence:
    return Evidence(
        lines=tuple(
            LineEvidence(line_id=f"l{n}", fit=margin - 2.0, rival=-2.0, rivals=3)
            for n, margin in enumerate(margins)
        )
    )


WELL = sounding(1.0, 1.2, 0.8)


def judged(
    lines: list[TimedLine] = LINES,
    vocals: Audio | None = None,
    *,
    minus: Audio | None = None,
    heard: Evidence | None = WELL,
    language: str = "en",
    bar: float = 0.6,
) -> Quality:
    recording = Recording(listen(vocals or stem(*SPANS), minus), language)
    return judge(lines, recording, heard, Thresholds(), bar)


def codes(quality: Quality) -> list[str]:
    return [flag.code for flag in quality.flags]


def test_right_words_are_good_enough() -> None:
    quality = judged()
    assert (quality.score, quality.flags, quality.reasons) == (1.0, (), ())
    assert not quality.needs_review
    assert quality.measures is not None
    assert quality.measures.coverage == pytest.approx(1.0, abs=0.01)
    assert quality.measures.lyrics_margin == pytest.approx(1.0)
    assert quality.measures.late_ms == 0


def test_lyrics_that_sound_like_any_other_text_need_review_and_say_why() -> None:
    quality = judged(heard=sounding(0.1, -0.4, 0.0))
    assert codes(quality) == ["lyrics_differ"]
    assert quality.needs_review
    assert quality.reasons[0].startswith("The score is 33 of 100, below the bar of 60.")
    assert "another song" in quality.reasons[1]
    assert quality.flags[0].severity == "error"


def test_one_line_that_sounds_different_is_named_alone() -> None:
    quality = judged(heard=sounding(1.5, -0.8, 1.5))
    assert [(flag.code, flag.line_id) for flag in quality.flags] == [("line_differs", "l1")]
    assert not quality.needs_review
    assert quality.score is not None
    assert quality.score < 1


@pytest.mark.parametrize("heard", [None, sounding(-1.0)])
def test_too_little_evidence_says_nothing_of_the_whole(heard: Evidence | None) -> None:
    assert "lyrics_differ" not in codes(judged(heard=heard))


def test_half_of_the_words_cover_half_of_the_singing() -> None:
    quality = judged(LINES[:2], heard=None)
    assert "coverage_low" in codes(quality)
    assert quality.measures is not None
    assert quality.measures.coverage == pytest.approx(4 / 7, abs=0.03)
    assert quality.needs_review


@pytest.mark.parametrize("late", [-1500, -1000, 1000, 2000])
def test_a_shift_of_all_words_is_measured_and_told(late: int) -> None:
    moved = [
        words(f"l{n}", *((max(0, t[0] + late), t[1] + late) for t in pair))
        for n, pair in enumerate(
            [((a, (a + b) // 2), ((a + b) // 2, b)) for a, b in [(2000, 4000), *SPANS[1:]]]
        )
    ]
    quality = judged(moved, stem((2000, 4000), *SPANS[1:]), heard=None)
    assert quality.measures is not None
    assert quality.measures.late_ms == late
    (told,) = [flag.message for flag in quality.flags if flag.code == "times_shifted"]
    assert f"{abs(late) / 1000:.1f} s too {'late' if late > 0 else 'early'}" in told
    assert quality.needs_review


def test_a_voice_that_is_left_in_the_minus_is_named_in_db() -> None:
    voice = stem(*SPANS)
    minus = Audio(BAND.samples + np.float32(0.5) * voice.samples, RATE)
    quality = judged(vocals=voice, minus=minus)
    (flag,) = [flag for flag in quality.flags if flag.code == "vocal_bleed"]
    assert flag.message.startswith("The voice can still be heard in the minus, 6 dB below")
    assert not quality.needs_review  # the words are right; the minus is what could be made
    assert quality.measures is not None
    assert quality.measures.bleed_db == pytest.approx(20 * np.log10(0.5), abs=1.0)


def test_a_stem_that_sounds_like_the_minus_is_no_voice() -> None:
    voice = stem(*SPANS)
    quality = judged(vocals=voice, minus=voice)
    assert "no_voice" in codes(quality)
    assert quality.needs_review


def test_a_song_without_a_band_is_told_and_published() -> None:
    quality = judged(minus=stem((0, 20_000), level=0.01))
    assert codes(quality) == ["minus_silent"]
    assert not quality.needs_review


@pytest.mark.parametrize(("margin", "said"), [(0.4, ["language_differs"]), (0.05, [])])
def test_another_language_that_fits_better_is_named(margin: float, said: list[str]) -> None:
    tried = (
        LanguageEvidence(language="de", margin=margin - 0.2),
        LanguageEvidence(language="es", margin=margin),
    )
    quality = judged(heard=WELL.model_copy(update={"languages": tried}))
    assert codes(quality) == said
    assert quality.needs_review == bool(said)
    assert all("'es'" in flag.message for flag in quality.flags)


def test_letters_of_another_language_are_named() -> None:
    assert "language_mismatch" not in codes(judged(language="en"))
    russian = TimedLine("l0", tuple(replace(word, text="песня") for word in LINES[0].words))
    quality = judged([russian], stem(SPANS[0]), heard=None)
    (flag,) = [flag for flag in quality.flags if flag.code == "language_mismatch"]
    assert "'en'" in flag.message
    assert "'ru'" in flag.message


def test_no_singing_is_below_every_bar() -> None:
    quality = judged(vocals=stem(), bar=0.0)
    assert codes(quality) == ["no_singing"]
    assert quality.needs_review
    assert quality.reasons == (quality.flags[0].message,)


def test_the_bar_decides() -> None:
    doubtful = judged([*LINES[:2], words("l2", None, None)], stem(*SPANS[:2]), bar=0.5)
    assert doubtful.score is not None
    assert not doubtful.needs_review
    strict = judged([*LINES[:2], words("l2", None, None)], stem(*SPANS[:2]), bar=0.9)
    assert strict.score == doubtful.score
    assert strict.needs_review
