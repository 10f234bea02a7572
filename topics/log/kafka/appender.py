"""Writes outside transactions: one client for all producers of a process."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

import confluent_kafka as kafka
from confluent_kafka import KafkaError, KafkaException

from topics.log.kafka import properties
from topics.log.kafka.cluster import Cluster, connected
from topics.log.kafka.errors import UNKNOWN, error_of, explained
from topics.log.kafka.settings import KafkaSettings
from topics.log.protocol import Doubtful, LogError, Outgoing

_SERVE_S: Final = 0.2
_GRACE_S: Final = 5.0  # beyond what the client itself allows a delivery

_REFUSALS: Final = UNKNOWN | {
    KafkaError.MSG_SIZE_TOO_LARGE,
    KafkaError.RECORD_LIST_TOO_LARGE,
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    KafkaError.INVALID_RECORD,
    KafkaError.NOT_ENOUGH_REPLICAS,
    KafkaError.POLICY_VIOLATION,
}
"""Errors after which a record is certainly not in the log."""


RAISED: Final = (KafkaException, SystemError)
"""What calls that serve callbacks raise. The Python client sets a fatal error while it goes through
the callbacks, so the next of them ends in a SystemError with the fatal one as its cause."""


def raised(exception: BaseException) -> KafkaError:
    """The client's error behind one of `RAISED`; raises what is none."""
    cause = exception if isinstance(exception, KafkaException) else exception.__cause__
    if not isinstance(cause, KafkaException):
        raise exception
    return error_of(cause)


class _Deliveries:
    """Waits until every record of one call is answered for."""

    def __init__(self, count: int) -> None:
        self._open = count
        self.delivered = 0
        self.errors: list[KafkaError] = []
        self.done = threading.Event()

    def __call__(self, error: KafkaError | None, _: object) -> None:
        if error is None:
            self.delivered += 1
        else:
            self.errors.append(error)
        self._open -= 1
        if not self._open:
            self.done.set()

    def give_up(self, error: KafkaError) -> None:
        """Nothing is going to be answered any more."""
        self.errors.append(error)
        self.done.set()


class Appender:
    """Writes records, from any thread; made when first used."""

    def __init__(self, settings: KafkaSettings, cluster: Cluster) -> None:
        self._settings = settings
        self._cluster = cluster
        self._lock = threading.Lock()
        self._client: kafka.Producer | None = None
        self._waiting: set[_Deliveries] = set()
        self._closed = False

    def send(self, outgoing: Sequence[Outgoing]) -> None:
        """Write and wait until the cluster holds every record.

        Raises `LogError` when none was written, `Doubtful` when some may be.
        """
        for each in outgoing:
            check_place(self._cluster, each)
        if not outgoing:
            return
        deliveries = _Deliveries(len(outgoing))
        client = self._opened(deliveries)
        try:
            for each in outgoing:
                produce(client, each, deliveries, serve=lambda: time.sleep(0.01))
            answered = deliveries.done.wait(properties.DELIVERY_TIMEOUT_S + _GRACE_S)
        finally:
            with self._lock:
                self._waiting.discard(deliveries)
        if not answered:
            raise Doubtful(
                "kafka: the client does not say whether records were written; check "
                "KAFKA_BOOTSTRAP_SERVERS and that the cluster runs"
            )
        if not deliveries.errors:
            return
        error = deliveries.errors[-1]
        if error.code() in UNKNOWN:
            self._cluster.forget_all()
        surely = not deliveries.delivered and all(e.code() in _REFUSALS for e in deliveries.errors)
        topics = ", ".join(sorted({f"'{each.topic}'" for each in outgoing}))
        raise explained(f"writing to {topics} failed", error, doubtful=not surely)

    def _opened(self, waiting: _Deliveries) -> kafka.Producer:
        with self._lock:
            if self._closed:
                raise LogError("kafka: this log is closed; open it again")
            if self._client is None:
                self._client = connected(kafka.Producer, properties.appender(self._settings))
                threading.Thread(
                    target=self._serve, args=(self._client,), name="kafka appender", daemon=True
                ).start()
            self._waiting.add(waiting)
            return self._client

    def _serve(self, client: kafka.Producer) -> None:
        error = KafkaError(KafkaError._DESTROY, "the log was closed")
        try:
            while self._client is client:
                client.poll(_SERVE_S)
        except RAISED as exception:
            error = raised(exception)  # fatal: this client writes nothing any more
        with self._lock:
            if self._client is client:
                self._client = None
            for deliveries in self._waiting:
                deliveries.give_up(error)

    def close(self) -> None:
        """Let go. Calls that are under way end in doubt."""
        with self._lock:
            self._closed = True
            client, self._client = self._client, None
        if client is not None:
            client.purge()


def check_place(cluster: Cluster, outgoing: Outgoing) -> None:
    """Raises `UnknownTopic` or `LogError` where there is no such topic or partition."""
    count = cluster.partitions(outgoing.topic)
    if outgoing.partition is not None and not 0 <= outgoing.partition < count:
        raise LogError(
            f"kafka: topic '{outgoing.topic}' has no partition {outgoing.partition}, only 0 to "
            f"{count - 1}"
        )


def produce(
    client: kafka.Producer,
    outgoing: Outgoing,
    on_delivery: Callable[[KafkaError | None, object], None] | None,
    serve: Callable[[], object],
) -> None:
    """Hand a record to the client. ``serve`` is called while its queue is full. What the client
    refuses is told to ``on_delivery``; without one it is raised, as ``KafkaException``."""
    while True:
        try:
            client.produce(
                outgoing.topic,
                outgoing.value,
                outgoing.key,
                -1 if outgoing.partition is None else outgoing.partition,
                on_delivery=on_delivery,
                headers=list(outgoing.headers),
            )
        except BufferError:
            serve()
        except KafkaException as exception:
            if on_delivery is None:
                raise
            on_delivery(error_of(exception), None)
            return
        else:
            return
