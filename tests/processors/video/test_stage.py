"""The stage itself: what is seen when, what is heard, what is refused."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
from numpy.typing import NDArray

from processors.audio.samples import Audio
from processors.runtime import Reject
from processors.runtime.testing import StageEnvironment
from processors.video.rendering import GUIDE_GAIN
from processors.video.stage import script_of, video
from schemas.documents.karaoke import KaraokeDocument
from schemas.events import Video, VideoRequested, Work
from tests import songs
from tests.processors.video import films
from tests.processors.video.films import Timed

FPS = 25
LYRICS_ROWS = "640:100:0:250"  # of 360: both rows of lyrics, and neither title nor count
HOSTILE = [
    "{\\pos(0,0)}",
    "{\\p1}m 0 0 l 9 9",
    "\\N\\h",
    "':ass=/etc/passwd,",
    "[seen];",
    "%{pts}",
    "a\nDialogue: 0,0:00:00.00,9:00:00.00,Singer1,,0,0,0,,PWNED",
]


def tone(seconds: float) -> Audio:
    wave = 0.3 * np.sin(2 * np.pi * 440 * np.arange(round(44_100 * seconds)) / 44_100)
    return Audio(np.stack([wave, wave]).astype(np.float32), 44_100)


def two_words(seconds: float = 2.0, text: str = "hello") -> KaraokeDocument:
    words = [Timed(text, 400, 900), Timed("world", 1_200, 1_600)]
    return films.karaoke_of([words], round(1000 * seconds))


def refusal(env: StageEnvironment, event: VideoRequested) -> Reject:
    with pytest.raises(Reject) as caught:
        env.run(video, event)
    return caught.value


def test_words_light_up_when_they_are_sung_and_stay_lit(tmp_path: Path) -> None:
    song = songs.make("short", seed=3)
    env = StageEnvironment(tmp_path)
    karaoke = films.of_song(song)
    event = films.request(env, tmp_path, karaoke, song.backing, title="A", artist="B", fps=FPS)
    ran = env.run(video, event)
    film = films.filmed(env, ran.event.work, tmp_path)

    about = films.said(film)
    assert "Video: h264 (High)" in about
    assert "Audio: aac (LC)" in about
    assert about.count("Stream #") == 2
    pictures = films.frames(film, LYRICS_ROWS)
    assert len(pictures) == pytest.approx(song.mix.seconds * FPS, abs=1)

    lit = films.amber(pictures)
    line = song.lines[0]
    room = 2 / FPS  # of a frame's length and the rounding to hundredths of a second
    at = [round(FPS * (word.start_ms / 1000 - room)) for word in line]
    assert lit[: at[0]].max() == 0  # nothing is lit before the first word
    for word, following in itertools.pairwise(line):
        before = lit[round(FPS * (word.start_ms / 1000))]
        after = lit[round(FPS * (word.end_ms / 1000 - 1 / FPS))]
        assert after > before, word
        # half a word is half lit, not all of it: it fills from left to right
        middle = lit[round(FPS * (word.start_ms + word.end_ms) / 2000)]
        if word.end_ms - word.start_ms > 300:
            assert before + 0.1 * (after - before) < middle < after - 0.1 * (after - before), word
        # the next one does not begin before its time
        assert lit[round(FPS * (following.start_ms / 1000 - 1 / FPS))] <= 1.05 * after + 8, (
            following
        )
    whole = pictures[round(FPS * (line[-1].end_ms / 1000 + 0.1))]
    rows = whole[: len(whole) // 2] if song.lines[1] else whole  # the upper row has the first line
    assert films.amber(rows[None])[0] > 20 * films.white(rows[None])[0]

    shares = [progress.share for progress in ran.progress]
    assert shares == sorted(shares)
    assert shares[0] == 0.0
    assert shares[-1] == pytest.approx(1.0, abs=0.05)
    assert ran.length_s == pytest.approx(song.mix.seconds, abs=0.01)

    delay, rest_db = compared(films.heard(film, 44_100), song.backing.samples)
    assert abs(delay) <= 1  # the container says where the codec's priming ends
    assert rest_db > 15

    again = env.run(video, replace(event, work=replace(event.work, job_id="vid_2"))).event
    assert again.reused
    assert again.work.artifacts == ran.event.work.artifacts


def compared(found: NDArray[np.float32], true: NDArray[np.float32]) -> tuple[int, float]:
    """By how many samples ``found`` is late, and the energy of what differs, dB below."""
    length = min(found.shape[1], true.shape[1])
    a, b = found[:, :length].mean(axis=0), true[:, :length].mean(axis=0)
    size = 2 * length
    spectrum = np.fft.irfft(np.fft.rfft(a, size) * np.conj(np.fft.rfft(b, size)), size)
    delay = int(np.argmax(spectrum))
    rest = found[:, :length] - true[:, :length]
    return delay - size if delay > length else delay, float(
        10 * np.log10(np.sum(true[:, :length] ** 2) / np.sum(rest**2))
    )


def test_guide_vocals_are_mixed_in_quietly(tmp_path: Path) -> None:
    song = songs.make("short", seed=3)
    env = StageEnvironment(tmp_path)
    event = films.request(
        env, tmp_path, films.of_song(song), song.backing, song.vocals, vocals="guide"
    )
    film = films.filmed(env, env.run(video, event).event.work, tmp_path)
    found = films.heard(film, 44_100)
    length = min(found.shape[1], song.vocals.frames)
    voice = song.vocals.samples[:, :length]
    share = float(np.sum((found[:, :length] - song.backing.samples[:, :length]) * voice))
    assert share / float(np.sum(voice**2)) == pytest.approx(GUIDE_GAIN, abs=0.03)


def test_a_cover_fills_the_picture_dimmed(tmp_path: Path) -> None:
    env = StageEnvironment(tmp_path)
    square = np.zeros((90, 90, 3), np.uint8)
    square[...] = (40, 200, 80)
    matplotlib.image.imsave(tmp_path / "cover.png", square)
    cover = env.put("cover", tmp_path / "cover.png", "image/png")
    event = films.request(env, tmp_path, two_words(), tone(2), cover=cover)
    film = films.filmed(env, env.run(video, event).event.work, tmp_path)
    picture = films.frames(film, at_s=0.1)[0].astype(int)
    for row, column in ((2, 2), (2, -3), (100, 320), (-3, 2), (-3, -3)):
        assert picture[row, column] == pytest.approx([20, 100, 40], abs=8)


def test_a_gradient_runs_from_the_top_to_the_bottom(tmp_path: Path) -> None:
    env = StageEnvironment(tmp_path)
    event = films.request(
        env, tmp_path, two_words(), tone(2), color="#c80000", gradient_to="#0000c8"
    )
    film = films.filmed(env, env.run(video, event).event.work, tmp_path)
    picture = films.frames(film, at_s=0.1)[0].astype(int)
    assert picture[1, 320] == pytest.approx([200, 0, 0], abs=10)
    assert picture[180, 5] == pytest.approx([100, 0, 100], abs=10)
    assert picture[-2, 320] == pytest.approx([0, 0, 200], abs=10)


def test_hostile_words_are_shown_and_mean_nothing(tmp_path: Path) -> None:
    env = StageEnvironment(tmp_path)
    words = [Timed(text, 300 * n + 100, 300 * n + 380) for n, text in enumerate(HOSTILE)]
    karaoke = films.karaoke_of([words], 3_000)
    title = "".join(HOSTILE)
    event = films.request(env, tmp_path, karaoke, tone(3), title=title, artist="x\n[Events]")
    script = script_of(karaoke, event.work, event.video)
    assert script.count("Dialogue:") - script.count(",,PWNED") <= 4  # line, title, artist
    assert len([row for row in script.splitlines() if row.startswith("Dialogue:")]) == 3
    film = films.filmed(env, env.run(video, event).event.work, tmp_path)
    lit = films.amber(films.frames(film, LYRICS_ROWS))
    assert lit[1] == 0
    assert lit[round(2.3 * FPS)] > 300
    assert "/etc/passwd" in films.said(film)  # in the title, as text


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"GIF89a" + bytes(100), "neither PNG, JPEG nor WebP"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "cannot be read as a picture"),
        (b"\xff\xd8\xff" + bytes(1000), "cannot be read as a picture"),
    ],
)
def test_a_cover_that_is_none_is_refused_in_words(
    tmp_path: Path, content: bytes, said: str
) -> None:
    env = StageEnvironment(tmp_path)
    cover = env.put("cover", content, "image/png")
    found = refusal(env, films.request(env, tmp_path, two_words(), tone(2), cover=cover))
    assert found.code == "cover_unreadable"
    assert said in found.message
    assert str(tmp_path) not in found.message


def test_letters_that_no_font_has_are_refused_instead_of_shown_as_boxes(tmp_path: Path) -> None:
    env = StageEnvironment(tmp_path, video_fonts=())
    found = refusal(env, films.request(env, tmp_path, two_words(text="漢字"), tone(2)))
    assert found.code == "font_missing"
    assert "字 漢" in found.message


@pytest.mark.parametrize("name", ["karaoke", "minus", "vocals", "cover"])
def test_what_is_missing_is_named(tmp_path: Path, name: str) -> None:
    env = StageEnvironment(tmp_path)
    event = films.request(
        env, tmp_path, two_words(), tone(2), tone(2), env.put("cover", b"x"), vocals="guide"
    )
    left = tuple(each for each in event.work.artifacts if each.name != name)
    found = refusal(env, replace(event, work=replace(event.work, artifacts=left)))
    assert found.code == "artifact_missing"
    assert f"'{name}'" in found.message


def test_a_colour_of_no_kind_is_refused(tmp_path: Path) -> None:
    env = StageEnvironment(tmp_path)
    event = films.request(env, tmp_path, two_words(), tone(2), color="red:evil=1")
    assert refusal(env, event).code == "color_invalid"


def test_the_wishes_decide_what_is_written() -> None:
    karaoke, work = two_words(), Work(job_id="vid_1", track_id="trk_1", title="Zanzibar")
    plain = script_of(karaoke, work, Video(title_card=False))
    assert "Zanzibar" in script_of(karaoke, work, Video()).partition("[Events]")[2]
    assert "Zanzibar" not in plain.partition("[Events]")[2]
