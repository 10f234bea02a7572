"""What other people's programs read in our files."""

from __future__ import annotations

import io
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import imageio_ffmpeg
import numpy as np
import numpy.typing as npt
import pylrc
import pysubs2
import pytest
import webvtt
from hypothesis import given, settings
from ttconv.imsc.reader import to_model
from ttconv.model import Br, ContentElement, P, Text

from schemas.documents.formats import WRITTEN
from schemas.documents.formats.ass import HEIGHT, WIDTH
from schemas.documents.formats.cues import cues
from schemas.documents.karaoke import Karaoke, Line
from tests.schemas.documents.formats.songs import ABOUT, duet, song, songs, word

Picture = npt.NDArray[np.uint8]

FEW = settings(max_examples=30)


def written(name: str, karaoke: Karaoke) -> str:
    return WRITTEN[name].write(karaoke, ABOUT, {})


class TestPysubs2:
    @FEW
    @given(songs(hostile=True))
    def test_reads_ass_lines_with_their_karaoke(self, karaoke: Karaoke) -> None:
        read = pysubs2.SSAFile.from_string(written("ass", karaoke), format_="ass")
        shown = cues(karaoke)
        assert len(read.events) == len(shown)
        for event in read.events:
            assert event.start <= event.end
            lengths = [
                int(tag.lstrip("{\\kf").rstrip("}"))
                for tag in _tags(event.text)
                if tag.startswith("{\\k")
            ]
            # the sweeps end where the line ends, however many words were rounded
            ends = [cue.end_ms for cue in shown]
            assert min(abs(event.start + 10 * sum(lengths) - end) for end in ends) <= 10
        texts = sorted(event.plaintext for event in read.events)
        twins = str.maketrans({"{": "｛", "}": "｝", "\\": "＼"})
        assert texts == sorted(cue.text.translate(twins) for cue in shown)

    def test_gives_each_singer_a_style_and_shows_lines_before_they_are_sung(self) -> None:
        read = pysubs2.SSAFile.from_string(written("ass", duet()), format_="ass")
        assert {(event.name, event.style) for event in read.events} == {
            ("Anna", "Singer1"),
            ("Ben", "Singer2"),
        }
        colours = {str(style.primarycolor) for style in read.styles.values()}
        assert len(colours) == 2
        late = max(read.events, key=lambda event: event.start)
        assert late.start == 5000  # sung at 9 s

    @FEW
    @given(songs(hostile=True))
    def test_reads_srt_cues(self, karaoke: Karaoke) -> None:
        read = pysubs2.SSAFile.from_string(written("srt", karaoke), format_="srt")
        shown = cues(karaoke)
        assert [(event.start, event.end) for event in read.events] == [
            (cue.start_ms, cue.end_ms) for cue in shown
        ]


def _tags(text: str) -> list[str]:
    return ["{" + piece.partition("}")[0] + "}" for piece in text.split("{")[1:]]


@FEW
@given(songs(hostile=True))
def test_webvtt_py_reads_every_cue(karaoke: Karaoke) -> None:
    read = webvtt.from_buffer(io.StringIO(written("vtt", karaoke))).captions
    shown = cues(karaoke)
    assert [caption.identifier for caption in read] == [cue.line_id for cue in shown]
    for caption, cue in zip(read, shown, strict=True):
        assert caption.start_time.in_milliseconds() == cue.start_ms
        assert caption.end_time.in_milliseconds() == cue.end_ms


@FEW
@given(songs(voices=1))
def test_pylrc_reads_every_line(karaoke: Karaoke) -> None:
    read = pylrc.parse(written("lrc", karaoke))
    assert (read.title, read.artist) == (ABOUT.title, ABOUT.artist)
    for sung, line in zip(read, cues(karaoke), strict=True):
        assert sung.text == line.text
        # pylrc's seconds are a sum of floats
        assert -1e-6 < line.start_ms - 1000 * sung.time < 10 + 1e-6


@FEW
@given(songs(hostile=True))
def test_ttconv_reads_every_paragraph(karaoke: Karaoke) -> None:
    tree = ElementTree.ElementTree(ElementTree.fromstring(written("ttml", karaoke)))
    document = to_model(tree)
    assert document is not None
    body = document.get_body()
    assert body is not None
    paragraphs = [one for one in body.dfs_iterator() if isinstance(one, P)]
    for paragraph, cue in zip(paragraphs, cues(karaoke), strict=True):
        assert 1000 * (paragraph.get_begin() or 0) == cue.start_ms
        assert _text(paragraph) == cue.text


def _text(element: ContentElement) -> str:
    return "".join(
        one.get_text() if isinstance(one, Text) else "\n"
        for one in element.dfs_iterator()
        if isinstance(one, Text | Br)
    )


def frame(karaoke: Karaoke, folder: Path, at_s: float) -> Picture:
    """The picture that libass makes of the song at a time, over black: (rows, columns, RGB)."""
    (folder / "song.ass").write_text(written("ass", karaoke), encoding="utf-8")
    done = subprocess.run(
        [
            *(imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-v", "error", "-threads", "1"),
            *("-f", "lavfi", "-i", f"color=c=black:s={WIDTH}x{HEIGHT}:r=20:d={at_s + 0.1:.2f}"),
            *("-vf", "ass=song.ass,format=rgb24", "-ss", f"{at_s:.2f}", "-frames:v", "1"),
            *("-f", "rawvideo", "pipe:1"),
        ],
        cwd=folder,
        capture_output=True,
        check=True,
        timeout=60,
    )
    return np.frombuffer(done.stdout, np.uint8).reshape(HEIGHT, WIDTH, 3)


def columns(picture: Picture, colour: str) -> tuple[int, int]:
    """From which column to which the colour is seen; (0, 0) for nowhere."""
    red, _, blue = (picture[..., channel].astype(int) for channel in range(3))
    seen = {
        "amber": (red > 200) & (blue < 100),
        "white": (red > 230) & (blue > 230),
    }[colour]
    found = np.flatnonzero(seen.any(axis=0))
    return (0, 0) if len(found) == 0 else (int(found[0]), int(found[-1]))


class TestLibass:
    """The renderer behind VLC, mpv and FFmpeg."""

    def test_lights_words_from_the_left_while_they_are_sung(self, tmp_path: Path) -> None:
        line = Line.of(
            "l1", "s1", [word(1, "Twinkle", 1000, 2000), word(2, "star", 2000, 3000, "")]
        )
        unsung = frame(song(line), tmp_path, 0.5)
        assert columns(unsung, "amber") == (0, 0)
        whole = columns(unsung, "white")
        assert whole[1] - whole[0] > 200
        half = frame(song(line), tmp_path, 2.0)
        amber, white = columns(half, "amber"), columns(half, "white")
        assert amber[0] == pytest.approx(whole[0], abs=3)
        assert amber[1] < white[0]
        assert white[1] == pytest.approx(whole[1], abs=3)

    def test_reads_hebrew_from_the_right(self, tmp_path: Path) -> None:
        line = Line.of("l1", "s1", [word(1, "שלום", 500, 1000), word(2, "עולם", 1500, 2000, "")])
        picture = frame(song(line, language="he"), tmp_path, 1.2)
        assert columns(picture, "amber")[0] > columns(picture, "white")[1]

    def test_shows_braces_and_backslashes_as_text(self, tmp_path: Path) -> None:
        line = Line.of("l1", "s1", [word(1, "{\\fs5}la\\N{", 500, 1000, "")])
        picture = frame(song(line), tmp_path, 0.2)
        rows = np.flatnonzero((picture.min(axis=2) > 230).any(axis=1))
        assert rows[-1] - rows[0] < 70  # one row of type, 54 px
        left, right = columns(picture, "white")
        assert right - left > 250
