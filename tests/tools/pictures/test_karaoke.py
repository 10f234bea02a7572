"""The picture of a karaoke can be drawn whatever was placed, and grows with the song."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from processors.audio.samples import Audio
from schemas.documents.karaoke import Flag, Karaoke, Line, Quality, Word
from schemas.documents.lyrics import DEFAULT_SINGER, Singer
from tools.pictures.karaoke import draw

pytestmark = pytest.mark.slow

RATE = 8_000


def karaoke(seconds: int, *, placed: bool = True) -> Karaoke:
    """Two words every two seconds; the second of each line carries a flag."""
    lines, flags = [], []
    for at in range(0, seconds - 2, 2):
        times = (1000 * at, 1000 * at + 700) if placed else (None, None)
        words = [
            Word(id=f"w{at}", text="a $b$", sep=" ", start_ms=times[0], end_ms=times[1]),
            Word(id=f"x{at}", text="&", start_ms=times[1], end_ms=times[1] and times[1] + 400),
        ]
        lines.append(Line.of(f"l{at}", DEFAULT_SINGER, words))
        flagged = [words[1].id] if placed else [word.id for word in words]
        flags += [Flag(code="look", message="Look.", word_id=each) for each in flagged]
    return Karaoke(
        duration_ms=1000 * seconds,
        singers=(Singer(id=DEFAULT_SINGER, name=""),),
        lines=tuple(lines),
        qc=Quality(flags=tuple(flags)),
    )


def size(path: Path) -> tuple[int, int]:
    head = path.read_bytes()[:24]
    assert head[:8] == b"\x89PNG\r\n\x1a\n"
    return int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big")


def drawn(path: Path, seconds: int, *, placed: bool = True, level: float = 0.3) -> tuple[int, int]:
    wave = level * np.random.default_rng(1).uniform(-1, 1, (2, seconds * RATE))
    sound = Audio(wave.astype(np.float32), RATE)
    song = karaoke(seconds, placed=placed)
    draw(path, song, vocals=sound, minus=sound, title="a $mix$", truth_ms=[0, 2_000])
    return size(path)


@pytest.mark.parametrize("placed", [True, False])
@pytest.mark.parametrize("level", [0.3, 0.0])
def test_is_drawn(tmp_path: Path, level: float, placed: bool) -> None:
    width, height = drawn(tmp_path / "picture.png", 30, placed=placed, level=level)
    assert width == 1375
    assert height > 300


def test_a_longer_song_takes_more_rows_up_to_a_page(tmp_path: Path) -> None:
    heights = [drawn(tmp_path / "picture.png", seconds)[1] for seconds in (3, 30, 400, 800)]
    assert heights[0] < heights[1] < heights[2]
    assert heights[3] < 1.2 * heights[2]


def test_what_is_flagged_stands_out(tmp_path: Path) -> None:
    from matplotlib.image import imread

    def reds(path: Path) -> int:
        picture = np.asarray(imread(path))[..., :3]
        return int((np.abs(picture - np.array([255, 201, 201]) / 255).max(axis=2) < 0.01).sum())

    flagged, clean = tmp_path / "flagged.png", tmp_path / "clean.png"
    song, sound = karaoke(12), Audio(np.zeros((1, 12 * RATE), dtype=np.float32), RATE)
    draw(flagged, song, vocals=sound, minus=sound)
    draw(clean, song.model_copy(update={"qc": Quality()}), vocals=sound, minus=sound)
    assert reds(flagged) > 500
    assert reds(clean) == 0
