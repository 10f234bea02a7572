"""Folders on disks of their own that can be filled, and the servers that run on them.

A tmpfs in a mount namespace of a user of its own: no right is needed, nothing of it is seen
outside, and it is gone with the last process in it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.e2e.product import MELISMA, environment

_BLOCK = bytes(1 << 16)

_HOLD = """
set -e
while [ $# -gt 0 ]; do mount -t tmpfs -o "size=$2" tmpfs "$1"; shift 2; done
echo mounted
exec cat
"""


def lacking() -> str:
    """Why such disks cannot be made here; empty when they can."""
    if not all(map(shutil.which, ("unshare", "nsenter", "mount"))):
        return "unshare, nsenter and mount are needed (util-linux)"
    command = ["unshare", "--user", "--map-root-user", "--mount"]
    mount = ["mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    done = subprocess.run([*command, *mount], capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else f"no user namespaces: {done.stderr.strip()}"


class Disks:
    """Small disks, mounted over folders. Close them once what runs on them has ended."""

    def __init__(self, sizes: Mapping[Path, int]) -> None:
        """``sizes``: bytes of each folder's disk."""
        words: list[str] = []
        for folder, size in sizes.items():
            folder.mkdir(parents=True, exist_ok=True)
            words += [str(folder), str(size)]
        # It ends with its standard input, and so with the tests.
        self._holder = subprocess.Popen(
            ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", _HOLD, "sh", *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._holder.stdout is not None
        assert self._holder.stdout.readline() == "mounted\n", "the disks could not be mounted"

    def run(self, command: Sequence[str], folder: Path) -> None:
        """Run a command that sees the disks, to its end."""
        inside = ["nsenter", "--target", str(self._holder.pid), "--user", "--mount"]
        done = subprocess.run(
            [*inside, "--preserve-credentials", "--", *command],
            cwd=folder,
            env=environment(folder),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def fill(self, folder: Path) -> int:
        """Leave no byte free; how many were."""
        written = 0
        with self._ballast(folder).open("wb", buffering=0) as file, suppress(OSError):
            while True:
                written += file.write(_BLOCK)
        assert self.left(folder) == 0
        return written

    def free(self, folder: Path) -> None:
        """Give the room back."""
        self._ballast(folder).unlink()

    def left(self, folder: Path) -> int:
        """Free bytes."""
        status = os.statvfs(self._inside(folder))
        return status.f_bavail * status.f_frsize

    def _inside(self, folder: Path) -> Path:
        return Path(f"/proc/{self._holder.pid}/root") / folder.relative_to("/")

    def _ballast(self, folder: Path) -> Path:
        return self._inside(folder) / ".ballast"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._holder.communicate(timeout=20)


def up(disks: Disks, data: Path, services: Sequence[str]) -> None:
    """`melisma stack up` on the disks: starts what does not run."""
    data.mkdir(parents=True, exist_ok=True)
    words = ["stack", "up", "--data", str(data), "--only", ",".join(services)]
    disks.run([str(MELISMA), *words], data)
