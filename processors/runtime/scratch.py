"""Scratch folders of tries, and those that a killed process left behind."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from pathlib import Path

from topics import logs

_LOCK = "lock"

_log = logs.get(__name__)


class Scratch:
    """This process's folder under ``root``; the kernel's lock on it says that it lives."""

    def __init__(self, root: Path) -> None:
        root.mkdir(parents=True, exist_ok=True)
        self._root = root
        self._sweep()
        self._folder = Path(tempfile.mkdtemp(prefix="worker-", dir=root))
        self._lock = os.open(self._folder / _LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)

    def make(self, name: str) -> Path:
        """A new, empty folder."""
        return Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self._folder))

    def remove(self, folder: Path) -> None:
        """Remove a folder and everything in it."""
        shutil.rmtree(folder, ignore_errors=True)

    def close(self) -> None:
        """Remove everything of this process."""
        os.close(self._lock)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _sweep(self) -> None:
        for folder in self._root.glob("worker-*"):
            # Without a lock file yet, its process is just about to make one.
            with contextlib.suppress(OSError):
                lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CLOEXEC)
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(folder, ignore_errors=True)
                    _log.info("scratch files of a dead worker were removed")
                finally:
                    os.close(lock)
