"""Who is alive beside this log, told by the kernel instead of by heartbeats.

Every process that joins groups holds a POSIX record lock on one byte of ``<log>-live``, the byte
of its process id in the log. The kernel drops the lock at the moment the process ends, however it
ends: nothing is written at idle, a pid that is used again misleads nobody, a zombie counts as
dead, and two containers that share the file see each other. (A pid and its start time can do none
of the last three.) The locks are not inherited by fork, and exec closes the descriptor.

Byte 0 is the write lock of the log. SQLite has a lock of its own, but releases before 3.51.3 can
damage a WAL that two connections write and checkpoint at the same instant (sqlite.org/wal.html,
"The WAL-reset bug"), so that writers of several processes queue here first.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

WRITE_LOCK: Final = 0  # the byte

_FIRST_WAIT_S = 0.0002  # a small commit takes about 1 ms on an SSD
_LONGEST_WAIT_S = 0.01


class Presence:
    """This process's bytes in the presence file. One object a process and log: POSIX locks of a
    file are lost when *any* descriptor of it is closed."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        self._held: set[int] = set()

    def hold(self, process_id: int) -> bool:
        """Show that this process lives, until it ends or `close`; False where the byte is taken."""
        # Noted first: another thread may ask before this one has seen its own lock.
        self._held.add(process_id)
        if not self._try(process_id):
            self._held.discard(process_id)
        return process_id in self._held

    def alive(self, process_id: int) -> bool:
        """Whether a process holds this byte."""
        # The kernel grants a process its own lock once more, and one unlock then ends both.
        if process_id in self._held or not self._try(process_id):
            return True
        fcntl.lockf(self._fd, fcntl.LOCK_UN, 1, process_id)
        return False

    @contextmanager
    def writing(self, timeout_s: float) -> Iterator[None]:
        """Hold the write lock against other processes. Raises `TimeoutError`."""
        deadline = time.monotonic() + timeout_s
        wait_s = _FIRST_WAIT_S
        while not self._try(WRITE_LOCK):
            if time.monotonic() > deadline:
                raise TimeoutError
            time.sleep(wait_s)
            wait_s = min(wait_s * 2, _LONGEST_WAIT_S)
        try:
            yield
        finally:
            fcntl.lockf(self._fd, fcntl.LOCK_UN, 1, WRITE_LOCK)

    def _try(self, byte: int) -> bool:
        try:
            fcntl.lockf(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, byte)
        except (BlockingIOError, PermissionError):
            return False
        return True

    def close(self) -> None:
        """Let go of every byte."""
        os.close(self._fd)
