"""Songs to film, and films taken apart again by FFmpeg."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import numpy as np
from numpy.typing import NDArray

from processors.audio.encoding import write_flac
from processors.audio.samples import Audio
from processors.runtime.testing import StageEnvironment
from schemas.documents.karaoke import Karaoke, KaraokeDocument, Line, Quality, Word
from schemas.documents.lyrics import Singer
from schemas.events import Artifact, Video, VideoRequested, Work
from schemas.work import find
from tests.songs import Song

Frames = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Timed:
    """A word and when it is sung."""

    text: str
    start_ms: int
    end_ms: int


def karaoke_of(
    lines: Sequence[Sequence[Timed]], duration_ms: int, singers: Sequence[str] = ()
) -> KaraokeDocument:
    """A published karaoke of these words; ``singers`` has a name a line."""
    made, number = [], 0
    for index, line in enumerate(lines):
        words = []
        for timed in line:
            number += 1
            words.append(
                Word(
                    id=f"w{number}",
                    text=timed.text,
                    sep="" if timed is line[-1] else " ",
                    start_ms=timed.start_ms,
                    end_ms=timed.end_ms,
                    confidence=0.9,
                    src="aligned",
                )
            )
        made.append(Line.of(f"l{index}", singers[index] if singers else "s1", words))
    content = Karaoke(
        language="en",
        duration_ms=duration_ms,
        singers=tuple(Singer(id=name, name="") for name in dict.fromkeys(singers or ["s1"])),
        lines=tuple(made),
        qc=Quality(score=0.9, flags=()),
    )
    return KaraokeDocument.stamp(content, track_id="trk_1", version=1, parent=None)


def of_song(song: Song) -> KaraokeDocument:
    """The song's own truth as its published karaoke."""
    lines = [[Timed(w.text, w.start_ms, w.end_ms) for w in line] for line in song.lines]
    return karaoke_of(lines, round(1000 * song.mix.seconds), song.singers)


def request(
    env: StageEnvironment,
    folder: Path,
    karaoke: KaraokeDocument,
    minus: Audio,
    voice: Audio | None = None,
    cover: Artifact | None = None,
    *,
    title: str = "",
    artist: str = "",
    **wanted: Any,
) -> VideoRequested:
    """What asks for a small film of these."""
    artifacts = [env.put("karaoke", karaoke.to_json(), "application/json")]
    for name, sound in (("minus", minus), ("vocals", voice)):
        if sound is not None:
            write_flac(folder / f"{name}.flac", sound)
            artifacts.append(env.put(name, folder / f"{name}.flac", "audio/flac"))
    if cover is not None:
        artifacts.append(cover)
        wanted["cover_asset_id"] = "ast_1"
    return VideoRequested(
        work=Work(
            job_id="vid_1",
            track_id="trk_1",
            from_stage="video",
            title=title,
            artist=artist,
            duration_ms=karaoke.duration_ms,
            artifacts=tuple(artifacts),
        ),
        video=Video(**{"width": 640, "height": 360, "fps": 25} | wanted),
    )


def filmed(env: StageEnvironment, work: Work, folder: Path) -> Path:
    """The MP4 of a work as a file."""
    artifact = find(work, "video")
    assert artifact is not None
    assert artifact.media_type == "video/mp4"
    env.store.fetch(artifact.uri, folder / "film.mp4")
    return folder / "film.mp4"


def frames(film: Path, crop: str = "", *, at_s: float | None = None) -> Frames:
    """Its pictures (frames, rows, columns, RGB), cut to ``crop`` (w:h:x:y); one with ``at_s``."""
    seek = [] if at_s is None else ["-ss", f"{at_s:.3f}"]
    one = [] if at_s is None else ["-frames:v", "1"]
    cut = ["-vf", f"crop={crop}"] if crop else []
    raw = _ffmpeg(
        *seek, "-i", str(film), *one, *cut, "-f", "image2pipe", "-c:v", "ppm", "-pix_fmt", "rgb24",
        "pipe:1",
    )  # fmt: skip
    head = re.match(rb"P6\n(\d+) (\d+)\n255\n", raw)
    assert head is not None, "no picture"
    width, height = int(head[1]), int(head[2])
    size = len(head[0]) + 3 * width * height
    assert len(raw) % size == 0
    pictures = np.frombuffer(raw, np.uint8).reshape(-1, size)[:, len(head[0]) :]
    return pictures.reshape(-1, height, width, 3)


def heard(film: Path, rate: int) -> NDArray[np.float32]:
    """Its sound as (channels, samples), stereo."""
    raw = _ffmpeg(
        "-i", str(film), "-map", "0:a:0", "-ac", "2", "-ar", str(rate), "-f", "f32le", "-"
    )
    return np.frombuffer(raw, "<f4").reshape(-1, 2).T


def said(film: Path) -> str:
    """What FFmpeg says of the file."""
    return subprocess.run(
        [imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-hide_banner", "-i", str(film)],
        capture_output=True,
        check=False,
    ).stderr.decode()


def amber(pictures: Frames) -> NDArray[np.int64]:
    """Pixels a frame in the colour of sung words (#ffc830)."""
    red, green, blue = (pictures[..., channel].astype(np.int16) for channel in range(3))
    lit = (red > 190) & (green > 130) & (green < 235) & (blue < 110)
    return _counted(lit)


def white(pictures: Frames) -> NDArray[np.int64]:
    """Pixels a frame in the colour of words that are still to come."""
    return _counted(pictures.min(axis=-1) > 200)


def _counted(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    counts: NDArray[np.int64] = mask.reshape(len(mask), -1).sum(axis=1, dtype=np.int64)
    return counts


def _ffmpeg(*arguments: str) -> bytes:
    done = subprocess.run(
        [imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-v", "error", *arguments],
        stdout=subprocess.PIPE,
        check=True,
        timeout=120,
    )
    return done.stdout
