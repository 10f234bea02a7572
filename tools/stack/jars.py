"""The servers' jars: fetched by Maven once, kept in a folder of the user's cache."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tools.stack.coordinates import Coordinates
from tools.stack.errors import MissingTool, StackError
from tools.stack.java import Java

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def cache_dir() -> Path:
    """Where jars are kept: ``$XDG_CACHE_HOME/melisma/stack``, ``~/.cache`` without it."""
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "melisma" / "stack"


def is_fetched(coordinates: Coordinates, cache: Path) -> bool:
    """Whether the jars lie in the cache; a folder appears there only when it is whole."""
    return (cache / coordinates.folder).is_dir()


def require_maven() -> Path:
    """The ``mvn`` command.

    Raises:
        MissingTool: it is not on this machine.
    """
    found = shutil.which("mvn")
    if found is None:
        raise MissingTool(
            "Maven fetches the servers, and there is no `mvn` on PATH; install it, e.g. "
            "`apt-get install maven` or `brew install maven`"
        )
    return Path(found)


def fetch(coordinates: Coordinates, *, pom: Path, java: Java, cache: Path) -> Path:
    """The folder with the jars of ``coordinates``, filled by Maven when it isn't there yet.

    Raises:
        MissingTool: Maven is needed and missing.
        StackError: Maven could not fetch; its own words are in the message.
    """
    folder = cache / coordinates.folder
    if is_fetched(coordinates, cache):
        return folder
    maven = require_maven()
    cache.mkdir(parents=True, exist_ok=True)
    # Maven 3's local repository does not bear two writers; neither does this folder.
    with _alone(cache / "fetch.lock"):
        if folder.is_dir():
            return folder
        draft = Path(tempfile.mkdtemp(prefix=f"{coordinates.service}-", dir=cache))
        try:
            _copy(maven, coordinates.service, draft, pom=pom, java=java, name=str(coordinates))
            for archive in draft.glob("*.tar.gz"):
                with tarfile.open(archive) as packed:
                    packed.extractall(draft, filter="data")
                archive.unlink()
            draft.rename(folder)
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)
            raise
    return folder


def _copy(maven: Path, profile: str, into: Path, *, pom: Path, java: Java, name: str) -> None:
    command = [
        *(str(maven), "-B", "-q", "-f", str(pom), "-P", profile),
        *("dependency:copy-dependencies", "-DincludeScope=runtime"),
        f"-DoutputDirectory={into}",
    ]
    done = subprocess.run(
        command,
        env={**os.environ, "JAVA_HOME": str(java.home)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise StackError(f"Maven could not fetch {name}: {complaint(done.stdout + done.stderr)}")


def complaint(output: str) -> str:
    """The first thing that Maven called an error, in one line."""
    lines = [_COLOUR.sub("", line).strip() for line in output.splitlines()]
    errors = [line.removeprefix("[ERROR]").strip() for line in lines if "[ERROR]" in line]
    return next(filter(None, [*errors, *lines]), "it said nothing")


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    with path.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield
