"""What a server of the stack is: how it is configured, formatted, started and asked.

``kafka.py``, ``cassandra.py``, ``registry.py`` and ``s3.py`` are one each; ``stack.py`` runs them
without knowing which is which.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tools.stack.state import State, write_private


@dataclass(frozen=True)
class Place:
    """One process of a service in one stack."""

    service: str
    number: int
    """Counts from 1."""
    name: str
    """``kafka-2``; ``cassandra``, where there is one only."""
    folder: Path
    state: State
    settings: Mapping[str, str]
    """Of the server's own configuration file, over what is set here."""

    def port(self, purpose: str) -> int:
        return self.state.ports[self.name][purpose]

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def config(self) -> Path:
        return self.folder / "config"

    @property
    def log(self) -> Path:
        return self.folder / "server.log"

    @property
    def pid_file(self) -> Path:
        return self.folder / "pid.json"


@dataclass(frozen=True)
class Recovery:
    """What runs before a server that ended without leave may start again."""

    arguments: Sequence[str]
    """Java's."""
    done: str
    """What its log says when it has done its work; then it is stopped."""


class Service(Protocol):
    """A server that the stack can run."""

    @property
    def name(self) -> str: ...

    @property
    def title(self) -> str:
        """What people call it."""

    @property
    def java(self) -> tuple[int, int]:
        """The oldest and the newest major version of Java that it runs on."""

    @property
    def purposes(self) -> Sequence[str]:
        """What one process needs ports for; the first is the one that clients use."""

    def configure(self, place: Place) -> None:
        """Write the configuration files; called before every start."""

    def format_arguments(self, place: Place, jars: Path) -> Sequence[str] | None:
        """Java's arguments that make an empty data folder usable; None when nothing is to do."""

    def arguments(self, place: Place, jars: Path) -> Sequence[str]:
        """Java's arguments that start the server."""

    def recovery(self, place: Place, jars: Path) -> Recovery | None:
        """What has to run first after a crash; None when nothing has to."""

    def is_ready(self, place: Place) -> bool:
        """Whether it serves clients now."""

    def environment(self, places: Sequence[Place]) -> Mapping[str, str]:
        """The product's settings that name this service."""


def jvm(place: Place, *, heap_mb: int, quick_start: bool = False) -> list[str]:
    """Java's options that all servers share: a small heap, and every file under the place.

    The serial collector costs the least memory at these sizes. ``quick_start`` leaves out the
    optimising compiler: half the start, at the price of throughput.
    """
    scratch = place.folder / "tmp"
    scratch.mkdir(exist_ok=True)
    return [
        *(f"-Xms{heap_mb // 2}m", f"-Xmx{heap_mb}m", "-Xss512k", "-XX:+UseSerialGC"),
        *(["-XX:TieredStopAtLevel=1"] if quick_start else []),
        "-XX:+ExitOnOutOfMemoryError",
        "-XX:+PerfDisableSharedMem",  # else a file under /tmp for each process
        f"-XX:ErrorFile={place.folder}/crash-%p.log",
        f"-Djava.io.tmpdir={scratch}",
        "-Djava.awt.headless=true",
        "-Djava.net.preferIPv4Stack=true",
        "-Dfile.encoding=UTF-8",
    ]


def write_properties(path: Path, values: Mapping[str, object]) -> None:
    """A Java properties file, readable by its owner alone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = (f"{key}={_escaped(str(value))}\n" for key, value in values.items())
    write_private(path, "".join(lines))


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n")
