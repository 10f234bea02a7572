"""From samples to files that appear whole or not at all."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import numpy as np
import soundfile
import soxr

from processors.audio import ffmpeg
from processors.audio.samples import Audio

_BLOCK_FRAMES = 1 << 16
_MP3_RATES = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)


def shared_gain(*stems: Audio) -> float:
    """The gain, at most 1, at which none of the stems exceeds full scale.

    Given to every stem of a song it keeps their sum the mix; a gain for each would break it.
    """
    # Not by np.abs, which would copy each of them.
    ends = (end for s in stems for end in (s.samples.max(initial=0.0), -s.samples.min(initial=0.0)))
    peak = float(max(ends, default=0.0))
    # one 16-bit step of room, so that rounding can't reach past full scale
    ceiling = 1.0 - 2.0**-15
    return min(1.0, ceiling / peak) if peak > 0 else 1.0


def write_flac(path: Path, audio: Audio, *, bits: Literal[16, 24] = 16, gain: float = 1.0) -> None:
    """Write FLAC; what exceeds full scale after ``gain`` is clipped. Replaces ``path`` at once."""
    with (
        _appearing(path) as draft,
        soundfile.SoundFile(
            draft, "w", audio.rate, audio.channels, f"PCM_{bits}", format="FLAC"
        ) as file,
    ):
        for start in range(0, audio.frames, _BLOCK_FRAMES):
            block = audio.samples[:, start : start + _BLOCK_FRAMES].T * np.float32(gain)
            file.write(np.clip(block, -1.0, 1.0 - 2.0 ** (1 - bits)))


def write_mp3(path: Path, audio: Audio, *, kbps: int = 192, gain: float = 1.0) -> None:
    """Write MP3 for the player, sample-exact in length when read gaplessly.

    Rates that MP3 doesn't have are resampled to 44.1 kHz. Raises `ffmpeg.FfmpegFailed`.
    """
    samples, rate = audio.samples, audio.rate
    if rate not in _MP3_RATES:
        samples = soxr.resample(samples.T, rate, 44_100).T
        rate = 44_100
    seconds = samples.shape[1] / rate
    with _appearing(path) as draft:
        arguments = [
            *("-v", "error", "-protocol_whitelist", "file,pipe"),
            *("-f", "f32le", "-ar", str(rate), "-ac", str(audio.channels), "-i", "pipe:0"),
            *("-map_metadata", "-1", "-c:a", "libmp3lame", "-b:a", f"{kbps}k"),
            *("-f", "mp3", "-y", f"file:{draft.absolute()}"),
        ]
        with ffmpeg.running(
            arguments,
            seconds=seconds,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            file_bytes=int(seconds * kbps * 125 * 1.1) + (1 << 20),
        ) as (process, log):
            assert process.stdin is not None
            try:
                for start in range(0, samples.shape[1], _BLOCK_FRAMES):
                    block = samples[:, start : start + _BLOCK_FRAMES].T * np.float32(gain)
                    process.stdin.write(np.clip(block, -1, 1).astype("<f4").tobytes())
                process.stdin.close()
            except BrokenPipeError:
                pass  # its exit status says why
            if process.wait() != 0:
                raise ffmpeg.FfmpegFailed(ffmpeg.said(log))


@contextmanager
def _appearing(path: Path) -> Iterator[Path]:
    """A draft beside ``path`` that takes its place when the block ends without an error."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    os.close(handle)
    draft = Path(name)
    try:
        yield draft
        with draft.open("rb") as file:
            os.fsync(file.fileno())
        draft.chmod(0o644)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
