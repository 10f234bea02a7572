"""A line's own words fit its place, other texts do not; with another song's lyrics none does."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import cast

from processors.alignment.document import compose, to_align
from processors.alignment.full import SpeechAligner
from processors.alignment.light import LightAligner
from processors.alignment.testimony import sounding_of
from processors.speech import SpeechModel
from schemas.documents.evidence import Evidence
from schemas.documents.lyrics import LyricsDocument
from tests import foreign
from tests.processors.alignment.test_full import Letters, Sung, ignore, voice
from tests.processors.alignment.test_strays import BRIDGE, CHORUS, SONG_MS, VERSE, score

LINES = ((1, VERSE), (10, CHORUS), (20, BRIDGE), (40, CHORUS))


def told(sung: Sequence[Sung], text: str) -> Evidence:
    lyrics = LyricsDocument.from_text(text)
    aligner = SpeechAligner(cast(SpeechModel, Letters(sung, SONG_MS)))
    heard = aligner.hear(voice(sung, SONG_MS), to_align(lyrics), "en", ignore)
    placed = heard.place(to_align(lyrics), "en", ignore)
    content = compose(lyrics, placed, language="en", duration_ms=SONG_MS)
    return sounding_of(content, heard, "en")


def test_every_line_that_is_sung_sounds_like_itself() -> None:
    evidence = told(score(*LINES), "\n".join(text for _, text in LINES))
    assert [line.line_id for line in evidence.lines] == ["l1", "l2", "l3", "l4"]
    assert all(line.margin > 0.5 for line in evidence.lines)
    assert all(line.rivals >= 2 for line in evidence.lines)


def test_words_of_another_song_fit_no_better_than_any_others() -> None:
    other = "every window closes slowly\nwe were dancing on the harbour wall\nfar from any shore"
    evidence = told(score(*LINES), other)
    assert fmean(line.margin for line in evidence.lines) < 0.3


def test_a_line_sung_in_anothers_place_is_told_from_its_own() -> None:
    swapped = told(score((1, CHORUS), (10, BRIDGE)), f"{VERSE}\n{BRIDGE}\n{CHORUS}")
    of = {line.line_id: line.margin for line in swapped.lines}
    assert of["l2"] > 0.5
    assert of.get("l1", -1.0) < 0


def test_a_repeated_line_is_no_rival_of_itself() -> None:
    evidence = told(score((1, CHORUS), (10, CHORUS)), f"{CHORUS}\n{CHORUS}")
    assert [line.rivals for line in evidence.lines] == [1, 1]  # only its own letters backwards
    assert all(line.margin > 0.5 for line in evidence.lines)


def test_letters_tell_no_language_and_sounds_do() -> None:
    assert told(score(*LINES), VERSE).languages == ()
    song = foreign.make("de")
    lyrics = LyricsDocument.from_text(song.lyrics_text)
    aligner = LightAligner()
    margins = {}
    for said in ("de", "en"):
        heard = aligner.hear(song.vocals, to_align(lyrics), said, ignore)
        placed = heard.place(to_align(lyrics), said, ignore)
        song_ms = round(1000 * song.vocals.seconds)
        content = compose(lyrics, placed, language=said, duration_ms=song_ms)
        tried = sounding_of(content, heard, said).languages
        assert said not in {each.language for each in tried}
        margins[said] = {each.language: each.margin for each in tried}
    aligner.close()
    assert max(margins["de"].values()) < 0
    assert max(margins["en"], key=lambda one: margins["en"][one]) == "de"
    assert margins["en"]["de"] > 0.5
