"""The right Java among those installed, or one line that says what to install."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.stack import java
from tools.stack.errors import MissingTool
from tools.stack.java import Java


def have(*majors: int) -> list[Java]:
    return [Java(Path(f"/opt/java-{major}"), major) for major in majors]


def test_the_lowest_suitable_release_is_taken() -> None:
    assert java.choose(have(25, 11, 21, 17), oldest=17, newest=25, server="Kafka 4").major == 17
    assert java.choose(have(25, 11, 21), oldest=17, newest=25, server="Kafka 4").major == 21


@pytest.mark.parametrize(
    ("majors", "seen"), [((), "no Java was found"), ((25, 11), "found 11, 25")]
)
def test_a_missing_java_is_one_line_that_says_what_to_install(
    majors: tuple[int, ...], seen: str
) -> None:
    with pytest.raises(MissingTool) as missing:
        java.choose(have(*majors), oldest=17, newest=17, server="Cassandra 5")
    said = str(missing.value)
    assert said.startswith(f"Cassandra 5 runs on Java 17 ({seen})")
    assert "openjdk-17-jre-headless" in said
    assert "\n" not in said


@pytest.mark.parametrize(
    ("version", "major"),
    [("17.0.15", 17), ("1.8.0_392", 8), ("25-ea", 25), ("21", 21), ("none", None)],
)
def test_major_versions(version: str, major: int | None) -> None:
    assert java.major_of(version) == major


def fake(folder: Path, *, release: str | None, spoken: str) -> Path:
    binary = folder / "bin" / "java"
    binary.parent.mkdir(parents=True)
    binary.write_text(f"#!/bin/sh\necho 'openjdk version \"{spoken}\"' >&2\n")
    binary.chmod(0o755)
    if release is not None:
        (folder / "release").write_text(f'JAVA_VERSION="{release}"\n')
    return folder


def test_java_home_is_found_by_its_release_file_or_by_asking(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(java, "_KNOWN", ())
    monkeypatch.setenv("PATH", str(fake(tmp_path / "asked", release=None, spoken="1.8.0") / "bin"))
    monkeypatch.setenv("JAVA_HOME", str(fake(tmp_path / "home", release="21.0.2", spoken="9")))
    assert [(found.home.name, found.major) for found in java.installed()] == [
        ("home", 21),
        ("asked", 8),
    ]


def test_no_java_at_all_is_an_empty_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(java, "_KNOWN", ())
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    assert java.installed() == []
