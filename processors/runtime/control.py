"""Which jobs were canceled and which attempts are stale: the control topics, read whole."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from schemas.events import Event, JobCanceled, JobRetried
from topics import logs
from topics.catalog import CONTROL
from topics.codec import Codec, Poison
from topics.log import Log, LogError, Record

_POLL_S = 1.0
_AGAIN_S = 1.0  # after the log failed

_log = logs.get(__name__)


@dataclass(slots=True)
class Verdicts:
    """The fold of the control topics. Order and duplication of the events do not matter."""

    canceled: dict[str, int] = field(default_factory=dict)  # job -> newest attempt canceled
    newest: dict[str, int] = field(default_factory=dict)  # job -> newest attempt

    def add(self, event: Event) -> None:
        """Fold in one event; other kinds say nothing."""
        if isinstance(event, JobCanceled):
            self.canceled[event.job_id] = max(event.attempt, self.canceled.get(event.job_id, 0))
        elif isinstance(event, JobRetried):
            self.newest[event.job_id] = max(event.attempt, self.newest.get(event.job_id, 0))

    def is_canceled(self, job_id: str, attempt: int) -> bool:
        """Whether this attempt must not go on. A later attempt starts afresh."""
        return self.canceled.get(job_id, 0) >= attempt

    def is_stale(self, job_id: str, attempt: int) -> bool:
        """Whether a newer attempt has taken the job over."""
        return self.newest.get(job_id, 0) > attempt


class Control:
    """Follows the control topics on a thread of its own, for all stages of a process."""

    def __init__(self, log: Log, codec: Codec) -> None:
        self._log = log
        self._codec = codec
        self._verdicts = Verdicts()
        self._listeners: list[Callable[[], None]] = []
        self._known = threading.Event()
        self._over = threading.Event()
        self._reader = log.reader([codec.on_log(topic) for topic in CONTROL])
        self._thread = threading.Thread(target=self._follow, name="control", daemon=True)

    def start(self) -> None:
        """Begin to follow."""
        self._thread.start()

    @property
    def known(self) -> bool:
        """True once everything that was said before the start has been read."""
        return self._known.is_set()

    @property
    def alive(self) -> bool:
        """Whether the topics are still followed."""
        return self._thread.is_alive()

    def is_canceled(self, job_id: str, attempt: int) -> bool:
        """Whether this attempt must not go on."""
        return self._verdicts.is_canceled(job_id, attempt)

    def is_stale(self, job_id: str, attempt: int) -> bool:
        """Whether a newer attempt has taken the job over."""
        return self._verdicts.is_stale(job_id, attempt)

    def listen(self, wake: Callable[[], None]) -> None:
        """Call ``wake`` (from the control thread) after every change."""
        self._listeners.append(wake)

    def stop(self) -> None:
        """Stop following and wait for it."""
        self._over.set()
        self._reader.wake()
        if self._thread.is_alive():
            self._thread.join(2 * _POLL_S + _AGAIN_S)
        self._reader.close()

    def _follow(self) -> None:
        while not self._over.is_set():
            if not self._known.is_set() and self._reader.caught_up():
                self._known.set()
                self._wake()
            try:
                records = self._reader.poll(_POLL_S if self.known else 0.05, max_records=1000)
            except LogError as error:
                _log.error("the control topics cannot be read", error=str(error))
                self._over.wait(_AGAIN_S)
                continue
            for record in records:
                self._read(record)
            if records:
                self._wake()

    def _read(self, record: Record) -> None:
        while not self._over.is_set():
            try:
                self._verdicts.add(self._codec.decode(record).event)
            except Poison as error:
                _log.error(
                    "a control record is no event and is left out",
                    topic=record.topic,
                    partition=record.partition,
                    offset=record.offset,
                    error=str(error),
                )
            except LogError as error:
                _log.error("control records wait for the schema registry", error=str(error))
                self._over.wait(_AGAIN_S)
                continue
            return

    def _wake(self) -> None:
        for wake in self._listeners:
            wake()
