"""What a file's header promises, checked against the bytes that are there.

libsndfile reads a cut file without a complaint and FFmpeg with a log line; comparing the header
with the file is how a truncated upload is told from a short song.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from topics.sniffing import HEAD_BYTES, SoundFormat, id3_bytes, mpeg_frame_bytes

_UNKNOWN_SIZES = (0xFFFFFFFF, 0x7FFFFFFF)  # written by recorders and pipes that can't seek back
_MOST_CHUNKS = 1_000


@dataclass(frozen=True, slots=True)
class Promise:
    """Bytes of sound (or of the whole stream) that the header states and that the file has."""

    stated: int
    present: int

    @property
    def kept(self) -> bool:
        """Whether everything is there; a missing padding byte is not worth a refusal."""
        return self.present + 1 >= self.stated


def promise(path: Path, sound: SoundFormat) -> Promise | None:
    """The header's promise, or None when the format or this file makes none."""
    with path.open("rb") as file:
        if sound.name == "wav":
            return _wav(file)
        if sound.name in ("aiff", "aifc"):
            return _aiff(file)
        if sound.name == "mp3":
            return _mp3(file)
    return None


def _size(file: IO[bytes]) -> int:
    here = file.tell()
    end = file.seek(0, 2)
    file.seek(here)
    return end


def _chunks(file: IO[bytes], order: str) -> Iterator[tuple[bytes, int, int]]:
    """(name, stated size, position) of the chunks of a RIFF or IFF file."""
    end = _size(file)
    position = 12
    for _ in range(_MOST_CHUNKS):
        file.seek(position)
        head = file.read(8)
        if len(head) < 8:
            return
        name, size = struct.unpack(f"{order}4sI", head)
        yield name, size, position + 8
        position += 8 + size + size % 2
        if position >= end:
            return


def _wav(file: IO[bytes]) -> Promise | None:
    for name, size, position in _chunks(file, "<"):
        if name == b"data":
            if size in _UNKNOWN_SIZES:
                return None
            return Promise(size, _size(file) - position)
    return Promise(0, 0)


def _aiff(file: IO[bytes]) -> Promise | None:
    for name, size, position in _chunks(file, ">"):
        if name == b"SSND":
            # offset and block size (8 bytes) stand before the samples
            return Promise(max(0, size - 8), max(0, _size(file) - position - 8))
    return Promise(0, 0)


def _mp3(file: IO[bytes]) -> Promise | None:
    """The byte count of a Xing or Info header, which most encoders write."""
    start = id3_bytes(file.read(10))
    file.seek(start)
    head = file.read(HEAD_BYTES)
    padding = len(head) - len(head.lstrip(b"\0"))
    frame = head[padding:]
    if not mpeg_frame_bytes(frame[:4]):
        return None
    version, mode = (frame[1] >> 3) & 3, frame[3] >> 6
    side = (17 if mode == 3 else 32) if version == 3 else (9 if mode == 3 else 17)
    tag = frame[4 + side :]
    if tag[:4] not in (b"Xing", b"Info") or len(tag) < 16:
        return None
    flags = int.from_bytes(tag[4:8], "big")
    if not flags & 2:
        return None
    at = 8 + (4 if flags & 1 else 0)
    stated = int.from_bytes(tag[at : at + 4], "big")
    return Promise(stated, _size(file) - start - padding)
