"""The Java that a server runs on, found where people have it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.stack.errors import MissingTool

# Debian and Fedora; macOS; sdkman.
_KNOWN = (
    ("/usr/lib/jvm", "*/bin/java"),
    ("/Library/Java/JavaVirtualMachines", "*/Contents/Home/bin/java"),
    ("~/.sdkman/candidates/java", "*/bin/java"),
)
_RELEASE = re.compile(r'^JAVA_VERSION="([^"]+)"', re.MULTILINE)
_SPOKEN = re.compile(r'version "([^"]+)"')


@dataclass(frozen=True)
class Java:
    """A Java runtime: its home folder and its major version."""

    home: Path
    major: int

    @property
    def binary(self) -> Path:
        return self.home / "bin" / "java"


def installed() -> list[Java]:
    """Every Java on this machine, each once, ``JAVA_HOME`` and the one on ``PATH`` first."""
    binaries: list[Path] = []
    if home := os.environ.get("JAVA_HOME"):
        binaries.append(Path(home) / "bin" / "java")
    if on_path := shutil.which("java"):
        binaries.append(Path(on_path))
    for root, pattern in _KNOWN:
        binaries += sorted(Path(root).expanduser().glob(pattern))
    homes = dict.fromkeys(b.resolve().parents[1] for b in binaries if os.access(b, os.X_OK))
    return [Java(home, major) for home in homes if (major := _major(home)) is not None]


def choose(found: Sequence[Java], *, oldest: int, newest: int, server: str) -> Java:
    """The lowest suitable major, because servers are tried on old releases longest.

    Raises:
        MissingTool: none is suitable; says what to install.
    """
    suitable = [java for java in found if oldest <= java.major <= newest]
    if suitable:
        return min(suitable, key=lambda java: java.major)
    needed = f"Java {oldest}" if oldest == newest else f"Java {oldest} to {newest}"
    raise MissingTool(
        f"{server} runs on {needed} ({_seen(found)}); install it, e.g. "
        f"`apt-get install openjdk-{oldest}-jre-headless` or `brew install openjdk@{oldest}`, "
        "or point JAVA_HOME at it"
    )


def major_of(version: str) -> int | None:
    """17 of ``17.0.15``, 8 of ``1.8.0_392``, 25 of ``25-ea``."""
    numbers = re.match(r"(?:1\.)?(\d+)", version)
    return None if numbers is None else int(numbers[1])


def _seen(found: Iterable[Java]) -> str:
    majors = sorted({java.major for java in found})
    return "found " + ", ".join(map(str, majors)) if majors else "no Java was found"


def _major(home: Path) -> int | None:
    try:
        spoken = _RELEASE.search((home / "release").read_text("utf-8"))
    except OSError:  # not every distribution ships the file
        said = subprocess.run(
            [home / "bin" / "java", "-version"], capture_output=True, text=True, check=False
        )
        spoken = _SPOKEN.search(said.stderr)
    return None if spoken is None else major_of(spoken[1])
