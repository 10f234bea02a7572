"""A line's own words fit its place, other texts do not; with another song's lyrics none does."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import cast

import pytest

from processors.alignment.aligner import Aligner
from processors.alignment.document import compose, to_align
from processors.alignment.full import SpeechAligner
from processors.alignment.light import LightAligner
from processors.alignment.testimony import sounding_of
from processors.speech import SpeechModel
from schemas.documents.evidence import Evidence
from schemas.documents.lyrics import LyricsDocument
from tests import foreign, songs
from tests.processors.alignment.test_full import Letters, Sung, ignore, voice
from tests.processors.alignment.test_strays import BRIDGE, CHORUS, SONG_MS, VERSE, score

pytestmark = pytest.mark.slow

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


def languages(
    aligner: Aligner, song: songs.Song, said: str, *, kept: bool = False
) -> dict[str, float]:
    """Margins of the languages that are tried; ``kept``: by what was kept of the stem."""
    lyrics = LyricsDocument.from_text(song.lyrics_text)
    heard = aligner.hear(song.vocals, to_align(lyrics), said, ignore)
    if kept:
        heard = aligner.again(heard.arrays())
    placed = heard.place(to_align(lyrics), said, ignore)
    content = compose(lyrics, placed, language=said, duration_ms=round(1000 * song.vocals.seconds))
    tried = sounding_of(content, heard, said).languages
    assert said not in {each.language for each in tried}
    return {each.language: each.margin for each in tried}


@pytest.mark.parametrize("backend", ["light", "full"])
def test_the_language_that_is_sung_sounds_best(backend: str) -> None:
    song = foreign.make("de")
    score = [Sung(word.text, word.start_ms, word.end_ms) for word in song.words]
    letters = Letters(score, round(1000 * song.vocals.seconds))
    light = LightAligner()
    aligner = light if backend == "light" else SpeechAligner(cast(SpeechModel, letters))
    german, english = (languages(aligner, song, said) for said in ("de", "en"))
    assert max(german.values()) < 0
    assert max(english, key=lambda one: english[one]) == "de"
    assert english["de"] > 0.5
    # What the light backend keeps is rounded once more.
    assert languages(aligner, song, "en", kept=True) == pytest.approx(english, abs=0.05)
    light.close()


def test_what_was_heard_before_cepstra_were_kept_tells_no_language() -> None:
    lyrics = LyricsDocument.from_text(VERSE)
    sung = score((1, VERSE))
    aligner = SpeechAligner(cast(SpeechModel, Letters(sung, SONG_MS)))
    arrays = aligner.hear(voice(sung, SONG_MS), to_align(lyrics), "en", ignore).arrays()
    heard = aligner.again({name: one for name, one in arrays.items() if name != "cepstra"})
    assert heard.by_sound is None
    placed = heard.place(to_align(lyrics), "en", ignore)
    content = compose(lyrics, placed, language="en", duration_ms=SONG_MS)
    assert sounding_of(content, heard, "en").languages == ()
