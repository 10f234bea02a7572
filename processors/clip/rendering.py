"""A song, a cover or a colour, its waveform and its title into one MP4, by FFmpeg as a process.

As with karaoke videos nothing that others wrote reaches FFmpeg's filter language: the title lies in
a file of its own, every name is fixed here.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

from processors.audio import ffmpeg

SOUND = "sound"
BACKGROUND = "background"
TITLE = "title.txt"
FONT = "font.ttf"
VIDEO = "clip.mp4"
"""Names in the folder of a rendering."""

WIDTH, HEIGHT, FPS = 1280, 720, 25
_WAVE_HEIGHT = 180
_MOST_BYTES_A_SECOND = 3_000_000
_SLOWEST = 10.0  # x real time
_COVER_PIXELS = 50_000_000  # a larger picture is refused before it is unpacked


def render(
    folder: Path,
    *,
    seconds: float,
    sound: str,
    background: str,
    dim: bool,
    title: str,
    progress: Callable[[float], None],
) -> Path:
    """Render the scene in ``folder``; ``sound`` and ``background`` are FFmpeg's demuxers.

    Raises `ffmpeg.FfmpegFailed`.
    """
    arguments = [
        *("-v", "error", "-progress", "pipe:1", "-nostats", "-stats_period", "0.5"),
        *("-protocol_whitelist", "file,pipe", "-max_pixels", str(_COVER_PIXELS)),
        *("-f", background, "-i", f"file:{BACKGROUND}"),
        *("-protocol_whitelist", "file,pipe", "-f", sound, "-i", f"file:{SOUND}"),
        *("-filter_complex", _picture(dim, bool(title)), "-filter_complex_threads", "1"),
        *("-map", "[seen]", "-map", "[heard]", "-t", f"{seconds:.3f}"),
        *("-c:v", "libx264", "-preset", "veryfast", "-crf", "23", "-g", str(4 * FPS)),
        *("-threads", "2", "-c:a", "aac", "-b:a", "192k", "-ar", "48000"),
        *("-map_metadata", "-1", "-metadata", f"title={title}"),
        *("-fflags", "+bitexact", "-movflags", "+faststart", "-f", "mp4", "-y", f"file:{VIDEO}"),
    ]
    with ffmpeg.running(
        arguments,
        seconds=_SLOWEST * seconds,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        file_bytes=int(seconds * _MOST_BYTES_A_SECOND) + (16 << 20),
        folder=folder,
    ) as (process, log):
        assert process.stdout is not None
        for line in process.stdout:
            name, _, value = line.decode("ascii", "replace").strip().partition("=")
            if name == "out_time_us" and value.isdecimal():
                progress(min(1.0, int(value) / 1e6 / seconds))
        if process.wait() != 0:
            raise ffmpeg.FfmpegFailed(ffmpeg.said(log))
    return folder / VIDEO


def _picture(dim: bool, titled: bool) -> str:
    size = f"{WIDTH}:{HEIGHT}"
    still = [
        "[0:v]trim=end_frame=1",
        f"scale={size}:force_original_aspect_ratio=increase",
        f"crop={size}",
        *(["drawbox=color=black@0.35:t=fill"] if dim else []),
        "format=yuv420p,setsar=1",
        "loop=loop=-1:size=1",
        f"settb=1/{FPS},setpts=N,fps={FPS}[still]",
    ]
    wave = (
        f"[1:a]asplit[heard][shown];[shown]showwaves=s={WIDTH}x{_WAVE_HEIGHT}:mode=cline"
        f":rate={FPS}:colors=white@0.8,format=rgba[wave]"
    )
    over = f"[still][wave]overlay=0:H-h-60:shortest=1[{'waved' if titled else 'seen'}]"
    words = (
        f";[waved]drawtext=textfile={TITLE}:fontfile={FONT}:expansion=none:fontsize=56"
        ":fontcolor=white:borderw=3:bordercolor=black@0.6:x=(w-text_w)/2:y=h*0.16[seen]"
    )
    return f"{','.join(still)};{wave};{over}{words if titled else ''}"
