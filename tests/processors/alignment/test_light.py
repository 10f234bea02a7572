"""Real acoustic alignment: sung words whose times are known."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pytest

from processors.alignment.aligner import (
    Aligner,
    LyricsDontFit,
    LyricWord,
    NoSinging,
    Placement,
)
from processors.alignment.languages import UnknownLanguage
from processors.alignment.light import LightAligner
from processors.audio.samples import Audio
from tests import songs

pytestmark = pytest.mark.slow

MEAN_S, WORST_S = 0.12, 1.0  # the targets on true vocals


@pytest.fixture(scope="module")
def aligner() -> Iterator[Aligner]:
    light = LightAligner()
    yield light
    light.close()


@pytest.fixture(scope="module")
def song() -> songs.Song:
    return songs.make("short", 3)


def quiet(_share: float) -> None:
    """Progress that nobody watches."""


def lyrics(song: songs.Song) -> list[list[LyricWord]]:
    return [[LyricWord(word.text) for word in line] for line in song.lines]


def lawful(placed: Sequence[Sequence[Placement]], seconds: float) -> None:
    """Every word placed or with a reason; in order, without overlap, inside the song."""
    latest = 0
    for placement in (p for line in placed for p in line):
        assert 0.0 <= placement.confidence <= 1.0
        if placement.start_ms is None or placement.end_ms is None:
            assert placement.start_ms is placement.end_ms is None
            assert placement.reason
            continue
        assert isinstance(placement.start_ms, int)
        assert latest <= placement.start_ms < placement.end_ms <= seconds * 1000
        latest = placement.end_ms


def onset_errors(song: songs.Song, placed: Sequence[Sequence[Placement]]) -> np.ndarray:
    pairs = zip(song.words, (p for line in placed for p in line), strict=True)
    return np.array([p.start_ms - w.start_ms for w, p in pairs if p.start_ms is not None]) / 1000


@pytest.mark.parametrize("kind", ["short", "russian", "english_break"])
def test_words_are_found_where_they_are_sung(aligner: Aligner, kind: songs.Kind) -> None:
    song = songs.make(kind, 3)
    shares: list[float] = []
    placed = aligner.align(song.vocals, lyrics(song), song.language, shares.append)
    lawful(placed, song.vocals.seconds)
    errors = np.abs(onset_errors(song, placed))
    assert len(errors) == len(song.words)
    assert errors.mean() <= MEAN_S
    assert errors.max() <= WORST_S
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


def test_residue_in_a_break_attracts_no_word(aligner: Aligner) -> None:
    song = songs.make("english_break", 2)
    leaked = song.vocals.samples + np.float32(0.1) * song.backing.samples
    placed = aligner.align(Audio(leaked, song.vocals.rate), lyrics(song), "en", quiet)
    lawful(placed, song.vocals.seconds)
    assert np.abs(onset_errors(song, placed)).max() <= WORST_S


def test_locked_words_stay_and_the_others_find_their_place_between(
    aligner: Aligner, song: songs.Song
) -> None:
    lines = lyrics(song)
    flat = [word for line in song.lines for word in line]
    first, second = 3, 8
    numbers = iter(range(len(flat)))
    locked = [
        [
            LyricWord(w.text, flat[n].start_ms + 13, flat[n].end_ms - 7, locked=True)
            if n in (first, second)
            else w
            for w, n in zip(line, numbers, strict=False)
        ]
        for line in lines
    ]
    placed = aligner.align(song.vocals, locked, "en", quiet)
    lawful(placed, song.vocals.seconds)
    row = [p for line in placed for p in line]
    for n in (first, second):
        assert row[n] == Placement(flat[n].start_ms + 13, flat[n].end_ms - 7, 1.0, "manual")
    assert all(p.src != "manual" for n, p in enumerate(row) if n not in (first, second))
    assert np.abs(onset_errors(song, placed)).mean() <= MEAN_S


def test_words_locked_in_a_wrong_place_squeeze_but_never_break_the_others(
    aligner: Aligner, song: songs.Song
) -> None:
    lines = [
        [LyricWord("one", 8000, 8200, locked=True), LyricWord("two"), LyricWord("three")],
        [LyricWord("four", 8210, 8300, locked=True), LyricWord("five")],
    ]
    placed = aligner.align(song.vocals, lines, "en", quiet)
    lawful(placed, song.vocals.seconds)
    assert placed[0][0].start_ms == 8000
    assert placed[1][0].start_ms == 8210


def test_a_verse_that_nobody_sings_is_left_out(aligner: Aligner) -> None:
    song = songs.make("english", 3)
    lines = lyrics(song)
    unsung = "nobody ever sang this terrible unnecessary sentence"
    extra = [LyricWord(word) for word in unsung.split()]
    placed = aligner.align(song.vocals, [*lines[:2], extra, *lines[2:]], "en", quiet)
    lawful(placed, song.vocals.seconds)
    assert all(p.start_ms is None for p in placed[2])
    errors = np.abs(onset_errors(song, [*placed[:2], *placed[3:]]))
    assert errors.max() <= WORST_S


def test_what_is_not_sung_says_why_and_costs_the_others_nothing(
    aligner: Aligner, song: songs.Song
) -> None:
    lines = lyrics(song)
    decorated = [[LyricWord("🎵"), *line, LyricWord("…")] for line in lines]
    placed = aligner.align(song.vocals, decorated, "en", quiet)
    lawful(placed, song.vocals.seconds)
    assert all("no letters" in (p.reason or "") for line in placed for p in (line[0], line[-1]))
    plain = aligner.align(song.vocals, lines, "en", quiet)
    assert [line[1:-1] for line in placed] == plain


def test_the_same_song_gives_the_same_answer(aligner: Aligner, song: songs.Song) -> None:
    again = LightAligner()
    try:
        assert again.align(song.vocals, lyrics(song), "en", quiet) == aligner.align(
            song.vocals, lyrics(song), "en", quiet
        )
    finally:
        again.close()


@pytest.mark.parametrize("rate", [8000, 16_000, 48_000])
def test_any_rate_and_channel_count_will_do(aligner: Aligner, rate: int) -> None:
    random = np.random.default_rng(1)
    for channels in (1, 2, 6):
        noise = (0.1 * random.standard_normal((channels, rate))).astype(np.float32)
        placed = aligner.align(Audio(noise, rate), [[LyricWord("hello")]], "en", quiet)
        lawful(placed, 1.0)


@pytest.mark.parametrize("frames", [0, 1, 100, 16_000])
def test_silence_holds_no_words(aligner: Aligner, frames: int) -> None:
    silent = Audio(np.zeros((2, frames), np.float32), 16_000)
    with pytest.raises(NoSinging, match="instrumental"):
        aligner.align(silent, [[LyricWord("hello")]], "en", quiet)
    assert aligner.align(silent, [[]], "en", quiet) == [[]]


def test_ten_thousand_words_are_refused_at_once(aligner: Aligner, song: songs.Song) -> None:
    with pytest.raises(LyricsDontFit, match="10000 words cannot be sung") as refused:
        aligner.align(song.vocals, [[LyricWord("la")] * 10_000], "en", quiet)
    assert refused.value.code == "lyrics_dont_fit"


def test_an_unknown_language_is_refused_before_any_work(aligner: Aligner, song: songs.Song) -> None:
    with pytest.raises(UnknownLanguage):
        aligner.align(song.vocals, lyrics(song), "xx", quiet)
