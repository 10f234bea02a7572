"""Which release of each server is run: read from the one pom that pins them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

from tools.stack.errors import StackError

_POM = {"m": "http://maven.apache.org/POM/4.0.0"}
_HERE = Path(__file__).parent


@dataclass(frozen=True)
class Coordinates:
    """What Maven fetches for one service: the first dependency of the profile of its name."""

    service: str
    group: str
    artifact: str
    version: str
    digest: str
    """Of the whole profile, so that a change of any of its dependencies is another release."""

    def __str__(self) -> str:
        return f"{self.group}:{self.artifact}:{self.version}"

    @property
    def folder(self) -> str:
        """Name of the folder that holds the jars of just these coordinates."""
        return f"{self.service}-{self.version}-{self.digest}"


def pom_path() -> Path:
    """The pom: beside this file in an installed package, under ``deploy/`` in the repository.

    Raises:
        StackError: neither is there.
    """
    for path in (_HERE / "pom.xml", _HERE.parents[1] / "deploy" / "stack" / "pom.xml"):
        if path.is_file():
            return path
    raise StackError("deploy/stack/pom.xml is missing, which names the servers; reinstall melisma")


def read(pom: Path) -> Mapping[str, Coordinates]:
    """The coordinates of each profile by its id.

    Raises:
        StackError: the pom has a profile without a dependency, or is not XML.
    """
    try:
        # The file is ours, not a stranger's: no entity tricks to fear.
        profiles = ET.parse(pom).getroot().findall("m:profiles/m:profile", _POM)  # noqa: S314
    except ET.ParseError as error:
        raise StackError(f"{pom} is not a pom: {error}") from error
    return {found.service: found for found in map(_coordinates, profiles)}


def _coordinates(profile: ET.Element) -> Coordinates:
    service = profile.findtext("m:id", "", _POM)
    dependency = profile.find("m:dependencies/m:dependency", _POM)
    if dependency is None:
        raise StackError(f"the pom's profile '{service}' names no dependency")
    canonical = ET.canonicalize(ET.tostring(profile, "unicode"), strip_text=True)
    return Coordinates(
        service=service,
        group=dependency.findtext("m:groupId", "", _POM),
        artifact=dependency.findtext("m:artifactId", "", _POM),
        version=dependency.findtext("m:version", "", _POM),
        digest=hashlib.sha256(canonical.encode()).hexdigest()[:8],
    )
