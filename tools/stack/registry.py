"""Apicurio Registry, which speaks Confluent's schema registry API; schemas in an H2 file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from tools.stack import probes
from tools.stack.errors import StackError
from tools.stack.ports import LOOPBACK
from tools.stack.service import Place, Recovery, jvm, write_properties

_HEAP_MB = 192
_CONFLUENT = "/apis/ccompat/v7"


class Registry:
    """The schemas of the product."""

    name = "registry"
    title = "Apicurio Registry 2"
    java = (17, 21)
    purposes = ("client",)

    def configure(self, place: Place) -> None:
        write_properties(place.config / "application.properties", registry_properties(place))

    def format_arguments(self, place: Place, jars: Path) -> Sequence[str] | None:
        return None

    def arguments(self, place: Place, jars: Path) -> Sequence[str]:
        runner = next(jars.glob("apicurio-registry-app-*-runner.jar"), None)
        if runner is None:
            raise StackError(f"the jars of Apicurio are not whole; remove {jars}, run `up` again")
        return [
            *jvm(place, heap_mb=_HEAP_MB, quick_start=True),
            f"-Dquarkus.config.locations={place.config / 'application.properties'}",
            *("-jar", str(runner)),
        ]

    def recovery(self, place: Place, jars: Path) -> Recovery | None:
        return None

    def is_ready(self, place: Place) -> bool:
        return probes.http_status(place.port("client"), f"{_CONFLUENT}/subjects") == 200

    def environment(self, places: Sequence[Place]) -> Mapping[str, str]:
        return {"SCHEMA_REGISTRY_URL": f"http://{LOOPBACK}:{places[0].port('client')}{_CONFLUENT}"}


def registry_properties(place: Place) -> dict[str, object]:
    """Quarkus settings of the registry, with why."""
    return {
        "quarkus.http.host": LOOPBACK,
        "quarkus.http.port": place.port("client"),
        # In a file, so that ids and schemas outlive a restart; by default they live in memory.
        "quarkus.datasource.jdbc.url": f"jdbc:h2:file:{place.data / 'registry'}",
        # The defaults, 20 connections at the start and 100 at most, are for a database server.
        "quarkus.datasource.jdbc.initial-size": 1,
        "quarkus.datasource.jdbc.min-size": 1,
        "quarkus.datasource.jdbc.max-size": 8,
        **place.settings,
    }
