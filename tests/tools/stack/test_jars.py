"""Maven is asked once; a cache folder is whole or absent."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from tools.stack import jars
from tools.stack.coordinates import Coordinates
from tools.stack.errors import MissingTool, StackError
from tools.stack.java import Java

JAVA = Java(Path("/opt/java"), 17)
RELEASE = Coordinates("s3", "org.x", "y", "1", "abcd")

# Stands where mvn does: notes that it was called, then does what the test appends.
MAVEN = """#!/bin/sh
echo "$JAVA_HOME $*" >> "{calls}"
for word in "$@"; do case $word in -DoutputDirectory=*) into=${{word#*=}};; esac; done
{does}
"""


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:/usr/bin:/bin")
    return tmp_path / "calls"


def maven(calls: Path, does: str) -> None:
    command = calls.parent / "bin" / "mvn"
    command.parent.mkdir(exist_ok=True)
    command.write_text(MAVEN.format(calls=calls, does=does))
    command.chmod(0o755)


def fetch(tmp_path: Path) -> Path:
    pom = tmp_path / "pom.xml"
    return jars.fetch(RELEASE, pom=pom, java=JAVA, cache=tmp_path / "cache")


def test_what_was_fetched_is_not_fetched_again(tmp_path: Path, calls: Path) -> None:
    maven(calls, 'echo jar > "$into/y-1.jar"')
    first, second = fetch(tmp_path), fetch(tmp_path)
    assert first == second == tmp_path / "cache" / "s3-1-abcd"
    assert [file.name for file in first.iterdir()] == ["y-1.jar"]
    (call,) = calls.read_text().splitlines()
    assert call.startswith("/opt/java ")
    assert "-P s3 " in call


def test_an_archive_is_unpacked(tmp_path: Path, calls: Path) -> None:
    packed = tmp_path / "y.tar.gz"
    with tarfile.open(packed, "w:gz") as archive:
        entry = tarfile.TarInfo("lib/inner.jar")
        entry.size = 3
        archive.addfile(entry, io.BytesIO(b"jar"))
    maven(calls, f'cp {packed} "$into"')
    folder = fetch(tmp_path)
    assert (folder / "lib" / "inner.jar").read_bytes() == b"jar"
    assert not list(folder.glob("*.tar.gz"))


def test_a_failed_fetch_leaves_nothing_and_quotes_maven(tmp_path: Path, calls: Path) -> None:
    maven(calls, 'echo part > "$into/part.jar"; echo "[ERROR] no route to host"; exit 1')
    with pytest.raises(StackError, match=r"could not fetch org\.x:y:1: no route to host"):
        fetch(tmp_path)
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["fetch.lock"]


def test_without_maven_one_line_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingTool, match="apt-get install maven") as missing:
        fetch(tmp_path)
    assert "\n" not in str(missing.value)


def test_a_full_cache_needs_no_maven(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "cache" / RELEASE.folder).mkdir(parents=True)
    assert fetch(tmp_path).is_dir()


@pytest.mark.parametrize(
    ("output", "line"),
    [
        ("\x1b[1;31m[ERROR]\x1b[m first\n[ERROR] second", "first"),
        ("[ERROR] \n[ERROR] said", "said"),
        ("no such flag", "no such flag"),
        ("", "it said nothing"),
    ],
)
def test_the_complaint_is_one_line(output: str, line: str) -> None:
    assert jars.complaint(output) == line
