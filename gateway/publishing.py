"""Accepting: events committed to the log in one transaction, then folded into the projection.

Only after both does a client get its 2xx, so whatever it reads next shows what it asked for. A
crash before the commit leaves nothing; a crash after it leaves an accepted request whose events
the projector folds, and whose next try (same Idempotency-Key) writes events of the same ids.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Sequence

import structlog

from gateway.projection.fold import fold
from gateway.projection.store import ProjectionStore, StoreError
from schemas.events import Event
from topics.codec import Codec, Envelope
from topics.log import Doubtful, Fenced, Log, LogError, Producer
from topics.process import process_name

SOURCE = "gateway"

_log = structlog.get_logger("gateway")


class Publisher:
    """Writes the gateway's events. Safe to share between threads."""

    def __init__(
        self, log: Log, codec: Codec, store: ProjectionStore, clock_ms: Callable[[], int]
    ) -> None:
        self._log = log
        self._codec = codec
        self._store = store
        self._clock_ms = clock_ms
        self._lock = threading.Lock()  # a producer's transactions belong to one thread at a time
        self._producer: Producer | None = None

    def accept(
        self, events: Sequence[Event], *, cause: str, traceparent: str, piece: int | None = None
    ) -> None:
        """Commit ``events`` together and fold them: ``piece`` at once where there are many.

        ``cause`` is the id of the accepted request: equal causes give equal event ids. Raises
        `LogError` when nothing was accepted, or when that is in doubt (`Doubtful`).
        """
        now = self._clock_ms()
        seen: Counter[str] = Counter()
        envelopes = []
        for event in events:
            # The first of a topic follows from the cause alone, any other from its place too.
            part = str(seen[event.topic] or "")
            seen[event.topic] += 1
            envelopes.append(
                Envelope.caused(
                    event,
                    by=cause,
                    source=SOURCE,
                    time_ms=now,
                    traceparent=traceparent,
                    part=part,
                )
            )
        self._commit(envelopes)
        try:
            size = piece or len(envelopes)
            for start in range(0, len(envelopes), size):
                some = envelopes[start : start + size]
                self._store.apply([change for each in some for change in fold(each)])
        except StoreError as error:
            # It is accepted all the same: the log has it, and the projector will fold it.
            _log.warning("accepted but not folded yet", cause=cause, failure=repr(error))

    def _commit(self, envelopes: Sequence[Envelope]) -> None:
        outgoing = [self._codec.encode(envelope) for envelope in envelopes]
        with self._lock:
            producer = self._producer or self._log.producer(f"{SOURCE}-{process_name()}")
            self._producer = producer
            try:
                with producer.transaction() as transaction:
                    for record in outgoing:
                        transaction.send(record)
            except (Doubtful, Fenced):
                self._producer = None  # of no further use; the next request opens another
                producer.close()
                raise

    def close(self) -> None:
        """Let go of the producer."""
        with self._lock:
            if self._producer is not None:
                self._producer.close()
                self._producer = None


__all__ = ["SOURCE", "LogError", "Publisher"]
