import hashlib
import itertools
import threading

import numpy as np
import pytest
import soundfile

from tests import songs
from tests.song_voice import Note, Voice, sing, speak

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("kind", songs.KINDS)
def test_the_mix_is_the_sum_of_its_stems(kind: songs.Kind) -> None:
    song = songs.make(kind)
    total = song.vocals.samples + song.backing.samples
    np.testing.assert_array_equal(song.mix.samples, total)
    assert np.abs(song.mix.samples).max() < 1.0


@pytest.mark.parametrize("kind", songs.KINDS)
def test_words_are_in_order_and_heard_where_the_truth_says(kind: songs.Kind) -> None:
    song = songs.make(kind)
    voice = np.abs(song.vocals.mono())
    quiet = 0.05 * float(np.sqrt(np.mean(voice**2)))
    end = 0
    for word in song.words:
        assert end <= word.start_ms < word.end_ms <= 1000 * song.mix.seconds
        start, stop = (song.vocals.rate * ms // 1000 for ms in (word.start_ms, word.end_ms))
        assert float(np.sqrt(np.mean(voice[start:stop] ** 2))) > quiet, word
        end = word.end_ms
    before = song.vocals.rate * song.words[0].start_ms // 1000 - 200
    assert float(voice[:before].max(initial=0)) == 0.0


def test_kinds_are_what_their_names_promise() -> None:
    made = dict(zip(songs.KINDS, songs.all(), strict=True))
    assert made["short"].mix.seconds < 10
    assert 24 < made["english"].mix.seconds < 40
    assert set(made["duet"].singers) == {"a", "b"}
    assert made["russian"].language == "ru"
    assert made["mono_mp3"].path.suffix == ".mp3"
    assert soundfile.info(made["mono_mp3"].path).channels == 1
    words = made["english_break"].words
    gaps = [b.start_ms - a.end_ms for a, b in itertools.pairwise(words)]
    assert max(gaps) >= 12_000
    texts = [" ".join(word.text for word in line) for line in made["english_break"].lines]
    assert texts[-2:] == texts[3:5]


def test_lyrics_hold_exactly_the_words_that_are_sung() -> None:
    song = songs.make("russian")
    assert [line.split() for line in song.lyrics_text.splitlines()] == [
        [word.text for word in line] for line in song.lines
    ]


def test_seeds_differ_and_repeat(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    digests = {}
    for place in ("one", "two"):
        songs._cache.cache_clear()
        monkeypatch.setenv("XDG_CACHE_HOME", f"{tmp_path}/{place}")
        for seed in (0, 1):
            made = songs.make("short", seed)
            digests[place, seed] = hashlib.sha256(made.mix.samples.tobytes()).hexdigest()
    songs._cache.cache_clear()
    assert digests["one", 0] == digests["two", 0]
    assert digests["one", 0] != digests["one", 1]


def test_two_may_make_the_same_song_at_once(
    tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    songs._cache.cache_clear()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    made: list[songs.Song] = []
    threads = [
        threading.Thread(target=lambda: made.append(songs.make("short", 5))) for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    songs._cache.cache_clear()
    assert len(made) == 2
    np.testing.assert_array_equal(made[0].mix.samples, made[1].mix.samples)
    assert [p.name for p in made[0].path.parent.parent.iterdir()] == ["short-5"]


@pytest.mark.parametrize("midi", [45.0, 57.0, 64.0])
def test_the_voice_sings_the_note_it_is_given(midi: float) -> None:
    [word] = speak(Voice("en-us", 110, 52), ["la"])
    sung = sing(word, [Note(midi, 1.0)], 44_100, np.random.default_rng(0))
    assert len(sung) == 44_100
    middle = sung[15_000:31_384] * np.hanning(16_384)
    power = np.abs(np.fft.rfft(middle, 1 << 17)) ** 2
    hz = 440 * 2 ** ((midi - 69) / 12)

    def comb(f0: float) -> float:
        return float(sum(np.sqrt(power[round(k * f0 * (1 << 17) / 44_100)]) for k in range(1, 9)))

    candidates = hz * 2 ** (np.arange(-7, 8) / 12)  # semitones around it
    assert abs(max(candidates, key=comb) - hz) < 0.01
