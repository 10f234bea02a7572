"""Apache Cassandra: one node, loopback only."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from tools.stack import probes
from tools.stack.errors import StackError
from tools.stack.ports import LOOPBACK
from tools.stack.service import Place, Recovery, jvm
from tools.stack.state import write_private

_HEAP_MB = 512

# The packages of Java 17 that Cassandra reaches into (its conf/jvm17-server.options).
_EXPORTS = (
    "java.base/jdk.internal.misc",
    "java.management.rmi/com.sun.jmx.remote.internal.rmi",
    "java.rmi/sun.rmi.registry",
    "java.rmi/sun.rmi.server",
    "java.rmi/sun.rmi.transport.tcp",
    "java.sql/java.sql",
)
_OPENS = (
    "java.base/java.io",
    "java.base/java.lang",
    "java.base/java.lang.module",
    "java.base/java.lang.reflect",
    "java.base/java.net",
    "java.base/java.nio",
    "java.base/java.util",
    "java.base/java.util.concurrent",
    "java.base/java.util.concurrent.atomic",
    "java.base/jdk.internal.loader",
    "java.base/jdk.internal.math",
    "java.base/jdk.internal.module",
    "java.base/jdk.internal.ref",
    "java.base/jdk.internal.reflect",
    "java.base/jdk.internal.util.jar",
    "java.base/sun.nio.ch",
    "java.rmi/sun.rmi.transport.tcp",
    "jdk.management/com.sun.management.internal",
)

_LOGGING = """\
<configuration>
  <appender name="out" class="ch.qos.logback.core.ConsoleAppender">
    <encoder><pattern>%date{ISO8601} %level %msg \\(%logger{0}\\)%n</pattern></encoder>
  </appender>
  <root level="INFO"><appender-ref ref="out"/></root>
</configuration>
"""


class Cassandra:
    """The projection of the product."""

    name = "cassandra"
    title = "Cassandra 5"
    java = (17, 17)  # 5.0 runs on 11 and 17 (its bin/cassandra.in.sh refuses others)
    purposes = ("client", "storage")

    def configure(self, place: Place) -> None:
        place.config.mkdir(parents=True, exist_ok=True)
        # JSON is YAML, so nothing here depends on a YAML writer.
        text = json.dumps(node_settings(place), indent=2, default=str)
        write_private(place.config / "cassandra.yaml", text + "\n")
        write_private(place.config / "logback.xml", _LOGGING)

    def format_arguments(self, place: Place, jars: Path) -> Sequence[str] | None:
        return None

    def arguments(self, place: Place, jars: Path) -> Sequence[str]:
        agent = next(jars.glob("jamm-*.jar"), None)
        if agent is None:
            raise StackError(f"the jars of Cassandra are not whole; remove {jars}, run `up` again")
        return [
            *jvm(place, heap_mb=_HEAP_MB),
            "-Xmn128m",  # the young part; Cassandra computes none without its start script
            "-XX:MaxDirectMemorySize=256m",
            f"-javaagent:{agent}",  # measures memtables
            "-Djdk.attach.allowAttachSelf=true",
            "-Dio.netty.tryReflectionSetAccessible=true",
            *(f"--add-exports={package}=ALL-UNNAMED" for package in _EXPORTS),
            *(f"--add-opens={package}=ALL-UNNAMED" for package in _OPENS),
            f"-Dcassandra.config=file://{place.config / 'cassandra.yaml'}",
            f"-Dlogback.configurationFile={place.config / 'logback.xml'}",
            f"-Dcassandra.storagedir={place.data}",
            f"-Dcassandra.logdir={place.folder}",
            # Alone, there is nobody to hear from (several seconds a start).
            "-Dcassandra.skip_wait_for_gossip_to_settle=0",
            "-Dcassandra.ring_delay_ms=0",
            *("-cp", f"{jars}/*", "org.apache.cassandra.service.CassandraDaemon"),
        ]

    def recovery(self, place: Place, jars: Path) -> Recovery | None:
        return None

    def is_ready(self, place: Place) -> bool:
        return probes.cassandra_answers(place.port("client"))

    def environment(self, places: Sequence[Place]) -> Mapping[str, str]:
        return {
            "CASSANDRA_CONTACT_POINTS": ",".join(
                f"{LOOPBACK}:{place.port('client')}" for place in places
            ),
            "CASSANDRA_DATACENTER": "datacenter1",  # SimpleSnitch calls it so
        }


def node_settings(place: Place) -> dict[str, object]:
    """``cassandra.yaml``: what a node needs, and what differs from the defaults, with why."""
    seeds = f"{LOOPBACK}:{place.port('storage')}"
    return {
        "cluster_name": "melisma",
        "num_tokens": 1,  # one node owns all; more only make its start and its reads longer
        "partitioner": "org.apache.cassandra.dht.Murmur3Partitioner",
        "endpoint_snitch": "SimpleSnitch",
        "seed_provider": [
            {
                "class_name": "org.apache.cassandra.locator.SimpleSeedProvider",
                "parameters": [{"seeds": seeds}],
            }
        ],
        "listen_address": LOOPBACK,
        "rpc_address": LOOPBACK,
        "native_transport_port": place.port("client"),
        "storage_port": place.port("storage"),
        "data_file_directories": [str(place.data / "tables")],
        "commitlog_directory": str(place.data / "commitlog"),
        "saved_caches_directory": str(place.data / "caches"),
        "hints_directory": str(place.data / "hints"),
        "cdc_raw_directory": str(place.data / "cdc"),
        # Periodic, the default, answers before the log is synced: a kill -9 lost rows of the 10 s
        # between (replay stops at the last sync), and reservations cannot be rebuilt from topics.
        "commitlog_sync": "batch",
        "commitlog_segment_size": "16MiB",
        "commitlog_total_space": "256MiB",
        "memtable_heap_space": "96MiB",
        "memtable_offheap_space": "96MiB",
        "key_cache_size": "16MiB",
        "file_cache_size": "64MiB",
        # No older release shares the cluster: TTLs may pass the year 2038.
        "storage_compatibility_mode": "NONE",
        "auto_snapshot": False,  # a dropped table of a test leaves nothing behind
        **place.settings,
    }
