"""Files to decode, made on the spot: good ones in every format, and bad ones from their bytes."""

from __future__ import annotations

import subprocess
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import soundfile

from processors.audio.samples import Audio


def tone(seconds: float, rate: int = 44_100, channels: int = 2) -> Audio:
    """A sine per channel, 440 Hz and up, at half of full scale."""
    time = np.arange(round(seconds * rate)) / rate
    hertz = 440.0 * (1 + np.arange(channels))[:, None]
    return Audio((0.5 * np.sin(2 * np.pi * hertz * time)).astype(np.float32), rate)


def pcm(path: Path, audio: Audio, subtype: str = "PCM_16", form: str | None = None) -> Path:
    """Written by libsndfile; the format follows the name unless given."""
    soundfile.write(path, audio.samples.T, audio.rate, subtype=subtype, format=form)
    return path


def coded(path: Path, audio: Audio, *codec: str) -> Path:
    """Written by FFmpeg with the given codec options; the container follows the name."""
    arguments = ("-f", "f32le", "-ar", str(audio.rate), "-ac", str(audio.channels), "-i", "pipe:0")
    ffmpeg = (imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y")
    sound = np.ascontiguousarray(audio.samples.T).tobytes()
    subprocess.run([*ffmpeg, *arguments, *codec, str(path)], input=sound, check=True, timeout=60)
    return path


def cut(path: Path, share: float) -> Path:
    """The same file without its end."""
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path
