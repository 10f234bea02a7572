"""Readers of Kafka topics; what group members have in common with them."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final, Self

import confluent_kafka as kafka
from confluent_kafka import KafkaError, KafkaException

from topics.log.kafka import properties
from topics.log.kafka.cluster import Cluster, connected
from topics.log.kafka.errors import REFUSED, error_of, explained
from topics.log.kafka.intake import Intake
from topics.log.kafka.settings import KafkaSettings
from topics.log.protocol import LogError, Record, TopicPartition

_SEEK_S: Final = 10.0  # a partition that just came cannot seek until its offset is known
_SHORTEST_S: Final = 0.001
_LONGEST_S: Final = 0.05
_SHARE: Final = 0.1
"""A wait inside the client cannot be ended from outside: the Python client offers no call for it.
So a poll waits in slices and looks for `wake` between them. A slice is a tenth of the time since
something last happened: what follows soon is heard within a millisecond or so (a cheap handler is
done), what comes after minutes within 50 ms. A slice costs 60 us of processor time."""

_SOON_S: Final = 0.005
"""Up to this slice, and with partitions paused, the wait is for `wake`, and the client is looked at
between: a record of a paused partition has just been given to somebody who will be done with it in
a moment. It saves a hop through a process 1 ms; other records wait a slice for it."""


class KafkaReader:
    """A `Reader` of a Kafka cluster: it assigns itself whole topics."""

    def __init__(
        self,
        settings: KafkaSettings,
        cluster: Cluster,
        name: str,
        topics: Collection[str],
        start: Mapping[TopicPartition, int],
    ) -> None:
        ends = cluster.ends(topics, undecided=True)
        for tp in start:
            if tp not in ends:
                raise LogError(f"kafka: cannot start at {tp.topic}/{tp.partition}: it is not read")
        self._prepare(properties.reader(settings, name), ends)
        for tp in ends:
            self._intake.start(tp, start.get(tp, 0))
        self._owned |= ends.keys()
        self._client.assign(
            [
                kafka.TopicPartition(*tp, start.get(tp, kafka.OFFSET_BEGINNING))
                for tp in sorted(ends)
            ]
        )

    def _prepare(self, config: properties.Properties, ends: Mapping[TopicPartition, int]) -> None:
        self._errors: deque[BaseException] = deque()
        self._client: kafka.Consumer = connected(
            kafka.Consumer, config | {"error_cb": self._complain}
        )
        self._intake = Intake(self._client.pause, self._client.resume)
        self._ahead = dict(ends)  # partitions that have not been read to their end of the opening
        self._owned: set[TopicPartition] = set()
        self._gone: set[TopicPartition] = set()  # since the client began to gather messages
        self._woken = threading.Event()
        self._open = True
        self._leaving = False  # closed by the log, on another thread perhaps
        self._lock = threading.RLock()  # the polling thread against `close` on another
        self._thread = 0  # the one that polls
        self._active_s = time.monotonic()  # when something last happened

    def _complain(self, error: KafkaError) -> None:
        # What the client tries again by itself is in its own log; refused credentials are for us.
        # They come with each attempt to connect; one at a time is enough.
        if error.code() in REFUSED and not self._errors:
            self._errors.append(explained("the brokers refuse this client", error))

    def poll(self, timeout_s: float, max_records: int = 100) -> Sequence[Record]:
        """See `topics.log.protocol.Reader.poll`. Raises what the callbacks raise."""
        deadline = time.monotonic() + timeout_s
        self._thread = threading.get_ident()
        while True:
            now = time.monotonic()
            idle_s = (now - self._active_s) * _SHARE
            slice_s = min(max(idle_s, _SHORTEST_S), _LONGEST_S, max(deadline - now, 0.0))
            if self._leaving:  # asked before the lock, which whoever closes us waits for
                raise LogError("kafka: this reader is closed; open another one")
            if self._intake.paused and slice_s <= _SOON_S:
                self._woken.wait(slice_s)
                slice_s = 0.0
            with self._lock:
                self._require_open()
                records = self._look(0.0 if self._woken.is_set() else slice_s, max_records)
            if records or self._woken.is_set():
                self._woken.clear()
                self._active_s = time.monotonic()
                return records
            if time.monotonic() >= deadline:
                return records

    def _look(self, wait_s: float, room: int) -> list[Record]:
        records = self._intake.ready(room)
        messages: list[Any] = []
        if not records and (first := self._asked(lambda: self._client.poll(wait_s))) is not None:
            messages.append(first)
        self._gone.clear()
        left = room - len(records) - len(messages)
        if left > 0 and (records or messages):
            messages += self._asked(lambda: self._client.consume(left, 0))
            if self._gone:
                messages = self._still_owned(messages)
        taken, errors = self._intake.take(messages, room - len(records))
        records += taken
        self._errors.extend(explained("reading fails", error) for error in errors)
        if self._errors:
            self._intake.keep_back(records)
            raise self._errors.popleft()
        return records

    def _asked(self, ask: Callable[[], Any]) -> Any:
        try:
            return ask()
        except KafkaException as exception:
            raise explained("reading fails", error_of(exception)) from exception

    def _still_owned(self, messages: Sequence[Any]) -> list[Any]:
        """Partitions went while messages were gathered: theirs may be from before or after."""
        for tp in self._gone & self._owned:
            self.seek(tp, self._committed(tp) or 0)
        return [m for m in messages if (m.topic(), m.partition()) not in self._gone]

    def _committed(self, tp: TopicPartition) -> int | None:
        return None

    def _require_open(self) -> None:
        if not self._open:
            raise LogError("kafka: this reader is closed; open another one")

    def caught_up(self) -> bool:
        """See `topics.log.protocol.Reader.caught_up`."""
        for tp in self._owned:
            if tp in self._ahead and self._intake.position(tp) >= self._ahead[tp]:
                del self._ahead[tp]
        return self._ahead.keys().isdisjoint(self._owned)

    def seek(self, tp: TopicPartition, offset: int) -> None:
        """See `topics.log.protocol.Reader.seek`."""
        self._require_open()
        if tp not in self._owned:
            raise LogError(
                f"kafka: cannot seek in {tp.topic}/{tp.partition}, which is not read here now"
            )
        deadline = time.monotonic() + _SEEK_S
        while True:
            try:
                self._client.seek(kafka.TopicPartition(*tp, offset))
            except KafkaException as exception:
                error = error_of(exception)
                if error.code() != KafkaError._STATE or time.monotonic() > deadline:
                    raise explained(
                        f"cannot seek to {offset} in {tp.topic}/{tp.partition}", error
                    ) from exception
            else:
                break
            time.sleep(0.01)
        self._intake.moved(tp, offset)

    def wake(self) -> None:
        """See `topics.log.protocol.Reader.wake`; a wake outside a poll ends the next one."""
        self._woken.set()

    def close(self) -> None:
        """Let go of the connection."""
        with self._lock:
            if self._open:
                self._open = False
                self._client.close()

    def abandon(self) -> None:
        """Close on behalf of the log."""
        self._leaving = True
        self.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
