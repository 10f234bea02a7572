"""What is sung and not in the lyrics, or in another order, is named by the lines that fit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
import pytest

from processors.alignment.document import compose, to_align, with_flags
from processors.alignment.full import SpeechAligner
from processors.alignment.light import LightAligner
from processors.alignment.strays import strays
from processors.audio.samples import Audio
from processors.speech import SpeechModel
from schemas.documents.karaoke import Flag
from schemas.documents.lyrics import LyricsDocument
from tests import songs
from tests.processors.alignment.test_full import Letters, Sung, ignore, voice

pytestmark = pytest.mark.slow

SONG_MS = 60_000


def score(*lines: tuple[int, str]) -> list[Sung]:
    """Lines sung from a second on, 700 ms a word."""
    return [
        Sung(word, 1000 * at + 700 * n, 1000 * at + 700 * (n + 1))
        for at, line in lines
        for n, word in enumerate(line.split())
    ]


def found(sung: Sequence[Sung], text: str) -> list[Flag]:
    lyrics = LyricsDocument.from_text(text)
    aligner = SpeechAligner(cast(SpeechModel, Letters(sung, SONG_MS)))
    heard = aligner.hear(voice(sung, SONG_MS), to_align(lyrics), "en", ignore)
    placed = heard.place(to_align(lyrics), "en", ignore)
    content = compose(lyrics, placed, language="en", duration_ms=SONG_MS)
    flags = strays(content, heard, "en")
    assert with_flags(content, flags).qc.flags[-len(flags) :] == tuple(flags) or not flags
    return flags


VERSE = "river carry me home to the sea"
CHORUS = "hold on to the morning light"
BRIDGE = "nobody knows what winter takes away"


def test_a_chorus_that_is_sung_again_is_named_with_its_time() -> None:
    sung = score((1, VERSE), (10, CHORUS), (20, BRIDGE), (40, CHORUS))
    (flag,) = found(sung, f"{VERSE}\n{CHORUS}\n{BRIDGE}")
    assert (flag.code, flag.line_id) == ("repeat_missing", "l2")
    assert flag.message.startswith(f"Line 2 (“{CHORUS}”) is sung again at 0:40")
    assert flag.start_ms is not None
    assert abs(flag.start_ms - 40_000) < 100


def test_a_line_that_is_sung_elsewhere_is_named_out_of_order() -> None:
    sung = score((1, BRIDGE), (12, VERSE), (24, CHORUS))
    (flag,) = found(sung, f"{VERSE}\n{CHORUS}\n{BRIDGE}")
    assert (flag.code, flag.line_id) == ("order_differs", "l3")
    assert "0:01" in flag.message


def test_singing_that_no_line_fits_is_left_to_quality() -> None:
    sung = score((1, VERSE), (10, CHORUS), (30, "quite unlike any zebra jumping queues"))
    assert found(sung, f"{VERSE}\n{CHORUS}") == []


def test_lyrics_that_are_whole_have_no_strays() -> None:
    sung = score((1, VERSE), (10, CHORUS), (20, CHORUS))
    assert found(sung, f"{VERSE}\n{CHORUS}\n{CHORUS}") == []


def test_light_names_a_repetition_too() -> None:
    song = songs.make("english", 1)
    first, last = song.lines[1][0].start_ms - 100, song.lines[2][-1].end_ms + 100
    rate, sound = song.vocals.rate, song.vocals.samples
    again = sound[:, first * rate // 1000 : last * rate // 1000]
    pause = np.zeros((len(sound), rate), np.float32)
    vocals = Audio(np.concatenate([sound, pause, again], axis=1), rate)
    lyrics = LyricsDocument.from_text(song.lyrics_text)
    aligner = LightAligner()
    heard = aligner.hear(vocals, to_align(lyrics), "en", ignore)
    placed = heard.place(to_align(lyrics), "en", ignore)
    content = compose(lyrics, placed, language="en", duration_ms=round(1000 * vocals.seconds))
    (flag,) = strays(content, heard, "en")
    aligner.close()
    assert (flag.code, flag.line_id) == ("repeat_missing", "l2")
    assert flag.message.startswith("Lines 2–3")
