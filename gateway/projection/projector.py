"""The projector: the topics of jobs and tracks, folded into the projection store.

A batch is folded in memory, written, and only then are its offsets committed, so a crash in
between folds it again, which changes nothing. With the offsets go the notifications that webhooks
are made of: whoever is told of something can read it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import structlog

from gateway.projection.cells import Document, join
from gateway.projection.fold import fold
from gateway.projection.notices import Notices, tells
from gateway.projection.store import Applied, ProjectionStore, StoreError
from topics.catalog import PROJECTED, dead_letter_topic
from topics.codec import Codec, Envelope, Poison
from topics.log import (
    Consumer,
    Doubtful,
    Fenced,
    Headers,
    Log,
    LogError,
    Outgoing,
    Producer,
    Record,
    TopicPartition,
)
from topics.process import process_name

GROUP = "projector"
BATCH = 2000
"""Most records folded before a write. A job's events then cost one write instead of twenty. While a
batch of this size is written, for some 50 ms, nobody else writes to the store."""

REBUILD_BATCH = 5000
"""The same while everything is read again: nobody waits for the store's lock behind it. The records
of a job lie far apart on the log, and the larger the batch, the fewer writes a job is."""

_POLL_S = 0.2  # longest poll, so that a stop is heeded soon
_AGAIN_S = 1.0  # first pause before the same is tried again of a log or store that did not answer
_LONGEST_S = 10.0  # pauses double up to this: nobody watches an outage by the second
_REOPEN = 5
"""Failed polls in a row after which another consumer is made: this one may be beyond help."""

_log = structlog.get_logger("projector")


@dataclass(frozen=True, slots=True)
class Status:
    """What the projector has done since it was started."""

    events: int = 0
    """Records folded."""
    poisoned: int = 0
    """Records set aside in ``projector.dlq``."""
    looped_at: float = 0.0
    """When the loop last moved, on the monotonic clock given to the projector."""
    partitions: int = 0
    """Partitions owned."""
    store_failures: int = 0
    """Writes that the store refused since the last one it took."""
    log_failures: int = 0
    """What the log (or the schema registry) refused since it last answered."""


class Projector:
    """Consumes the topics that the projection is made of in the group ``projector``."""

    def __init__(
        self,
        log: Log,
        codec: Codec,
        store: ProjectionStore,
        *,
        notices: Notices | None = None,
        batch: int = BATCH,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Without ``notices`` nobody is told of anything."""
        self._bus = log
        self._notices = notices
        self._codec = codec
        self._store = store
        self._batch = batch
        self._monotonic = monotonic
        self._topics = [codec.on_log(name) for name in PROJECTED]
        self._dead_letters = codec.on_log(dead_letter_topic(GROUP))
        self._status = Status()

    @property
    def status(self) -> Status:
        """Counts and signs of life, readable from any thread."""
        return self._status

    def lag(self) -> int:
        """Records committed to the log and not folded yet."""
        ends = self._bus.end_offsets(self._topics)
        done = self._bus.group_offsets(GROUP)
        return sum(end - done.get(tp, 0) for tp, end in ends.items())

    def run(self, stop: threading.Event) -> None:
        """Project until ``stop``. What fails in between is tried again for as long as it takes.

        Raises `topics.log.LogError` when the log cannot be opened at all.
        """
        self._bus.provision({self._dead_letters: 1})
        consumer: Consumer | None = self._bus.consumer(GROUP, self._topics)
        producer: Producer | None = None
        try:
            while not stop.is_set():
                try:
                    consumer = consumer or self._bus.consumer(GROUP, self._topics)
                    records = consumer.poll(_POLL_S, self._batch)
                except LogError as error:
                    if self._log_failed("the log cannot be read", error, stop):
                        return
                    if self._status.log_failures % _REOPEN == 0 and consumer is not None:
                        _close(consumer)
                        consumer = None
                    continue
                self._moved(partitions=len(consumer.assignment()), log_failures=0)
                if not records:
                    continue
                letters = self._project(records, stop)
                if letters is None:
                    return  # stopped before the store took the batch: it is read again next time
                while True:
                    try:
                        producer = producer or self._bus.producer(f"{GROUP}-{process_name()}")
                        producer = self._commit(producer, consumer, records, letters)
                        break
                    except LogError as error:
                        # Nothing was written, the dead letters neither: a broker that is away for
                        # longer than a transaction waits comes back.
                        if isinstance(error, Doubtful):
                            producer = None  # what is told twice has one id; letters have none
                            letters = [each for each in letters if not self._is_letter(each)]
                        if self._log_failed("offsets not committed; tried again", error, stop):
                            return
        finally:
            if consumer is not None:
                _close(consumer)
            if producer is not None:
                producer.close()

    def _log_failed(self, what: str, error: LogError, stop: threading.Event) -> bool:
        """Say so and pause; True when stopped meanwhile."""
        failures = self._status.log_failures + 1
        self._moved(log_failures=failures)
        _log.error(what, failures=failures, reason=str(error))
        return stop.wait(_pause_s(failures))

    def _project(self, records: Sequence[Record], stop: threading.Event) -> list[Outgoing] | None:
        """Fold and write a batch; its dead letters and notifications, or None when stopped before
        it was written.
        """
        folded = None
        while folded is None:
            try:
                folded = self._fold(records)
            except LogError as error:
                if self._log_failed("the schema registry cannot be asked", error, stop):
                    return None
        changes, letters, telling = folded
        while True:
            try:
                self._store.apply(changes)
                told = self._notices.of(telling) if self._notices else []
            except StoreError as error:
                failures = self._status.store_failures + 1
                self._moved(store_failures=failures)
                _log.error("the projection cannot be written", failures=failures, reason=str(error))
                if stop.wait(_pause_s(failures)):
                    return None
            except LogError as error:
                if self._log_failed("the schema registry cannot be asked", error, stop):
                    return None
            else:
                return letters + told

    def _fold(
        self, records: Iterable[Record]
    ) -> tuple[Collection[Document], list[Outgoing], list[Envelope]]:
        """The records' changes, the letters of those that are no events, and what is told."""
        letters: list[Outgoing] = []
        telling: list[Envelope] = []
        # Merged as they come: thousands of changes side by side would keep the collector busy.
        return join(self._changes(records, letters, telling)).values(), letters, telling

    def _changes(
        self, records: Iterable[Record], letters: list[Outgoing], telling: list[Envelope]
    ) -> Iterator[Document]:
        for record in records:
            try:
                envelope = self._codec.decode(record)
            except Poison as poison:
                letters.append(_letter(self._dead_letters, record, poison))
                _log.warning(
                    "poison set aside",
                    topic=record.topic,
                    partition=record.partition,
                    offset=record.offset,
                    reason=str(poison),
                )
            else:
                if tells(envelope.event):
                    telling.append(envelope)
                yield from fold(envelope)

    def _commit(
        self,
        producer: Producer,
        consumer: Consumer,
        records: Sequence[Record],
        letters: Sequence[Outgoing],
    ) -> Producer | None:
        """Commit offsets, dead letters and notifications together; the producer to go on with, if
        it is sound.
        """
        poisoned = sum(map(self._is_letter, letters))
        offsets = {record.tp: record.offset + 1 for record in records}
        try:
            with producer.transaction() as transaction:
                for letter in letters:
                    transaction.send(letter)
                transaction.commit_offsets(consumer, offsets)
        except (Fenced, Doubtful) as error:
            # Whoever owns the partitions now folds these records again, which changes nothing.
            _log.info("offsets not committed", reason=str(error))
            producer.close()
            if isinstance(error, Doubtful) and poisoned < len(letters):
                raise  # nobody else would tell of what was folded here
            return None
        self._moved(
            events=self._status.events + len(records) - poisoned,
            poisoned=self._status.poisoned + poisoned,
            store_failures=0,
        )
        return producer

    def _is_letter(self, out: Outgoing) -> bool:
        return out.topic == self._dead_letters

    def _moved(self, **changes: int) -> None:
        self._status = replace(self._status, looped_at=self._monotonic(), **changes)


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What a rebuild has read."""

    events: int
    poisoned: int


def rebuild(
    log: Log, codec: Codec, store: ProjectionStore, *, batch: int = REBUILD_BATCH
) -> Rebuilt:
    """Empty the projection and fold every record that the log has kept.

    Safe beside a running projector: what is folded twice changes nothing. Poison is counted and
    left where it is; the projector has set it aside when it first came.
    """
    store.clear()
    return catch_up(log, codec, store, {}, batch=batch)


def catch_up(
    log: Log,
    codec: Codec,
    store: ProjectionStore,
    positions: dict[TopicPartition, int],
    *,
    batch: int = REBUILD_BATCH,
    progress: Callable[[int], None] = lambda read: None,
) -> Rebuilt:
    """Fold what the log holds from ``positions`` on, and move them to where the next call begins.

    ``progress`` is called with the number of records just read.
    """
    read = poisoned = 0

    def changes(records: Iterable[Record]) -> Iterator[Document]:
        nonlocal poisoned
        for record in records:
            try:
                envelope = codec.decode(record)
            except Poison:
                poisoned += 1
            else:
                yield from fold(envelope)

    reader = log.reader([codec.on_log(name) for name in PROJECTED], start=positions)
    try:
        while not reader.caught_up():
            records = reader.poll(_POLL_S, batch)
            store.apply(changes(records))
            read += len(records)
            positions |= {record.tp: record.offset + 1 for record in records}
            progress(len(records))
    finally:
        reader.close()
    return Rebuilt(read - poisoned, poisoned)


def apply_now(store: ProjectionStore, envelopes: Iterable[Envelope]) -> Sequence[Applied]:
    """Fold events that were just committed to the log, so that their writer reads them at once."""
    return store.apply(change for envelope in envelopes for change in fold(envelope))


def _letter(topic: str, record: Record, poison: Poison) -> Outgoing:
    """The record as it was, with where it came from and why it is here."""
    why: Headers = (
        ("melisma.error.stage", GROUP.encode()),
        ("melisma.error.class", type(poison).__name__.encode()),
        ("melisma.error.code", poison.code.encode()),
        ("melisma.error.message", str(poison).encode()),
        ("melisma.error.topic", record.topic.encode()),
        ("melisma.error.partition", str(record.partition).encode()),
        ("melisma.error.offset", str(record.offset).encode()),
        ("melisma.error.timestamp", str(record.timestamp_ms).encode()),
        ("melisma.error.attempts", b"1"),
    )
    return Outgoing(
        topic=topic, key=record.key, value=record.value, headers=(*record.headers, *why)
    )


def _close(consumer: Consumer) -> None:
    """Leave the group, as far as a log that may be away allows."""
    with suppress(LogError):
        consumer.close()


def _pause_s(failures: int) -> float:
    return float(min(_AGAIN_S * 2 ** min(failures - 1, 16), _LONGEST_S))
