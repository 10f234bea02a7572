"""Producers of a Kafka cluster: outputs and offsets in one transaction."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

from topics.log.kafka.appender import Appender
from topics.log.kafka.cluster import Cluster
from topics.log.kafka.committing import Committer, Try
from topics.log.kafka.settings import KafkaSettings
from topics.log.kafka.transaction import KafkaTransaction, OpenTransaction
from topics.log.protocol import Consumer, LogError, Outgoing, TopicPartition


class KafkaProducer:
    """A `Producer` of a Kafka cluster."""

    def __init__(
        self, settings: KafkaSettings, cluster: Cluster, appender: Appender, name: str
    ) -> None:
        self._cluster = cluster
        self._appender = appender
        self._committer = Committer(settings, cluster, name)

    def send(self, outgoing: Iterable[Outgoing]) -> None:
        """See `topics.log.protocol.Producer.send`. Raises `Doubtful` where some may be written."""
        self._committer.require_open()
        self._appender.send(list(outgoing))

    @contextmanager
    def transaction(self) -> Iterator[KafkaTransaction]:
        """See `topics.log.protocol.Producer.transaction`.

        It is gathered in memory and written at its end: so nothing is open at the broker while the
        caller works, and a body that raises leaves nothing to abort.
        """
        self._committer.occupy()
        try:
            transaction = KafkaTransaction(self._cluster)
            yield transaction
            self._committer.require_open()
            if transaction.outputs or transaction.offsets:
                self._committer.commit(transaction)
        finally:
            self._committer.free()

    def write(self) -> KafkaWriting:
        """See `topics.log.protocol.Producer.write`."""
        self._committer.occupy()
        return KafkaWriting(self._committer, KafkaTransaction(self._cluster))

    def close(self) -> None:
        """See `topics.log.protocol.Producer.close`."""
        self._committer.close()

    def abandon(self) -> None:
        """Close on behalf of the log."""
        self.close()


class KafkaWriting:
    """A `Writing`: outputs travel as they come, and the commit is waited for on another thread."""

    def __init__(self, committer: Committer, transaction: KafkaTransaction) -> None:
        self._committer = committer
        self._transaction = transaction
        self._filled: OpenTransaction | None = None
        self._try: Try | None = None
        self._failure: LogError | None = None
        self._told = False

    def send(self, outgoing: Outgoing) -> None:
        """See `topics.log.protocol.Writing.send`."""
        if self._failure is not None:
            return
        try:
            self._transaction.send(outgoing)
            if self._filled is None:
                self._filled = self._committer.open()
            self._filled.add(outgoing)
        except LogError as failure:
            self._failure = failure

    def end(self, consumer: Consumer, offsets: Mapping[TopicPartition, int]) -> None:
        """See `topics.log.protocol.Writing.end`."""
        if self._failure is not None:
            return
        try:
            self._transaction.commit_offsets(consumer, offsets)
            self._try = self._committer.begin(self._transaction, self._filled)
        except LogError as failure:
            self._failure = failure

    def over(self) -> bool:
        """See `topics.log.protocol.Writing.over`."""
        return self._try is None or self._try.call.done.is_set()

    def wait(self) -> None:
        """See `topics.log.protocol.Writing.wait`."""
        if not self._told:
            self._told = True
            try:
                if self._try is not None:
                    self._committer.commit(self._transaction, self._try)
                elif self._filled is not None:
                    self._committer.drop()
            except LogError as failure:
                self._failure = failure
            finally:
                self._committer.free()
        if self._failure is not None:
            raise self._failure
