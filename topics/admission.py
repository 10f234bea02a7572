"""How full the waiting room of extractions is, for those who let items in and for those who wait.

`processors.admission` reports about once a second while something changes; the newest report is
all that one needs to know.
"""

from __future__ import annotations

import threading

from schemas.events import AdmissionReported
from topics import logs
from topics.codec import Codec, Poison
from topics.log import Log, TopicPartition

EXTRACTION_SPEED = 25.0
"""How many times faster than it plays a file is thought to be analysed on one core, all extractors
together: the slowest that they may be."""

_POLL_S = 0.2
_LAST = 64  # offsets at the end of the topic among which a record is: transactions take some, too

_log = logs.get(__name__)


def who(tenant: str, client: str) -> str:
    """Whom limits and shares are for: the tenant, which is proven, and only where access control
    is off the client, which anybody may call himself."""
    return tenant if tenant != "default" else f"client {client}" if client else tenant


class WaitingRoom:
    """The newest report as of the last `refresh`. Safe to share between threads."""

    def __init__(self, log: Log, codec: Codec) -> None:
        self._log = log
        self._codec = codec
        self._topic = codec.on_log(AdmissionReported.topic)
        self._positions: dict[TopicPartition, int] = {}
        self._lock = threading.Lock()
        self._latest: AdmissionReported | None = None

    @property
    def latest(self) -> AdmissionReported | None:
        """None while nothing was ever reported."""
        return self._latest

    def refresh(self) -> None:
        """Read what was reported until now. Raises `LogError`."""
        with self._lock:
            ends = self._log.end_offsets([self._topic])
            if all(self._positions.get(tp, 0) >= end for tp, end in ends.items()):
                return
            start = {tp: max(self._positions.get(tp, 0), end - _LAST) for tp, end in ends.items()}
            reader = self._log.reader([self._topic], start=start)
            try:
                while not reader.caught_up():
                    for record in reader.poll(_POLL_S, _LAST):
                        try:
                            event = self._codec.decode(record).event
                        except Poison as poison:
                            _log.error("no report; left out", reason=str(poison))
                            continue
                        assert isinstance(event, AdmissionReported)
                        self._latest = event
            finally:
                reader.close()
            self._positions = dict(ends)
