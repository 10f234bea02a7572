"""Who is at work in the extractors' process, on a page of memory that it shares with its watcher.

An extractor begins and stops some two hundred times a file. A line of the conversation for each
would wake the watcher each time, which took a tenth of an item's processor time; the page is
written without a system call and looked at a few times a second.

What is on it is data from a process that runs others' code: it is taken whole or not at all.
"""

from __future__ import annotations

import mmap
import os
import struct
import tempfile
import zlib
from dataclasses import dataclass
from typing import Self

_SIZE = mmap.PAGESIZE
_CHECK = struct.Struct("<I")
_HEAD = struct.Struct("<QddH")  # turn, spent_s, cost_s, bytes of the name
_LONGEST_NAME = 512  # bytes; names of extractors have at most 200 characters
_LOOKS = 100  # at a page that is being written; that takes a microsecond


@dataclass(frozen=True, slots=True)
class Turn:
    """One extractor's turn; the name is empty when nobody is at work."""

    number: int = 0
    name: str = ""
    spent_s: float = 0.0
    """What it was at work before on this file."""
    cost_s: float = 0.0
    """What it said that it takes."""


class Notice:
    """The page; one process writes, another reads."""

    def __init__(self, fd: int) -> None:
        self._page = mmap.mmap(fd, _SIZE)
        self._number = 0
        self._seen = Turn()

    @classmethod
    def made(cls) -> tuple[Self, int]:
        """A new page and the descriptor that the other process opens it by, the caller's to close.

        Raises ``OSError``.
        """
        with tempfile.TemporaryFile() as file:
            file.truncate(_SIZE)
            made = cls(file.fileno())
            made.write("", 0.0, 0.0)
            return made, os.dup(file.fileno())

    def write(self, name: str, spent_s: float, cost_s: float) -> None:
        """Another turn begins."""
        self._number += 1
        said = name.encode()[:_LONGEST_NAME]
        body = _HEAD.pack(self._number, spent_s, cost_s, len(said)) + said
        self._page[: _CHECK.size + len(body)] = _CHECK.pack(zlib.crc32(body)) + body

    def read(self) -> Turn:
        """The turn that goes on; the one seen before where the page makes no sense."""
        for _ in range(_LOOKS):
            data = self._page[: _CHECK.size + _HEAD.size + _LONGEST_NAME]
            (check,) = _CHECK.unpack_from(data)
            number, spent_s, cost_s, length = _HEAD.unpack_from(data, _CHECK.size)
            body = data[_CHECK.size : _CHECK.size + _HEAD.size + length]
            if zlib.crc32(body) == check:
                name = body[_HEAD.size :].decode(errors="replace")
                self._seen = Turn(number, name, spent_s, cost_s)
                break
        return self._seen

    def close(self) -> None:
        """Let go of the page."""
        self._page.close()


class Memory:
    """What a process has of the machine's memory. It is asked a hundred times a file, so its file
    of ``/proc`` stays open: opening it takes eight times as long as reading it."""

    def __init__(self, pid: int) -> None:
        try:
            self._fd = os.open(f"/proc/{pid}/statm", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            self._fd = -1

    def resident(self) -> int:
        """In bytes (RSS); 0 when the process is gone, or where there is no ``/proc``."""
        try:
            return int(os.pread(self._fd, 256, 0).split()[1]) * mmap.PAGESIZE
        except (OSError, IndexError):
            return 0

    def close(self) -> None:
        """Let go of the file."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
