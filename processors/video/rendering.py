"""Pictures, words and sound into one MP4, by FFmpeg as a process of its own.

Whatever a client wrote (lyrics, titles, names of files) stays out of FFmpeg's filter language: it
works in a folder of its own, on files whose names are fixed here. Metadata is passed as one
argument each, which nothing parses.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

from processors.audio import ffmpeg

SCRIPT = "karaoke.ass"
FONTS = "fonts"
BACKGROUND = "background"
MINUS = "minus.flac"
VOCALS = "vocals.flac"
VIDEO = "video.mp4"
"""Names in the folder of a rendering."""

GUIDE_GAIN = 0.25
"""Of guide vocals: 12 dB below the singer. Backing + vocals is the mix, which does not clip; so
neither does backing + a part of the vocals, which lies between the two."""

_CRF = 20  # x264: visually transparent on flat pictures with sharp letters
_PRESET = "veryfast"  # twice the speed of the default, 15 % larger here
_AUDIO_KBPS = 192
_AAC_RATES = (32_000, 44_100, 48_000)  # what every player has; others are resampled to 48 kHz
_COVER_PIXELS = 50_000_000  # a larger picture is refused before it is unpacked
_DIM = 0.5  # a cover is darkened so far that white letters stay readable on a white one
_MOST_THREADS = 4  # x264 gains little from more at these sizes
_SLOWEST = 10.0  # x real time; the stage's own limit comes first
_MOST_BYTES_A_SECOND = 3_000_000  # noise at 1080p takes about a quarter of it

_FONTCONFIG = """<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
  <dir>{folder}/fonts</dir>
  <cachedir>{folder}/cache</cachedir>
</fontconfig>
"""
_CONFIG = "fonts.conf"

Progress = Callable[[float], None]
"""Is told the share of the song that is rendered, 0 to 1."""


@dataclass(frozen=True, slots=True)
class Picture:
    """Size in pixels, pictures a second, and the demuxer of the background."""

    width: int
    height: int
    fps: int
    background: str = "ppm_pipe"
    dim: bool = False


def render(
    folder: Path,
    picture: Picture,
    *,
    seconds: float,
    rate: int,
    guide: bool,
    title: str,
    artist: str,
    progress: Progress,
) -> Path:
    """Render the scene that lies in ``folder`` under the names above; the MP4, as long as the
    backing track (``seconds``, sampled at ``rate``).

    Raises `ffmpeg.FfmpegFailed`.
    """
    own = _FONTCONFIG.format(folder=escape(str(folder.absolute())))
    (folder / _CONFIG).write_text(own, "utf-8")
    sound = [MINUS, VOCALS] if guide else [MINUS]
    arguments = [
        *("-v", "error", "-progress", "pipe:1", "-nostats", "-stats_period", "0.25"),
        *("-protocol_whitelist", "file,pipe", "-max_pixels", str(_COVER_PIXELS)),
        *("-f", picture.background, "-i", f"file:{BACKGROUND}"),
        *(part for name in sound for part in _input(name)),
        *("-filter_complex", f"{_seen(picture)};{_heard(guide)}", "-filter_complex_threads", "1"),
        *("-map", "[seen]", "-map", "[heard]", "-t", f"{seconds:.6f}"),
        *("-c:v", "libx264", "-preset", _PRESET, "-crf", str(_CRF), "-g", str(4 * picture.fps)),
        *("-threads", str(min(_MOST_THREADS, len(os.sched_getaffinity(0))))),
        *("-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709"),
        *("-c:a", "aac", "-b:a", f"{_AUDIO_KBPS}k"),
        *("-ar", str(rate if rate in _AAC_RATES else 48_000)),
        *("-map_metadata", "-1", "-metadata", f"title={title}", "-metadata", f"artist={artist}"),
        *("-fflags", "+bitexact", "-movflags", "+faststart"),
        *("-f", "mp4", "-y", f"file:{VIDEO}"),
    ]
    with ffmpeg.running(
        arguments,
        seconds=_SLOWEST * seconds,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        file_bytes=int(seconds * _MOST_BYTES_A_SECOND) + (16 << 20),
        folder=folder,
        environment={"FONTCONFIG_FILE": str(folder.absolute() / _CONFIG)},
    ) as (process, log):
        assert process.stdout is not None
        for line in process.stdout:
            name, _, value = line.decode("ascii", "replace").strip().partition("=")
            if name == "out_time_us" and value.isdecimal():
                progress(min(1.0, int(value) / 1e6 / seconds))
        if process.wait() != 0:
            raise ffmpeg.FfmpegFailed(ffmpeg.said(log))
    return folder / VIDEO


def _input(name: str) -> Sequence[str]:
    return ("-protocol_whitelist", "file,pipe", "-f", "flac", "-i", f"file:{name}")


def _seen(picture: Picture) -> str:
    """The one picture behind everything, made once, then repeated and written on."""
    size = f"{picture.width}:{picture.height}"
    darker = f"colorlevels=romax={_DIM}:gomax={_DIM}:bomax={_DIM}"
    steps = [
        "[0:v]trim=end_frame=1,format=rgb24",
        f"scale={size}:force_original_aspect_ratio=increase,crop={size}",
        *([darker] if picture.dim else []),
        "scale=out_color_matrix=bt709:out_range=tv,format=yuv420p",
        "setsar=1,setparams=color_primaries=bt709:color_trc=bt709",
        "loop=loop=-1:size=1",
        f"settb=1/{picture.fps},setpts=N,fps={picture.fps}",
        f"ass=filename={SCRIPT}:fontsdir={FONTS}[seen]",
    ]
    return ",".join(steps)


def _heard(guide: bool) -> str:
    if not guide:
        return "[1:a]anull[heard]"
    weights = f"1 {GUIDE_GAIN}"
    return f"[1:a][2:a]amix=inputs=2:duration=first:normalize=0:weights='{weights}'[heard]"
