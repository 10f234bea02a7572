"""FFmpeg as a process on a short leash: the formats that libsndfile doesn't read, and MP3.

A media file is hostile until proven otherwise. FFmpeg gets a demuxer that was chosen from the
magic bytes (so a playlist is never opened as one), the protocols ``file`` and ``pipe`` only, no
standard input to ask questions on, and limits on processor time, memory and files.
"""

from __future__ import annotations

import os
import resource
import struct
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import imageio_ffmpeg
import numpy as np

from processors.audio.samples import Samples

# what is passed to ``-f``; anything else is never opened by FFmpeg
DEMUXERS = {
    "wav": "wav",
    "rf64": "wav",
    "aiff": "aiff",
    "aifc": "aiff",
    "flac": "flac",
    "mp3": "mp3",
    "aac": "aac",
    "ogg": "ogg",
    "m4a": "mov",
    "mp4": "mov",
    "webm": "matroska",
    "matroska": "matroska",
    "caf": "caf",
    "wma": "asf",
}
_ADDRESS_SPACE = 4 << 30  # bytes; FFmpeg with one thread maps about 1 GB, most of it untouched
_PATIENCE_S = 60.0  # for starting and for reading the header on a busy machine
_LOG_BYTES = 1 << 20  # the only file that a decoder may grow
_LEASH = ("-nostdin", "-hide_banner", "-threads", "1")
_FRAMES_A_READ = 1 << 16


class FfmpegFailed(Exception):
    """FFmpeg ended with an error; ``log`` is what it said, for engineers only."""

    def __init__(self, log: str) -> None:
        super().__init__(log)
        self.log = log


@dataclass(frozen=True, slots=True)
class Wave:
    """Decoded sound on its way: what the WAV header says, and blocks ``(frames, channels)``."""

    rate: int
    channels: int
    blocks: Iterator[Samples]


def limited(pid: int, cpu_s: float, file_bytes: int) -> None:
    """Limit a started process from outside: code between fork and exec isn't thread-safe."""
    if not hasattr(resource, "prlimit"):  # pragma: no cover - Linux only
        return
    limits = (
        (resource.RLIMIT_CPU, int(cpu_s) + 1),
        (resource.RLIMIT_AS, _ADDRESS_SPACE),
        (resource.RLIMIT_FSIZE, file_bytes),
        (resource.RLIMIT_CORE, 0),
    )
    with suppress(ProcessLookupError):  # it is done already
        for limit, value in limits:
            resource.prlimit(pid, limit, (value, value))


@contextmanager
def running(
    arguments: Sequence[str],
    *,
    seconds: float,
    stdin: int,
    stdout: int,
    file_bytes: int = _LOG_BYTES,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Iterator[tuple[subprocess.Popen[bytes], IO[bytes]]]:
    """FFmpeg at work on ``seconds`` of sound, with the file its log goes to.

    ``folder`` is where relative names lie, ``environment`` what it is told besides the path.
    Killed when the block is left early or when it takes longer than the sound lasts.
    """
    allowed = _PATIENCE_S + seconds
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            [
                imageio_ffmpeg.get_ffmpeg_exe(),
                *_LEASH,
                *arguments,
            ],
            stdin=stdin,
            stdout=stdout,
            stderr=log,
            # no proxies, no presets from outside
            env={"PATH": os.defpath, "LC_ALL": "C", **(environment or {})},
            cwd=folder,
        )
        watchdog = threading.Timer(allowed, process.kill)
        watchdog.daemon = True
        watchdog.start()
        try:
            limited(process.pid, allowed, file_bytes)
            yield process, log
        finally:
            watchdog.cancel()
            process.kill()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    with suppress(BrokenPipeError):
                        pipe.close()
            process.wait()


def said(log: IO[bytes]) -> str:
    """What FFmpeg has written to its log so far."""
    log.seek(0)
    return log.read(_LOG_BYTES).decode("utf-8", "replace")


@contextmanager
def decoded(source: Path | int, format_name: str, seconds: float) -> Iterator[Wave]:
    """The first sound stream of a file or of a pipe's reading end, at most ``seconds`` of it.

    Raises `FfmpegFailed`, at the start or from ``blocks`` at the end.
    """
    arguments = [
        *("-v", "error", "-protocol_whitelist", "file,pipe"),
        *("-f", DEMUXERS[format_name], *_input(source)),
        *("-map", "0:a:0", "-t", f"{seconds:.3f}", "-map_metadata", "-1", "-bitexact"),
        *("-c:a", "pcm_f32le", "-f", "wav", "pipe:1"),
    ]
    stdin = source if isinstance(source, int) else subprocess.DEVNULL
    with running(arguments, seconds=seconds, stdin=stdin, stdout=subprocess.PIPE) as (process, log):
        assert process.stdout is not None
        header = _wave_header(process.stdout)
        if header is None:
            process.wait()
            raise FfmpegFailed(said(log))
        rate, channels = header
        yield Wave(rate, channels, _blocks(process, log, channels))


def _input(source: Path | int) -> tuple[str, ...]:
    if isinstance(source, int):
        # Else it reads 5 MB ahead before it decodes anything, and so much may be long in coming.
        return "-probesize", "32768", "-analyzeduration", "0", "-i", "pipe:0"
    return "-i", f"file:{source.absolute()}"


def _wave_header(pipe: IO[bytes]) -> tuple[int, int] | None:
    """Read up to the samples of a WAV stream: (rate, channels), None when nothing comes."""
    if pipe.read(12)[8:] != b"WAVE":
        return None
    found: tuple[int, int] | None = None
    while len(chunk := pipe.read(8)) == 8:
        name, size = chunk[:4], int.from_bytes(chunk[4:], "little")
        if name == b"data":
            return found
        body = pipe.read(size + size % 2)
        if name == b"fmt ":
            _, channels, rate = struct.unpack_from("<HHI", body)
            found = rate, channels
    return None


def _blocks(process: subprocess.Popen[bytes], log: IO[bytes], channels: int) -> Iterator[Samples]:
    assert process.stdout is not None
    size = 4 * channels
    while data := process.stdout.read(_FRAMES_A_READ * size):
        whole = len(data) // size * size
        yield np.frombuffer(data[:whole], dtype="<f4").reshape(-1, channels)
    if process.wait() != 0:
        raise FfmpegFailed(said(log))


def declared_seconds(path: Path, format_name: str) -> float | None:
    """The length that a container states, None when it states none or FFmpeg would guess."""
    arguments = [
        *("-v", "info", "-protocol_whitelist", "file,pipe"),
        *("-f", DEMUXERS[format_name], "-i", f"file:{path.absolute()}"),
    ]
    with running(arguments, seconds=0, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as (
        process,
        log,
    ):
        process.wait()
        lines = said(log)
    if "Estimating duration from bitrate" in lines:
        return None
    for line in lines.splitlines():
        label, _, value = line.strip().partition(": ")
        if label == "Duration" and not value.startswith("N/A"):
            hours, minutes, seconds = value.split(",")[0].split(":")
            return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    return None
