"""The pom is the one place that names releases."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.stack import coordinates
from tools.stack.errors import StackError
from tools.stack.services import SERVICES

POM = """<project xmlns="http://maven.apache.org/POM/4.0.0"><profiles>{}</profiles></project>"""
PROFILE = (
    "<profile><id>s3</id><dependencies><dependency><groupId>org.x</groupId>"
    "<artifactId>y</artifactId><version>{}</version></dependency>{}</dependencies></profile>"
)


def pom(tmp_path: Path, *profiles: str) -> Path:
    path = tmp_path / "pom.xml"
    path.write_text(POM.format("".join(profiles)), "utf-8")
    return path


def test_the_pom_pins_a_release_of_every_service_and_of_nothing_else() -> None:
    pinned = coordinates.read(coordinates.pom_path())
    assert set(pinned) == set(SERVICES)
    assert all(found.version[0].isdigit() and found.artifact for found in pinned.values())


def test_the_repository_records_no_download_address() -> None:
    text = coordinates.pom_path().read_text("utf-8").replace(coordinates._POM["m"], "")
    assert "://" not in text


def test_coordinates_are_those_of_the_first_dependency(tmp_path: Path) -> None:
    found = coordinates.read(pom(tmp_path, PROFILE.format("1.2.3", "")))["s3"]
    assert str(found) == "org.x:y:1.2.3"
    assert found.folder.startswith("s3-1.2.3-")


def test_a_change_of_any_dependency_is_another_folder_and_white_space_is_not(
    tmp_path: Path,
) -> None:
    one = coordinates.read(pom(tmp_path, PROFILE.format("1", "")))["s3"]
    spaced = coordinates.read(pom(tmp_path, PROFILE.format("1", "\n  ")))["s3"]
    other = coordinates.read(
        pom(tmp_path, PROFILE.format("1", "<dependency><version>9</version></dependency>"))
    )["s3"]
    assert one.folder == spaced.folder != other.folder


@pytest.mark.parametrize("broken", ["<project>", ""])
def test_a_pom_that_is_not_xml_is_named(tmp_path: Path, broken: str) -> None:
    path = tmp_path / "pom.xml"
    path.write_text(broken, "utf-8")
    with pytest.raises(StackError, match=r"pom\.xml is not a pom"):
        coordinates.read(path)


def test_a_profile_without_a_dependency_is_named(tmp_path: Path) -> None:
    with pytest.raises(StackError, match="'kafka' names no dependency"):
        coordinates.read(pom(tmp_path, "<profile><id>kafka</id></profile>"))
