"""Producers of a Kafka cluster: outputs and offsets in one transaction."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final

import confluent_kafka as kafka
from confluent_kafka import KafkaError, KafkaException

from topics.log.kafka import properties
from topics.log.kafka.appender import RAISED, Appender, check_place, produce, raised
from topics.log.kafka.cluster import Cluster, connected
from topics.log.kafka.consumer import KafkaConsumer
from topics.log.kafka.errors import FENCED, NOT_A_MEMBER, UNKNOWN, error_of, explained
from topics.log.kafka.settings import KafkaSettings
from topics.log.kafka.waiting import Call, Caller, Hung
from topics.log.protocol import (
    Consumer,
    Doubtful,
    Fenced,
    LogError,
    Outgoing,
    TopicPartition,
    Writing,
    Written,
)

_BEGIN_S: Final = 30.0  # until a predecessor's transaction is ended; a broker restarts in 10 s
_STEP_S: Final = float(properties.TRANSACTION_TIMEOUT_S)  # later the broker has aborted it anyway
_WHOLE_S: Final = _STEP_S + 2.0  # all steps; the client's own time-outs come first where they work
_TRIES: Final = 3  # of a transaction that met a rebalance; each asks anew who owns what

_Offsets = tuple[list[kafka.TopicPartition], Any]  # with the group's metadata


class _Failed(Exception):
    """A transaction failed. ``ended``: the client sent, or may have sent, the commit itself."""

    def __init__(self, error: KafkaError, *, ended: bool) -> None:
        super().__init__(error)
        self.error = error
        self.ended = ended


class KafkaTransaction:
    """A `Transaction`: gathered in memory and written at its end.

    So nothing is open at the broker while the caller works, and a body that raises leaves nothing
    to abort.
    """

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


@dataclass(frozen=True, slots=True)
class _Try:
    """One attempt at a transaction, on its way."""

    client: kafka.Producer
    caller: Caller
    call: Call[None]
    began_s: float  # monotonic


class KafkaWriting:
    """A `Writing`: the broker is asked on the caller's thread, and asked again in `wait`."""

    def __init__(self, over: Callable[[], bool], finish: Callable[[], None]) -> None:
        self._over = over
        self._finish: Callable[[], None] | None = finish
        self._failure: LogError | None = None

    def over(self) -> bool:
        """See `topics.log.protocol.Writing.over`."""
        return self._over()

    def wait(self) -> None:
        """See `topics.log.protocol.Writing.wait`."""
        finish, self._finish = self._finish, None
        if finish is not None:
            try:
                finish()
            except LogError as failure:
                self._failure = failure
        if self._failure is not None:
            raise self._failure


class KafkaProducer:
    """A `Producer` of a Kafka cluster.

    A client that failed in doubt is thrown away, never used again: librdkafka cannot tell what
    became of its transaction (KIP-890 is not in it). `Doubtful` and `Fenced` end this producer;
    after any other failure the next transaction begins with a new client.
    """

    def __init__(
        self, settings: KafkaSettings, cluster: Cluster, appender: Appender, name: str
    ) -> None:
        self._settings = settings
        self._cluster = cluster
        self._appender = appender
        self._name = name
        self._closed = ""  # why, once it is
        self._busy = False
        self._client: kafka.Producer | None = None
        self._caller: Caller | None = None
        self._begin()

    def _begin(self) -> tuple[kafka.Producer, Caller]:
        """A client of the name. It fences its predecessors and ends what they left open."""
        if self._client is not None and self._caller is not None:
            return self._client, self._caller
        client = connected(kafka.Producer, properties.transactional(self._settings, self._name))
        try:
            client.init_transactions(_BEGIN_S)
        except KafkaException as exception:
            raise explained(
                f"producer '{self._name}' cannot begin", error_of(exception)
            ) from exception
        self._client, self._caller = client, Caller(f"kafka {self._name}")
        return self._client, self._caller

    def send(self, outgoing: Iterable[Outgoing]) -> None:
        """See `topics.log.protocol.Producer.send`. Raises `Doubtful` where some may be written."""
        self._require_open()
        self._appender.send(list(outgoing))

    @contextmanager
    def transaction(self) -> Iterator[KafkaTransaction]:
        """See `topics.log.protocol.Producer.transaction`."""
        self._occupy()
        try:
            transaction = KafkaTransaction(self._cluster)
            yield transaction
            self._require_open()
            if transaction.outputs or transaction.offsets:
                self._commit(transaction)
        finally:
            self._busy = False

    def write(
        self,
        outgoing: Iterable[Outgoing],
        consumer: Consumer,
        offsets: Mapping[TopicPartition, int],
    ) -> Writing:
        """See `topics.log.protocol.Producer.write`. The caller works while the broker is asked."""
        try:
            self._occupy()
        except LogError as failure:
            return Written(failure)
        try:
            transaction = KafkaTransaction(self._cluster)
            for each in outgoing:
                transaction.send(each)
            transaction.commit_offsets(consumer, offsets)
            first = self._try(transaction)
        except LogError as failure:
            self._busy = False
            return Written(failure)

        def finish() -> None:
            try:
                self._commit(transaction, first)
            finally:
                self._busy = False

        return KafkaWriting(first.call.done.is_set, finish)

    def _occupy(self) -> None:
        self._require_open()
        if self._busy:
            raise LogError(f"kafka: producer '{self._name}' is already in a transaction")
        self._busy = True

    def _try(self, transaction: KafkaTransaction) -> _Try:
        """Begin to write it, for the first time or again.

        Asked for each try: who owns what, and who we are to the group, changes under us.
        """
        offsets = [(c.positions(o), c.metadata()) for c, o in transaction.offsets if o]
        client, caller = self._begin()
        call = caller.begin(lambda: _transact(client, transaction.outputs, offsets))
        return _Try(client, caller, call, time.monotonic())

    def _commit(self, transaction: KafkaTransaction, first: _Try | None = None) -> None:
        for left in reversed(range(_TRIES)):
            this, first = first or self._try(transaction), None
            try:
                this.caller.result(this.call, _WHOLE_S)
            except Hung:
                self._end("in doubt")
                raise Doubtful(
                    f"kafka: a transaction of '{self._name}' got no answer in {_WHOLE_S:.0f} s; "
                    "make a new producer and read the offsets again"
                ) from None
            except _Failed as failed:
                elapsed_s = time.monotonic() - this.began_s
                self._settle(this.client, failed, elapsed_s, last=not left)
            else:
                return

    def _settle(
        self, client: kafka.Producer, failed: _Failed, elapsed_s: float, *, last: bool
    ) -> None:
        """Abort, and raise what the failure means; return where it is worth another try."""
        error = failed.error
        doing = f"a transaction of '{self._name}' failed"
        aborted = not error.fatal() and _abort(client)
        if not aborted:
            self._discard()
        if error.fatal() and error.code() in FENCED and not failed.ended:
            # A broker that timed our transaction out fences us just as a successor does.
            if elapsed_s < properties.TRANSACTION_TIMEOUT_S:
                self._end("fenced off")
                raise Fenced(
                    f"kafka: a newer producer '{self._name}' has taken over; nothing was written: "
                    "stop this one"
                )
            failed.ended = True
        if failed.ended and not aborted:
            self._end("in doubt")
            raise explained(
                f"{doing} and may be committed all the same; make a new producer and read the "
                "offsets again",
                error,
                doubtful=True,
            )
        if error.code() in NOT_A_MEMBER:
            if not last:
                return  # the epoch may have moved on with the partitions still ours
            raise Fenced(f"kafka: {doing}: the group has moved on ({error.name()}); drop the work")
        if error.code() in UNKNOWN:
            self._cluster.forget_all()
        raise explained(doing, error)

    def _discard(self) -> None:
        client, self._client = self._client, None
        if self._caller is not None:
            self._caller.close()
            self._caller = None
        if client is not None:
            with suppress(KafkaException):
                client.purge()

    def _end(self, why: str) -> None:
        self._closed = self._closed or why
        self._discard()

    def _require_open(self) -> None:
        if self._closed:
            raise LogError(f"kafka: producer '{self._name}' is {self._closed}; make another one")

    def close(self) -> None:
        """See `topics.log.protocol.Producer.close`."""
        self._end("closed")

    def abandon(self) -> None:
        """Close on behalf of the log."""
        self.close()


def _transact(
    client: kafka.Producer, outputs: Sequence[Outgoing], offsets: Sequence[_Offsets]
) -> None:
    """Write outputs and offsets, then end the transaction. Raises `_Failed`."""
    failures: list[KafkaError] = []

    def delivered(error: KafkaError | None, _: object) -> None:
        if error is not None:
            failures.append(error)

    try:
        client.begin_transaction()
        for outgoing in outputs:
            produce(client, outgoing, delivered, serve=lambda: client.poll(0.01))
        # The records travel while the offsets do.
        for positions, metadata in offsets:
            client.send_offsets_to_transaction(positions, metadata, _STEP_S)
        # Before the end, so that a failure up to here is known to have committed nothing.
        if outputs and client.flush(_STEP_S) and not failures:
            raise _Failed(KafkaError(KafkaError._TIMED_OUT, "records are not written"), ended=False)
        if failures:
            raise _Failed(failures[0], ended=False)
    except RAISED as exception:
        raise _Failed(raised(exception), ended=False) from exception
    try:
        client.commit_transaction(_STEP_S)
    except RAISED as exception:
        raise _Failed(raised(exception), ended=True) from exception


def _abort(client: kafka.Producer) -> bool:
    """Whether the transaction is certainly without effect."""
    try:
        client.abort_transaction(_STEP_S)
    except RAISED:
        return False
    return True
