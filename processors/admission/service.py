"""The one who admits: any number of processes may stand by, the owner of the requests does it."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import Self

from processors.admission.room import Limits
from processors.admission.term import Term
from processors.runtime.clock import Clock
from processors.settings import StageSettings
from schemas.events import ExtractionRequested
from schemas.work import ADMISSION as NAME
from topics import logs
from topics.catalog import dead_letter_topic
from topics.codec import Codec
from topics.log import Consumer, Log, LogError, Record, TopicPartition

_TURN_S = 0.5  # longest wait in one turn: bounds what a missed wake-up costs
_BEGINNING_S = 0.02  # the same until a new term knows everything
_RECORDS = 1000
_AGAIN_S = 1.0
_STUCK_S = 60.0
_JOIN_S = 20.0

_logger = logs.get(__name__)


def limits_of(settings: StageSettings) -> Limits:
    """What the settings say."""
    return Limits(
        in_flight=settings.admission_in_flight,
        a_client=settings.admission_client_in_flight,
        ageing=settings.admission_ageing,
    )


class Admission:
    """Admits until it is stopped. The topics must exist (`topics.catalog.partitions`)."""

    def __init__(self, settings: StageSettings, *, log: Log, clock: Clock | None = None) -> None:
        self._log = log
        self._codec: Codec = settings.bus.codec()
        self._limits = limits_of(settings)
        self._clock = clock or Clock()
        self._consumer: Consumer | None = None
        self._term: Term | None = None
        self._owns = False
        self._moved_s = self._clock.monotonic_s()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._kept, name=NAME, daemon=True)

    def start(self) -> Self:
        """Begin."""
        self._thread.start()
        return self

    @property
    def alive(self) -> bool:
        """Whether the loop moves."""
        return self._thread.is_alive() and self._clock.monotonic_s() - self._moved_s < _STUCK_S

    @property
    def admits(self) -> bool:
        """Whether it is this process that admits, and knows all there is to know."""
        term = self._term
        return term is not None and term.known

    def stop(self) -> None:
        """Leave; whoever stands by goes on."""
        self._stop.set()
        self._wake()
        if self._thread.ident is not None:
            self._thread.join(_JOIN_S)
        self._codec.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def _wake(self) -> None:
        if (consumer := self._consumer) is not None:
            consumer.wake()

    def _kept(self) -> None:
        while not self._stop.is_set():
            try:
                self._run()
            except LogError as error:
                _logger.error("admission waits for the log", reason=str(error))
            except Exception:
                # Every fact is on the log: beginning again is always sound.
                _logger.exception("admission begins again")
            finally:
                self._leave()
            self._stop.wait(_AGAIN_S)

    def _run(self) -> None:
        self._log.provision({self._codec.on_log(dead_letter_topic(NAME)): 1})
        consumer = self._consumer = self._log.consumer(
            self._codec.on_log(NAME),
            [self._codec.on_log(ExtractionRequested.topic)],
            on_assign=self._assigned,
            on_revoke=self._revoked,
        )
        wait_s = _TURN_S
        while not self._stop.is_set():
            records = consumer.poll(wait_s, _RECORDS)
            self._moved_s = self._clock.monotonic_s()
            wait_s = self._turn(consumer, records)

    def _turn(self, consumer: Consumer, records: Sequence[Record]) -> float:
        """One turn of the term, if it is ours; how long the next poll may wait."""
        if not self._owns:
            return _TURN_S
        if self._term is None:
            self._term = Term(
                self._log, self._codec, consumer, self._limits, self._clock, wake=self._wake
            )
            _logger.info("a term begins")
        more = self._term.turn(records)
        return 0.0 if more else _TURN_S if self._term.known else _BEGINNING_S

    def _assigned(self, gained: frozenset[TopicPartition]) -> None:
        self._owns = self._owns or bool(gained)

    def _revoked(self, lost: frozenset[TopicPartition]) -> None:
        if lost:
            self._owns = False
            self._end_term()

    def _end_term(self) -> None:
        if self._term is not None:
            term, self._term = self._term, None
            with suppress(LogError):
                term.close()

    def _leave(self) -> None:
        self._end_term()
        self._owns = False
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            with suppress(LogError):
                consumer.close()
