"""A stack whose servers are small Python programs, for all that does not need the real ones."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tools.stack import jars, java, probes
from tools.stack.service import Place, Recovery
from tools.stack.services import SERVICES
from tools.stack.stack import Stack

# Answers HTTP on the port of its first argument, and notes each start in its data folder.
SERVER = """
import http.server, pathlib, sys
port, data = int(sys.argv[1]), pathlib.Path(sys.argv[2])
with (data / 'starts').open('a') as starts: starts.write('x')
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self): self.send_response(204); self.end_headers()
http.server.ThreadingHTTPServer(('127.0.0.1', port), Answer).serve_forever()
"""


@dataclass
class Small:
    """A server of the service's name that runs on Python in place of Java."""

    name: str
    code: str = SERVER
    title: str = "A small server"
    java: tuple[int, int] = (17, 17)
    purposes: Sequence[str] = ("client", "other")
    recover: Recovery | None = None

    def configure(self, place: Place) -> None:
        place.config.mkdir(exist_ok=True)

    def format_arguments(self, place: Place, jars: Path) -> Sequence[str] | None:
        done = place.data / "formatted"
        return None if done.exists() else ["-c", f"open({str(done)!r}, 'x').close()"]

    def arguments(self, place: Place, jars: Path) -> Sequence[str]:
        return ["-c", self.code, str(place.port("client")), str(place.data)]

    def recovery(self, place: Place, jars: Path) -> Recovery | None:
        return self.recover

    def is_ready(self, place: Place) -> bool:
        return probes.http_status(place.port("client"), "/") == 204

    def environment(self, places: Sequence[Place]) -> Mapping[str, str]:
        return {self.name.upper(): ",".join(str(place.port("client")) for place in places)}


@pytest.fixture
def small_servers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every service is a small one, on Python under Java's name; nothing is fetched."""
    binary = tmp_path / "java-17" / "bin" / "java"
    binary.parent.mkdir(parents=True)
    # Not a link: a virtual environment's Python finds its library by where it lies.
    binary.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    binary.chmod(0o755)
    monkeypatch.setattr(java, "installed", lambda: [java.Java(tmp_path / "java-17", 17)])
    monkeypatch.setattr(jars, "is_fetched", lambda coordinates, cache: True)
    for name in SERVICES:
        monkeypatch.setitem(SERVICES, name, Small(name))


MakeStack = Callable[..., Stack]


@pytest.fixture
def make(tmp_path: Path, small_servers: None) -> Iterator[MakeStack]:
    """Makes stacks, ``s3`` alone in ``tmp_path/stack`` unless told otherwise; purges them."""
    made: list[Stack] = []

    def stack(folder: str = "stack", services: Sequence[str] = ("s3",), **more: object) -> Stack:
        made.append(Stack(tmp_path / folder, services, **more))  # type: ignore[arg-type]
        return made[-1]

    yield stack
    for each in made:
        each.down(purge=True)
