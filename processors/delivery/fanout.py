"""From one notification to the deliveries that it makes: pure, and the thread that does it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

from processors.runtime.records import unreadable
from schemas.events import Notified
from schemas.webhooks import ENDPOINT_DISABLED, STANDING_ONLY, owed
from schemas.work import DELIVERY
from topics import logs
from topics.catalog import dead_letter_topic
from topics.codec import Codec, Envelope, Poison
from topics.log import Consumer, Doubtful, Fenced, Log, LogError, Outgoing, Producer, Record
from topics.webhooks import Directory, Endpoint

SOURCE = "delivery"
GROUP = "delivery-fanout"

_POLL_S = 0.2
_RECORDS = 500
_AGAIN_S = 1.0

_logger = logs.get(__name__)


def recipients(event: Notified, directory: Directory) -> Iterator[Endpoint]:
    """Who is told: the tenant's endpoints that subscribed, and the job's own callback.

    A paused endpoint is owed what comes meanwhile. A disabled one is not: its owner recovers what
    it missed, once it works again.
    """
    for endpoint in directory.of(event.tenant):
        told_of_itself = event.type == ENDPOINT_DISABLED and endpoint.id == event.track_id
        if endpoint.status != "disabled" and endpoint.wants(event.type) and not told_of_itself:
            yield endpoint
    if event.callback_id and event.callback_id != STANDING_ONLY:
        callback = directory.endpoint(event.tenant, event.callback_id)
        if callback is not None and callback.status in ("active", "paused"):
            yield callback


class Fanout:
    """Reads ``notified``, writes what is owed; offsets and outputs in one transaction."""

    def __init__(
        self,
        log: Log,
        codec: Codec,
        directory: Directory,
        *,
        name: str,
        max_age_ms: int,
        wall_ms: Callable[[], int],
    ) -> None:
        self._log = log
        self._codec = codec
        self._directory = directory
        self._name = f"{codec.on_log(GROUP)}.{name}"
        self._max_age_ms = max_age_ms
        self._wall_ms = wall_ms

    def run(self, stop: threading.Event) -> None:
        """Until ``stop``. What fails in between is tried again for as long as it takes."""
        producer: Producer | None = None
        topic = self._codec.on_log(Notified.topic)
        while not stop.is_set():
            try:
                self._log.provision({self._codec.on_log(dead_letter_topic(DELIVERY)): 1})
                consumer = self._log.consumer(self._codec.on_log(GROUP), [topic])
            except LogError as error:
                _logger.error("notifications cannot be read", reason=str(error))
                stop.wait(_AGAIN_S)
                continue
            try:
                while not stop.is_set():
                    records = consumer.poll(_POLL_S, _RECORDS)
                    if not records:
                        continue
                    self._directory.refresh()  # who subscribed before this happened is told
                    owes = [out for record in records for out in self._owes(record)]
                    producer = producer or self._log.producer(self._name)
                    with producer.transaction() as transaction:
                        for out in owes:
                            transaction.send(out)
                        offsets = {record.tp: record.offset + 1 for record in records}
                        transaction.commit_offsets(consumer, offsets)
            except LogError as error:
                # Nothing was written, or whoever reads it knows the deliveries by their names.
                _logger.error("notifications were not passed on; again", reason=str(error))
                if producer is not None and isinstance(error, (Doubtful, Fenced)):
                    producer.close()
                    producer = None
                stop.wait(_AGAIN_S)
            finally:
                _close(consumer)
        if producer is not None:
            producer.close()

    def _owes(self, record: Record) -> Iterator[Outgoing]:
        try:
            envelope = self._codec.decode(record)
        except Poison as poison:
            yield unreadable(record, poison, stage=DELIVERY, codec=self._codec)
            _logger.error(
                "no notification; set aside",
                topic=record.topic,
                partition=record.partition,
                offset=record.offset,
                reason=str(poison),
            )
            return
        event = envelope.event
        assert isinstance(event, Notified)
        now_ms = self._wall_ms()
        if now_ms - event.occurred_ms > self._max_age_ms:
            _logger.warning("old news is not sent by itself", id=event.notification_id)
            return
        for endpoint in recipients(event, self._directory):
            told = Envelope.caused(
                owed(event, endpoint.id, now_ms),
                by=envelope.id,
                source=SOURCE,
                time_ms=now_ms,
                traceparent=envelope.traceparent,
                part=endpoint.id,
            )
            yield self._codec.encode(told)


def _close(consumer: Consumer) -> None:
    try:
        consumer.close()
    except LogError as error:
        _logger.warning("the group was not left", reason=str(error))
