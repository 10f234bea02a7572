"""Every server that a stack can have, and what keeps this machine from running them."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from tools.stack import coordinates, jars, java
from tools.stack.cassandra import Cassandra
from tools.stack.errors import MissingTool
from tools.stack.kafka import Kafka
from tools.stack.registry import Registry
from tools.stack.s3 import S3
from tools.stack.service import Service

# The slowest first: it starts while the others do.
SERVICES: Mapping[str, Service] = {
    service.name: service for service in (Cassandra(), Kafka(), Registry(), S3())
}


def process_names(service: str, brokers: int) -> list[str]:
    """The processes of a service: one of its name, but numbered for Kafka."""
    return [f"kafka-{n}" for n in range(1, brokers + 1)] if service == "kafka" else [service]


def lacking(services: Collection[str] = tuple(SERVICES)) -> str | None:
    """What keeps this machine from running the services, and what to install; None: nothing."""
    pinned, found, cache = (
        coordinates.read(coordinates.pom_path()),
        java.installed(),
        jars.cache_dir(),
    )
    try:
        for service in (SERVICES[name] for name in services):
            oldest, newest = service.java
            java.choose(found, oldest=oldest, newest=newest, server=service.title)
            if not jars.is_fetched(pinned[service.name], cache):
                jars.require_maven()
    except MissingTool as missing:
        return str(missing)
    return None
