"""Apache Kafka, KRaft: one node that is broker and controller, or several of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from tools.stack import probes
from tools.stack.ports import LOOPBACK
from tools.stack.service import Place, Recovery, jvm, write_properties

_HEAP_MB = 384

# Of the topics that Kafka keeps for itself. The default of 50 is for clusters; each partition
# costs memory, descriptors and time at every start.
_INTERNAL_PARTITIONS = 4

_LOGGING = {
    "appender.out.type": "Console",
    "appender.out.name": "out",
    "appender.out.layout.type": "PatternLayout",
    "appender.out.layout.pattern": "%d{ISO8601} %p %m (%c{1})%n",
    "rootLogger.level": "INFO",
    "rootLogger.appenderRef.out.ref": "out",
}


class Kafka:
    """The log of the product."""

    name = "kafka"
    title = "Kafka 4"
    java = (17, 25)
    purposes = ("client", "internal", "controller")

    def configure(self, place: Place) -> None:
        write_properties(place.config / "server.properties", server_properties(place))
        write_properties(place.config / "log4j2.properties", _LOGGING)

    def format_arguments(self, place: Place, jars: Path) -> Sequence[str] | None:
        if (place.data / "meta.properties").exists():
            return None
        return [
            *self._options(place, jars),
            *("kafka.tools.StorageTool", "format", "--ignore-formatted"),
            *("-t", place.state.cluster_id, "-c", str(place.config / "server.properties")),
        ]

    def arguments(self, place: Place, jars: Path) -> Sequence[str]:
        server = ["kafka.Kafka", str(place.config / "server.properties")]
        return [*self._options(place, jars), *server]

    def recovery(self, place: Place, jars: Path) -> Recovery | None:
        if place.state.brokers > 1 or not _crashed(place.data):
            return None
        # Alone after a kill -9, a broker comes back while its controller still takes the one
        # before it for alive. Its transaction coordinator finishes prepared transactions at once,
        # finds no leader to send the markers to when the old session lapses, takes the partitions
        # for deleted and calls the transactions complete: committed readers wait at the first of
        # them for ever (seen in three of six tries on 4.3.1). So the controller first runs by
        # itself until it has fenced the old broker. With several brokers another one leads.
        path = place.config / "controller.properties"
        write_properties(path, controller_properties(place))
        arguments = [*self._options(place, jars), "kafka.Kafka", str(path)]
        return Recovery(arguments, done=f"Fencing broker {place.number} ")

    def is_ready(self, place: Place) -> bool:
        # Not where clients are: they may be asked for certificates and passwords (settings).
        return place.number in probes.kafka_brokers(place.port("internal"))

    def environment(self, places: Sequence[Place]) -> Mapping[str, str]:
        addresses = [f"{LOOPBACK}:{place.port('client')}" for place in places]
        return {"KAFKA_BOOTSTRAP_SERVERS": ",".join(addresses)}

    def _options(self, place: Place, jars: Path) -> list[str]:
        logging = f"-Dlog4j2.configurationFile={place.config / 'log4j2.properties'}"
        return [*jvm(place, heap_mb=_HEAP_MB), logging, "-cp", f"{jars}/*"]


def _crashed(data: Path) -> bool:
    """Whether a broker ran on this data and wrote no note of a clean shutdown since."""
    ran = (data / "__cluster_metadata-0").exists()
    return ran and not (data / ".kafka_cleanshutdown").exists()


def controller_properties(place: Place) -> dict[str, object]:
    """The same node as a controller alone, which fences a silent broker after a second."""
    told = server_properties(place)
    for of_brokers in ("advertised.listeners", "inter.broker.listener.name"):
        del told[of_brokers]
    return told | {
        "process.roles": "controller",
        "listeners": f"CONTROLLER://{LOOPBACK}:{place.port('controller')}",
        "broker.session.timeout.ms": 1000,
        "broker.heartbeat.interval.ms": 500,
    }


def server_properties(place: Place) -> dict[str, object]:
    """The broker's configuration: what differs from Kafka's defaults, and why."""
    brokers = place.state.brokers
    copies = min(brokers, 3)
    in_step = max(1, copies - 1)  # one broker may be away, as in a rolling restart
    voters = ",".join(
        f"{number}@{LOOPBACK}:{place.state.ports[f'kafka-{number}']['controller']}"
        for number in range(1, brokers + 1)
    )
    listen = {name: f"{LOOPBACK}:{place.port(name)}" for name in Kafka.purposes}
    return {
        "node.id": place.number,
        "process.roles": "broker,controller",
        "controller.quorum.voters": voters,
        "log.dirs": place.data,
        # Brokers talk to one another on a listener of their own, so that a test can put itself
        # between a client and the broker (`advertised.listeners`) and cut only that.
        "listeners": ",".join(f"{name.upper()}://{at}" for name, at in listen.items()),
        "advertised.listeners": f"CLIENT://{listen['client']},INTERNAL://{listen['internal']}",
        "listener.security.protocol.map": ",".join(f"{n.upper()}:PLAINTEXT" for n in listen),
        "controller.listener.names": "CONTROLLER",
        "inter.broker.listener.name": "INTERNAL",
        # Topics are made from the catalog, with its partitions; a typo must not make one.
        "auto.create.topics.enable": "false",
        "default.replication.factor": copies,
        "min.insync.replicas": in_step,
        "offsets.topic.replication.factor": copies,
        "offsets.topic.num.partitions": _INTERNAL_PARTITIONS,
        "transaction.state.log.replication.factor": copies,
        "transaction.state.log.min.isr": in_step,
        "transaction.state.log.num.partitions": _INTERNAL_PARTITIONS,
        "share.coordinator.state.topic.replication.factor": copies,
        "share.coordinator.state.topic.min.isr": in_step,
        "share.coordinator.state.topic.num.partitions": _INTERNAL_PARTITIONS,
        # Waiting 3 s for further members helps clusters that start together, not one machine.
        "group.initial.rebalance.delay.ms": 0,
        # A lone broker that is fenced for being slow leads nobody to a better one, it only loses
        # its partitions for a moment, with the markers that are due in it (see `recovery`).
        **({"broker.session.timeout.ms": 30_000} if brokers == 1 else {}),
        "num.network.threads": 2,
        "num.io.threads": 4,
        **place.settings,
    }
