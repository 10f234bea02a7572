"""Committing transactions with one client at a time, and what their failures mean."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import confluent_kafka as kafka
from confluent_kafka import KafkaException

from topics.log.kafka import properties
from topics.log.kafka.cluster import Cluster, connected
from topics.log.kafka.errors import FENCED, NOT_A_MEMBER, UNKNOWN, error_of, explained
from topics.log.kafka.settings import KafkaSettings
from topics.log.kafka.transaction import (
    STEP_S,
    Failed,
    KafkaTransaction,
    Offsets,
    OpenTransaction,
    abort,
)
from topics.log.kafka.waiting import Call, Caller, Hung
from topics.log.protocol import Doubtful, Fenced, LogError, Outgoing

_BEGIN_S: Final = 30.0  # until a predecessor's transaction is ended; a broker restarts in 10 s
_WHOLE_S: Final = STEP_S + 2.0  # all steps; the client's own time-outs come first where they work
_TRIES: Final = 3  # of a transaction that met a rebalance


@dataclass(frozen=True, slots=True)
class Try:
    """An attempt to commit, on its way."""

    client: kafka.Producer
    caller: Caller
    call: Call[None]
    began_s: float  # monotonic


class Committer:
    """One name's transactions, one at a time.

    A client that failed in doubt is thrown away, never used again: librdkafka cannot tell what
    became of its transaction (KIP-890 is not in it). `Doubtful` and `Fenced` end this; after any
    other failure the next transaction begins with a new client.
    """

    def __init__(self, settings: KafkaSettings, cluster: Cluster, name: str) -> None:
        self._settings = settings
        self._cluster = cluster
        self._name = name
        self._closed = ""  # why, once it is
        self._busy = False
        self._client: kafka.Producer | None = None
        self._caller: Caller | None = None
        self._begin()

    def occupy(self) -> None:
        """Nobody else's transaction begins until `free`."""
        self.require_open()
        if self._busy:
            raise LogError(f"kafka: producer '{self._name}' is already in a transaction")
        self._busy = True

    def free(self) -> None:
        """The next may begin."""
        self._busy = False

    def open(self) -> OpenTransaction:
        """A transaction to fill by and by. Raises `LogError`."""
        self.require_open()
        client, _ = self._begin()
        return OpenTransaction(client)

    def begin(self, transaction: KafkaTransaction, filled: OpenTransaction | None = None) -> Try:
        """Begin to commit a transaction: the one that is ``filled`` with its outputs already, or a
        new one. Raises `LogError`."""
        offsets = transaction.positions()
        client, caller = self._begin()
        if filled is not None:
            call = caller.begin(lambda: filled.finish(offsets))
        else:
            call = caller.begin(lambda: transact(client, transaction.outputs, offsets))
        return Try(client, caller, call, time.monotonic())

    def commit(self, transaction: KafkaTransaction, first: Try | None = None) -> None:
        """See it through; ``first`` is an attempt that is under way."""
        for left in reversed(range(_TRIES)):
            this, first = first or self.begin(transaction), None
            try:
                this.caller.result(this.call, _WHOLE_S)
            except Hung:
                self._end("in doubt")
                raise Doubtful(
                    f"kafka: a transaction of '{self._name}' got no answer in {_WHOLE_S:.0f} s; "
                    "make a new producer and read the offsets again"
                ) from None
            except Failed as failed:
                elapsed_s = time.monotonic() - this.began_s
                self._settle(this.client, failed, elapsed_s, last=not left)
            else:
                return

    def drop(self) -> None:
        """Abort what is open and was not begun to commit."""
        if self._client is not None and not abort(self._client):
            self._discard()

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

    def _settle(
        self, client: kafka.Producer, failed: Failed, elapsed_s: float, *, last: bool
    ) -> None:
        """Abort, and raise what the failure means; return where it is worth another try."""
        error = failed.error
        doing = f"a transaction of '{self._name}' failed"
        aborted = not error.fatal() and abort(client)
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

    def require_open(self) -> None:
        """Raises `LogError` for what is closed, whoever closed it."""
        if self._closed:
            raise LogError(f"kafka: producer '{self._name}' is {self._closed}; make another one")

    def close(self) -> None:
        """Let go; what is under way ends in doubt."""
        self._end("closed")


def transact(
    client: kafka.Producer, outputs: Sequence[Outgoing], offsets: Sequence[Offsets]
) -> None:
    """A whole transaction. Raises `Failed`."""
    transaction = OpenTransaction(client)
    for outgoing in outputs:
        transaction.add(outgoing)
    transaction.finish(offsets)
