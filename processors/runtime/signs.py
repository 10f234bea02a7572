"""Signs of life, written behind the worker's back: the work depends on none of them."""

from __future__ import annotations

import queue
import threading
from collections.abc import Sequence

from topics import logs
from topics.log import LogError, Outgoing, Producer

_MOST = 1000  # waiting while the log is away; people look at the newest ones only
_LAST_S = 2.0  # for what is under way when the worker stops

_log = logs.get(__name__)


class Signs:
    """Sends records on a thread of its own.

    A write waits for its acknowledgement, 1 to 3 ms of a healthy broker and half a minute of one
    that is away: the thread that polls has no time for either.
    """

    def __init__(self, producer: Producer, stage: str) -> None:
        self._producer = producer
        self._stage = stage
        self._waiting: queue.SimpleQueue[Sequence[Outgoing] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._send, name=f"{stage} signs", daemon=True)
        self._thread.start()

    def give(self, signs: Sequence[Outgoing]) -> None:
        """Write these soon, or never: what the log does not take is dropped."""
        if signs and self._waiting.qsize() < _MOST:
            self._waiting.put(signs)

    def close(self) -> None:
        """Write what was given, if the log takes it now, and let go."""
        self._waiting.put(None)
        self._thread.join(_LAST_S)
        self._producer.close()

    def _send(self) -> None:
        while (signs := self._waiting.get()) is not None:
            try:
                self._producer.send(signs)
            except LogError as error:
                _log.warning("signs of life cannot be written", stage=self._stage, error=str(error))
