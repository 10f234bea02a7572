"""Every character gets a font, or is named."""

from __future__ import annotations

from pathlib import Path

import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen

from processors.runtime.testing import StageEnvironment
from processors.video.fonts import bundled, fonts_for, seen_in
from processors.video.stage import video
from tests.processors.video import films
from tests.processors.video.test_stage import LYRICS_ROWS, tone


def write_font(path: Path, family: str, text: str) -> None:
    """A font that has a solid box for each character of ``text``."""
    names = {char: f"g{number}" for number, char in enumerate(text)}
    pen = TTGlyphPen(None)
    for number, corner in enumerate(((50, 0), (50, 700), (950, 700), (950, 0))):
        (pen.lineTo if number else pen.moveTo)(corner)
    pen.closePath()
    box = pen.glyph()
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder([".notdef", *names.values()])
    builder.setupCharacterMap({ord(char): name for char, name in names.items()})
    builder.setupGlyf(dict.fromkeys([".notdef", *names.values()], box))
    builder.setupHorizontalMetrics(dict.fromkeys([".notdef", *names.values()], (1000, 50)))
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": family, "styleName": "Regular"})
    builder.setupOS2(sTypoAscender=800, usWinAscent=800, usWinDescent=200)
    builder.setupPost()
    builder.save(path)


@pytest.mark.parametrize(
    "text", ["Oh, run away – “Ünïcode” ♪", "Над рекой ё", "שָׁלוֹם", "مرحبا", "Γειά", "Tiếng Việt"]
)
def test_the_bundled_fonts_write_these_without_any_other(text: str) -> None:
    chosen = fonts_for(text, ())
    assert chosen.files == bundled()
    assert not chosen.missing
    assert all(file.is_file() for file in chosen.files)


def test_other_fonts_are_taken_only_for_what_is_missing(tmp_path: Path) -> None:
    write_font(tmp_path / "b.ttf", "B", "漢字")
    write_font(tmp_path / "a.ttf", "A", "あ")
    (tmp_path / "broken.ttf").write_bytes(b"no font at all")
    (tmp_path / "notes.txt").write_text("漢")
    assert fonts_for("plain", [tmp_path]).files == bundled()
    assert fonts_for("漢 plain", [tmp_path]).files == (*bundled(), tmp_path / "b.ttf")
    chosen = fonts_for("あ漢한", [tmp_path / "nowhere", tmp_path])
    assert chosen.files == (*bundled(), tmp_path / "a.ttf", tmp_path / "b.ttf")
    assert chosen.missing == {"한"}


def test_what_has_no_shape_needs_no_font() -> None:
    assert seen_in("a\u200d\n \ufe0f\u2060b") == {"a", "b"}


def test_letters_of_another_font_are_drawn(tmp_path: Path) -> None:
    fonts = tmp_path / "fonts"
    fonts.mkdir()
    write_font(fonts / "east.ttf", "East", "漢字")
    env = StageEnvironment(tmp_path, video_fonts=(fonts,))
    karaoke = films.karaoke_of([[films.Timed("漢字", 200, 600)]], 1_500)
    event = films.request(env, tmp_path, karaoke, tone(1.5))
    film = films.filmed(env, env.run(video, event).event.work, tmp_path)
    [picture] = films.frames(film, LYRICS_ROWS, at_s=0.9)
    # two boxes of 27 px (54 of 720, half of it) wide, solid, which no outline of a missing glyph is
    assert films.amber(picture[None])[0] > 500
