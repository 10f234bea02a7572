"""The song's file and the master's: blocks in, blocks out, the format kept.

WAV is written here and not by libsndfile, which stamps the time of day into floating-point
files: the same input has to give the same bytes.
"""

from __future__ import annotations

import os
import struct
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

import numpy as np
import soundfile

from processors.audio.mixdown import matrix
from processors.audio.undecodable import Undecodable
from processors.rendering.blocks import Block
from processors.rendering.dithering import Depth, pcm

_BLOCK_FRAMES = 1 << 15
_DEPTHS: dict[str, Depth] = {
    "PCM_S8": 16,
    "PCM_U8": 16,
    "PCM_16": 16,
    "PCM_24": 24,
    "PCM_32": 32,
    "FLOAT": 32,
    "DOUBLE": 32,
}
_LARGEST_RIFF = (1 << 32) - 1 - 1024  # bytes; a longer file becomes RF64 (EBU Tech 3306)


@dataclass(frozen=True, slots=True)
class SongFile:
    """A song to be read again and again, block by block. Surround is mixed down to stereo."""

    path: Path
    rate: int
    channels: int
    frames: int
    depth: Depth
    """Of a master that keeps the song's: 8 bits become 16, 32-bit integers floating point."""

    @classmethod
    def open(cls, path: Path) -> SongFile:
        """Read the header. Raises `Undecodable` when there is no sound behind it."""
        try:
            facts = soundfile.info(str(path))
        except soundfile.LibsndfileError:
            raise Undecodable(
                "not_audio", "The file can't be read as sound; upload WAV, AIFF or FLAC."
            ) from None
        if facts.frames == 0:
            raise Undecodable(
                "no_samples", "The file has a header but no sound in it; export it again."
            )
        depth = _DEPTHS.get(facts.subtype, 16)
        return cls(path, facts.samplerate, min(facts.channels, 2), facts.frames, depth)

    def blocks(self) -> Iterator[Block]:
        """``(channels, frames)`` from the start. Raises `Undecodable` for what is no number."""
        with soundfile.SoundFile(self.path) as file:
            gains = None if file.channels <= 2 else matrix(file.channels, 2).astype(np.float64)
            for read in file.blocks(_BLOCK_FRAMES, dtype="float64", always_2d=True):
                if not np.isfinite(read).all():
                    raise Undecodable(
                        "not_finite",
                        "The file holds samples that are not numbers (NaN or infinite), from a"
                        " broken export or plug-in; export the song again.",
                    )
                yield np.ascontiguousarray(read.T if gains is None else gains @ read.T)


class Sink(Protocol):
    """Where quantised blocks go."""

    def add(self, block: Block) -> None:
        """Append these frames."""
        ...


@contextmanager
def writing(path: Path, song: SongFile, depth: Depth) -> Iterator[Sink]:
    """A file as long as the song that appears at ``path`` once it is whole.

    ``.flac`` makes FLAC (24 bits where 32 were asked for), anything else WAV.
    """
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    draft = Path(name)
    try:
        if path.suffix.lower() == ".flac":
            os.close(handle)
            with soundfile.SoundFile(
                draft, "w", song.rate, song.channels, f"PCM_{min(depth, 24)}", format="FLAC"
            ) as file:
                yield _Flac(file)
        else:
            with os.fdopen(handle, "wb") as raw:
                raw.write(wave_header(song.rate, song.channels, song.frames, depth))
                yield _Wave(raw, depth)
                if song.frames * song.channels * depth // 8 % 2:
                    raw.write(b"\0")  # chunks have an even length
        with draft.open("rb") as whole:
            os.fsync(whole.fileno())
        draft.chmod(0o644)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def wave_header(rate: int, channels: int, frames: int, depth: Depth) -> bytes:
    """The head of a WAV file, up to its samples: PCM or IEEE float, RF64 beyond 4 GB."""
    frame_bytes = channels * depth // 8
    size = frames * frame_bytes
    kind = 3 if depth == 32 else 1
    form = struct.pack("<HHIIHH", kind, channels, rate, rate * frame_bytes, frame_bytes, depth)
    chunks = b"fmt " + struct.pack("<I", len(form)) + form
    if depth == 32:
        chunks += b"fact" + struct.pack("<II", 4, min(frames, 0xFFFFFFFF))
    whole = 4 + len(chunks) + 8 + size + size % 2
    if whole <= _LARGEST_RIFF:
        return (
            b"RIFF"
            + struct.pack("<I", whole)
            + b"WAVE"
            + chunks
            + b"data"
            + struct.pack("<I", size)
        )
    sizes = b"ds64" + struct.pack("<IQQQI", 28, whole + 36, size, frames, 0)
    unknown = struct.pack("<I", 0xFFFFFFFF)
    return b"RF64" + unknown + b"WAVE" + sizes + chunks + b"data" + unknown


class _Wave:
    def __init__(self, file: IO[bytes], depth: Depth) -> None:
        self._file, self._depth = file, depth

    def add(self, block: Block) -> None:
        self._file.write(pcm(block, self._depth))


class _Flac:
    def __init__(self, file: soundfile.SoundFile) -> None:
        self._file = file

    def add(self, block: Block) -> None:
        self._file.write(np.ascontiguousarray(block.T))
