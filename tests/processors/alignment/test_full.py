"""The full aligner over emissions whose truth is known: letters told where a score says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np

from processors.alignment.aligner import LyricWord, Placement
from processors.alignment.ctc import Emissions
from processors.alignment.full import SpeechAligner, without_model
from processors.audio.samples import Audio
from processors.speech import SpeechModel
from processors.vocabulary import Vocabulary

FRAME_MS = 40.0
LETTERS = " abcdefghijklmnopqrstuvwxyz'"
BLANK = len(LETTERS)
RATE = 8_000


@dataclass(frozen=True)
class Sung:
    """A word, when its voice begins and ends, ms."""

    text: str
    start_ms: int
    end_ms: int


class Letters:
    """Stands in for a model of letters that hears what a score says, late as such models do."""

    model, hash, device, fingerprint = "nemo letters", "00", "cpu", ""

    def __init__(self, score: Sequence[Sung], song_ms: int, *, spaces: bool = True) -> None:
        self._score = score
        self._frames = round(song_ms / FRAME_MS)
        self.space = 0 if spaces else None
        self.vocabulary = Vocabulary(LETTERS, None)
        self.vocabulary.space = self.space

    def spell(self, run: str) -> tuple[int, ...]:
        return self.vocabulary.spell(run)

    def hear(self, vocals: Audio, progress: object) -> Emissions:
        told = np.full(self._frames, BLANK)
        for word in self._score:
            tokens = self.spell(word.text)
            # From 80 ms behind the onset, every second frame: room for blanks between twins.
            first = round((word.start_ms + 80) / FRAME_MS)
            for at, token in enumerate(tokens):
                told[first + 2 * at] = token
            if self.space is not None:
                told[first + 2 * len(tokens)] = self.space
        probabilities = np.full((self._frames, BLANK + 1), 0.1 / BLANK, np.float32)
        probabilities[np.arange(self._frames), told] = 0.9
        return Emissions(np.log(probabilities), BLANK, FRAME_MS)


def voice(score: Sequence[Sung], song_ms: int) -> Audio:
    """A tone wherever somebody sings."""
    t = np.arange(song_ms * RATE // 1000) / RATE
    sung = np.zeros(len(t), np.bool_)
    for word in score:
        sung |= (t >= word.start_ms / 1000) & (t < word.end_ms / 1000)
    return Audio((0.3 * np.sin(2 * np.pi * 220 * t) * sung).astype(np.float32)[None], RATE)


def ignore(_: float) -> None:
    """Progress that nobody watches."""


def place(
    score: Sequence[Sung],
    lines: Sequence[Sequence[LyricWord]],
    *,
    song_ms: int = 20_000,
    spaces: bool = True,
) -> list[Placement]:
    speech = cast(SpeechModel, Letters(score, song_ms, spaces=spaces))
    placed = SpeechAligner(speech).align(voice(score, song_ms), lines, "en", ignore)
    assert [len(row) for row in placed] == [len(line) for line in lines]
    return [placement for row in placed for placement in row]


def words(*lines: str) -> list[list[LyricWord]]:
    return [[LyricWord(text) for text in line.split()] for line in lines]


SCORE = (
    Sung("river", 1000, 1600),
    Sung("carry", 1600, 2200),
    Sung("me", 2200, 2900),
    Sung("hold", 6000, 6500),
    Sung("on", 6500, 8000),
)


def test_onsets_are_the_voice_s_where_it_sets_in_and_the_model_s_inside_a_run() -> None:
    placed = place(SCORE, words("river carry me", "hold on"))
    assert abs((placed[0].start_ms or 0) - 1000) <= 20  # the model told it at 1,080
    assert abs((placed[3].start_ms or 0) - 6000) <= 20
    for placement, true in zip(placed, SCORE, strict=True):
        assert placement.start_ms is not None
        assert 0 <= placement.start_ms - true.start_ms + 20 <= 140
        assert placement.src == "aligned"
        assert placement.confidence > 0.5


def test_words_last_until_the_next_or_until_the_voice_stops() -> None:
    placed = place(SCORE, words("river carry me", "hold on"))
    assert placed[0].end_ms == placed[1].start_ms
    assert abs((placed[2].end_ms or 0) - 2900) <= 20
    assert abs((placed[4].end_ms or 0) - 8000) <= 20


def test_an_ad_lib_that_is_no_lyric_ends_the_word_before_it() -> None:
    score = (Sung("hold", 1000, 1500), Sung("on", 1500, 3000), Sung("yeah", 3000, 4000))
    placed = place(score, words("hold on"), spaces=False)
    assert abs((placed[1].end_ms or 0) - 3080) <= 40


def test_lines_that_are_not_sung_are_left_out_by_name() -> None:
    placed = place(SCORE, words("river carry me", "quite another verse", "hold on"))
    assert [p.start_ms is None for p in placed] == [False] * 3 + [True] * 3 + [False] * 2
    assert all(p.reason for p in placed[3:6])


def test_locked_and_known_words_hold_and_part_the_song() -> None:
    lines = words("river carry me", "hold on")
    lines[0][1] = LyricWord("carry", 1700, 2100, locked=True)
    known = Placement(6010, 6400, 0.4, "aligned")
    lines[1][0] = LyricWord("hold", known=known)
    placed = place(SCORE, lines)
    assert placed[1] == Placement(1700, 2100, 1.0, "manual")
    assert placed[3] == known
    assert (placed[0].end_ms or 0) <= 1700
    assert (placed[2].start_ms or 0) >= 2100


def test_what_the_model_cannot_spell_is_unplaced_with_a_reason() -> None:
    placed = place(SCORE, words("river carry me 🎉", "hold on"))
    assert placed[3].start_ms is None
    assert "no letters" in (placed[3].reason or "")


def test_what_was_heard_places_the_same_words_again() -> None:
    speech = cast(SpeechModel, Letters(SCORE, 20_000))
    aligner = SpeechAligner(speech)
    lines = words("river carry me", "hold on")
    heard = aligner.hear(voice(SCORE, 20_000), lines, "en", ignore)
    again = aligner.again(heard.arrays())
    assert again.place(lines, "en", ignore) == heard.place(lines, "en", ignore)
    alone = without_model(heard.arrays(), speech.fingerprint)
    assert alone is not None
    assert alone.place(lines, "en", ignore) == heard.place(lines, "en", ignore)
    assert without_model(heard.arrays(), "of other weights") is None
    lacking = {name: value for name, value in heard.arrays().items() if name != "pieces"}
    assert without_model(lacking, speech.fingerprint) is None


def test_a_block_fits_where_it_is_sung_and_nowhere_else() -> None:
    speech = cast(SpeechModel, Letters(SCORE, 20_000))
    heard = SpeechAligner(speech).hear(voice(SCORE, 20_000), words("river"), "en", ignore)
    here = heard.fit([["hold", "on"]], "en", 5900, 8100)
    there = heard.fit([["hold", "on"]], "en", 900, 3000)
    assert here is not None
    assert here > -0.5
    assert there is None or there < here - 2


def test_a_line_that_derailed_into_a_break_is_brought_back_by_its_neighbours() -> None:
    texts = ["river carry me", "hold on tight", "sing with us", "never let go", "home at last"]
    score = [
        Sung(word, 3000 * at + 1000 + 600 * n, 3000 * at + 1600 + 600 * n)
        for at, text in enumerate(texts)
        for n, word in enumerate(text.split())
    ]
    speech = Letters(score, 40_000)
    # Residue near the end of the song sounds like the last line's last word, and surer.
    ghost = round(36_000 / FRAME_MS)
    hear = speech.hear

    def haunted(vocals: Audio, progress: object) -> Emissions:
        heard = hear(vocals, progress)
        probabilities = np.exp(heard.log_probs)
        own = round((score[-1].start_ms + 80) / FRAME_MS)
        for at, token in enumerate(speech.spell("last")):
            probabilities[own + 2 * at] = 0.5 / BLANK
            probabilities[own + 2 * at, token] = 0.3
            probabilities[ghost + 2 * at] = 0.001
            probabilities[ghost + 2 * at, token] = 0.97
        return Emissions(np.log(probabilities).astype(np.float32), BLANK, FRAME_MS)

    speech.hear = haunted  # type: ignore[method-assign]
    residue = Sung("last", 36_000, 37_000)
    placed = SpeechAligner(cast(SpeechModel, speech)).align(
        voice([*score, residue], 40_000), words(*texts), "en", ignore
    )
    for found, true in zip((p for line in placed for p in line), score, strict=True):
        assert found.start_ms is not None
        assert abs(found.start_ms - true.start_ms) < 200
