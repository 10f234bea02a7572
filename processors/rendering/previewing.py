"""MP3 for ears: the preview, and the pair that compares before and after at equal loudness.

FFmpeg's LAME does it, as a process; it writes the gapless header, so that the decoded length is
that of the song to the sample.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path

from processors.audio import ffmpeg

KBPS = 256
"""Transparent for most ears and music in listening tests of LAME 3.100 (hydrogenaudio wiki)."""

_MP3_RATES = (32_000, 44_100, 48_000)  # MPEG-1 layer 3; lower ones are half-rate MPEG-2
_TAGS = {
    "title": "title",
    "artist": "artist",
    "album": "album",
    "date": "date",
    "genre": "genre",
    "tracknumber": "track",
    "isrc": "TSRC",
    "composer": "composer",
    "copyright": "copyright",
    "albumartist": "album_artist",
}


def write_preview(
    source: Path,
    format_name: str,
    target: Path,
    *,
    seconds: float,
    rate: int,
    channels: int,
    gain_db: float = 0.0,
    tags: Mapping[str, str] | None = None,
) -> None:
    """Encode a sound file as MP3, ``gain_db`` louder. Raises `ffmpeg.FfmpegFailed`."""
    metadata = [
        f"{key}={tags[name]}" for name, key in _TAGS.items() if tags is not None and tags.get(name)
    ]
    arguments = [
        *("-v", "error", "-protocol_whitelist", "file,pipe"),
        *("-f", ffmpeg.DEMUXERS[format_name], "-i", f"file:{source.absolute()}"),
        *("-map", "0:a:0", "-map_metadata", "-1"),
        *(part for pair in metadata for part in ("-metadata", pair)),
        *("-af", f"volume={gain_db:.4f}dB:precision=float", "-ac", str(channels)),
        *("-ar", str(rate if rate in _MP3_RATES else 44_100 if rate % 44_100 == 0 else 48_000)),
        *("-c:a", "libmp3lame", "-b:a", f"{KBPS}k", "-bitexact"),
        *("-f", "mp3", "-y", f"file:{target.absolute()}"),
    ]
    _run(arguments, seconds, file_bytes=int(seconds * KBPS * 125 * 1.1) + (1 << 20))


def write_decoded(source: Path, target: Path, *, seconds: float) -> None:
    """An MP3 as the floating-point WAV that a player would hear. Raises `ffmpeg.FfmpegFailed`."""
    arguments = [
        *("-v", "error", "-protocol_whitelist", "file,pipe"),
        *("-f", "mp3", "-i", f"file:{source.absolute()}"),
        *("-map", "0:a:0", "-map_metadata", "-1", "-bitexact", "-c:a", "pcm_f32le"),
        *("-f", "wav", "-y", f"file:{target.absolute()}"),
    ]
    _run(arguments, seconds, file_bytes=int((seconds + 1) * 48_000 * 2 * 4) + (1 << 20))


def _run(arguments: list[str], seconds: float, *, file_bytes: int) -> None:
    with ffmpeg.running(
        arguments,
        seconds=seconds,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        file_bytes=file_bytes,
    ) as (process, log):
        if process.wait() != 0:
            raise ffmpeg.FfmpegFailed(ffmpeg.said(log))
