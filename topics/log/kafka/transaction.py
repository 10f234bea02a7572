"""One transaction: what is in it, and its way through a client."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import confluent_kafka as kafka
from confluent_kafka import KafkaError

from topics.log.kafka import properties
from topics.log.kafka.appender import RAISED, check_place, produce, raised
from topics.log.kafka.cluster import Cluster
from topics.log.kafka.consumer import KafkaConsumer
from topics.log.protocol import Consumer, LogError, Outgoing, TopicPartition

STEP_S: Final = float(properties.TRANSACTION_TIMEOUT_S)  # later the broker has aborted it anyway

Offsets = tuple[list[kafka.TopicPartition], Any]  # with the group's metadata


class Failed(Exception):
    """A transaction failed. ``ended``: the client sent, or may have sent, the commit itself."""

    def __init__(self, error: KafkaError, *, ended: bool) -> None:
        super().__init__(error)
        self.error = error
        self.ended = ended


class KafkaTransaction:
    """A `Transaction`: gathered in memory, so that it can be written again."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self.outputs: list[Outgoing] = []
        self.offsets: list[tuple[KafkaConsumer, dict[TopicPartition, int]]] = []

    def send(self, outgoing: Outgoing) -> None:
        """See `topics.log.protocol.Transaction.send`."""
        check_place(self._cluster, outgoing)
        self.outputs.append(outgoing)

    def commit_offsets(self, consumer: Consumer, offsets: Mapping[TopicPartition, int]) -> None:
        """See `topics.log.protocol.Transaction.commit_offsets`."""
        if not isinstance(consumer, KafkaConsumer):
            raise LogError("kafka: a transaction commits for consumers of its own cluster only")
        consumer.positions(offsets)
        self.offsets.append((consumer, dict(offsets)))

    def positions(self) -> list[Offsets]:
        """The offsets for the client. Asked for each try: who owns what, and who we are to the
        group, changes under us. Raises `Fenced`."""
        return [(c.positions(o), c.metadata()) for c, o in self.offsets if o]


class OpenTransaction:
    """A transaction that is open at a client. What fails on the way is told by `finish`."""

    def __init__(self, client: kafka.Producer) -> None:
        self._client = client
        self._added = False
        self._broken: BaseException | None = None
        try:
            client.begin_transaction()
        except RAISED as exception:
            self._broken = exception

    def add(self, outgoing: Outgoing) -> None:
        """Have a record written. It sets out as soon as its partition is in the transaction."""
        if self._broken is None:
            self._added = True
            try:
                # Not told of each delivery: that takes the interpreter, which others are busy
                # with, once for each record. What is not delivered fails the transaction.
                produce(self._client, outgoing, None, serve=lambda: self._client.poll(0.01))
            except RAISED as exception:
                self._broken = exception

    def finish(self, offsets: Sequence[Offsets]) -> None:
        """Write the offsets and commit. Raises `Failed`."""
        try:
            if self._broken is not None:
                raise self._broken
            # The records travel while the offsets do.
            for positions, metadata in offsets:
                self._client.send_offsets_to_transaction(positions, metadata, STEP_S)
            # Before the end, so that a failure up to here is known to have committed nothing.
            if self._added and self._client.flush(STEP_S):
                late = KafkaError(KafkaError._TIMED_OUT, "records are not written")
                raise Failed(late, ended=False)
        except RAISED as exception:
            raise Failed(raised(exception), ended=False) from exception
        try:
            self._client.commit_transaction(STEP_S)
        except RAISED as exception:
            raise Failed(raised(exception), ended=True) from exception


def abort(client: kafka.Producer) -> bool:
    """Whether the transaction is certainly without effect."""
    try:
        client.abort_transaction(STEP_S)
    except RAISED:
        return False
    return True
