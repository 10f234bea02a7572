"""The poll loop of one stage.

One thread polls the log and never waits for work. Work runs in child processes (`slots`); what
they say wakes the loop. One record per partition is in work, at most as many at once as there are
slots; handlers that only compute run here, a batch at a time (`inline`). Everything that ended
since the last turn is committed in one transaction (`ledger`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from processors.runtime import metrics
from processors.runtime.attendance import Attendance
from processors.runtime.clock import Clock
from processors.runtime.control import Control
from processors.runtime.declaration import Stage
from processors.runtime.endings import WRITTEN, Settled
from processors.runtime.lanes import Lanes
from processors.runtime.ledger import Ledger, Unwritable
from processors.runtime.scratch import Scratch
from processors.runtime.signs import Signs
from processors.runtime.tries import Tries
from processors.settings import StageSettings
from topics import catalog, logs
from topics.codec import Codec
from topics.log import Consumer, Log, LogError, TopicPartition

_TURN_S = 1.0
"""Longest wait in one turn of the loop: bounds what a missed wake-up costs."""

_RECORDS = 100  # taken in one poll; most of a shared topic is not this stage's turn
_BATCHES = 10  # taken in one poll: while one is committed the next is worked on

State = Literal["starting", "running", "draining", "stopped"]


@dataclass(frozen=True, slots=True)
class Standing:
    """How a worker stands."""

    state: State
    reason: str  # why it stopped by itself; empty while it has not
    assigned: int  # partitions
    in_work: int
    crashed_inputs: int  # in a row; the breaker trips at its limit


class Worker:
    """One stage in one process. `start`, then `drain` or `stop`; the rest is its own thread's."""

    def __init__(
        self,
        stage: Stage,
        settings: StageSettings,
        *,
        log: Log,
        codec: Codec,
        control: Control,
        scratch: Scratch,
        clock: Clock,
    ) -> None:
        self.stage = stage
        self.group = codec.on_log(stage.name)
        self.topics = [codec.on_log(kind.topic) for kind in stage.consumes] + [
            codec.on_log(catalog.retry_topic(stage.name, tier)) for tier in catalog.RETRY_TIERS_MS
        ]
        self.moved_s = clock.monotonic_s()
        """When the loop last turned."""
        self._settings = settings
        self._log = log
        self._codec = codec
        self._control = control
        self._clock = clock
        self._logger = logs.get(__name__).bind(stage=stage.name)
        self._attendance = Attendance(stage, settings, scratch, clock, self.wake)
        self._lanes = Lanes()
        self._tries = Tries(
            stage,
            settings,
            codec=codec,
            control=control,
            clock=clock,
            lanes=self._lanes,
            attendance=self._attendance,
            settle=self._settle,
        )
        self._fences = 0  # in a row
        self._state: State = "starting"
        self._reason = ""
        self._assigned = 0
        self._deadline_s: float | None = None  # of the drain
        self._woken = threading.Event()
        self._consumer: Consumer | None = None
        self._closing: list[Callable[[], None]] = [self._attendance.close]
        self._thread = threading.Thread(target=self._run, name=stage.name, daemon=True)

    # What other threads may call.

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def drain(self, grace_s: float) -> None:
        """Take no new work, and stop when what is in hand is done, in ``grace_s`` at the latest."""
        self._deadline_s = self._clock.monotonic_s() + grace_s
        self.wake()

    def join(self, timeout_s: float) -> bool:
        """Wait until the worker has stopped. False when it has not in time."""
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def wake(self) -> None:
        """Look again: a child has spoken, a verdict or the time has changed."""
        self._woken.set()
        if (consumer := self._consumer) is not None:
            consumer.wake()

    @property
    def alive(self) -> bool:
        """Whether the loop still turns and means to."""
        return self._thread.is_alive() and not self._reason

    def standing(self) -> Standing:
        """How it stands now."""
        return Standing(
            self._state,
            self._reason,
            self._assigned,
            len(self._attendance.hands),
            self._tries.crashed_inputs,
        )

    # The loop.

    def _run(self) -> None:
        try:
            if self._opened():
                while self._turn():
                    pass
        except Unwritable as error:
            self._stop(f"what the stage has to write cannot be written: {error}")
        except LogError as error:
            self._stop(str(error))
        except Exception as error:
            self._logger.exception("the poll loop failed")
            self._stop(f"the poll loop failed: {type(error).__name__}; see the log")
        finally:
            self._close()

    def _opened(self) -> bool:
        """Join the group, once it is known what was canceled and in which schemas to write. False
        when it is over already."""
        while not (self._control.known and self._can_write()):
            if self._deadline_s is not None or not self._control.alive:
                return False
            self._moves()
            self._woken.wait(_TURN_S)
            self._woken.clear()
        name = f"{self.group}.{self._settings.worker_name}"
        self._ledger = Ledger(
            self._log, self.stage.name, name, self._clock.monotonic_s, self.stage.batch or None
        )
        self._closing.append(self._ledger.close)
        self._signs = Signs(self._log.producer(f"{name}.signs"), self.stage.name)
        self._closing.append(self._signs.close)
        self._consumer = self._log.consumer(
            self.group, self.topics, on_assign=self._assign, on_revoke=self._revoke
        )
        # Leaving the group revokes, which commits what is done: so this comes before the others.
        self._closing.append(self._consumer.close)
        self._state = "running"
        return True

    def _can_write(self) -> bool:
        """Whether the schema of everything that the stage writes is known. From then on no ending
        needs the registry, and none is lost to its absence."""
        try:
            self._codec.meet([*(kind.topic for kind in self.stage.produces), *WRITTEN])
        except LogError as error:
            self._logger.error("the stage waits for the schema registry", error=str(error))
            return False
        return True

    def _turn(self) -> bool:
        assert self._consumer is not None
        self._moves()
        try:
            polled = self._consumer.poll(
                self._wait_s(), _BATCHES * self.stage.batch if self.stage.batch else _RECORDS
            )
        except LogError as error:
            self._logger.error("the log cannot be read", error=str(error))
            self._woken.wait(_TURN_S)
            self._woken.clear()
            return self._goes_on()
        self._lanes.take(polled, self._consumer)
        self._tries.hear()
        self._tries.watch()
        if self._deadline_s is None and not self._ledger.full:
            self._tries.advance()
        self._signs.give(self._tries.signs())
        self._commit()
        self._attendance.tidy()
        if self._tries.stopped:
            self._stop(self._tries.stopped)
        self._lanes.pause(self._consumer)
        return self._goes_on()

    def _moves(self) -> None:
        self.moved_s = self._clock.monotonic_s()
        metrics.IN_WORK.labels(self.stage.name).set(len(self._attendance.hands))
        metrics.ASSIGNED.labels(self.stage.name).set(self._assigned)

    def _goes_on(self) -> bool:
        assert self._consumer is not None
        self._assigned = len(self._consumer.assignment())
        if self._state == "stopped":
            return False
        if self._deadline_s is None:
            return True
        self._state = "draining"
        done = not self._attendance.hands and not self._ledger.settled
        return not done and self._clock.monotonic_s() < self._deadline_s

    def _wait_s(self) -> float:
        """How long this turn may wait for records."""
        now_s = self._clock.monotonic_s()
        waits = [
            _TURN_S,
            self._attendance.next_s() - now_s,
        ]
        if not self._ledger.full:
            waits.append(self._tries.wait_s())
        if self._ledger.settled:
            waits.append(self._ledger.wait_s())
        if self._deadline_s is not None:
            waits.append(self._deadline_s - now_s)
        return max(min(waits), 0.0)

    # Partitions come and go, inside the poll.

    def _assign(self, partitions: frozenset[TopicPartition]) -> None:
        assert self._consumer is not None
        self._lanes.pause_again(self._consumer)
        self._logger.debug("partitions assigned", partitions=_listed(partitions))

    def _revoke(self, partitions: frozenset[TopicPartition]) -> None:
        # Still ours until this returns: commit what is done, then let go.
        self._tries.hear()
        self._commit()
        self._ledger.forget(partitions)
        self._lanes.revoked(partitions)
        self._logger.debug("partitions revoked", partitions=_listed(partitions))

    def _settle(self, settled: Settled) -> None:
        self._ledger.add(settled)
        if self.stage.batch and self._consumer is not None:
            self._ledger.write(self._consumer)

    def _commit(self) -> None:
        assert self._consumer is not None
        if not self._ledger.settled:
            return
        fenced = self._ledger.commit(self._consumer)
        self._fences = self._fences + 1 if fenced else 0
        for one in fenced:
            metrics.ENDINGS.labels(self.stage.name, "lost").inc()
            self._lanes.fenced(one.tp, one.offset)
        if self._fences >= 3:  # once is a rebalance that came between; thrice is a rival
            raise Unwritable(
                f"another worker of the name '{self._settings.worker_name}' has taken over; give "
                "each its own WORKER_NAME"
            )

    # The end.

    def _stop(self, reason: str) -> None:
        self._state, self._reason = "stopped", reason
        self._logger.error("the stage has stopped", reason=reason)

    def _close(self) -> None:
        self._attendance.kill_all()
        # The children first, then what was opened, the last first.
        for close in (self._closing[0], *reversed(self._closing[1:])):
            try:
                close()
            except Exception:  # the next one must still be closed
                self._logger.exception("a worker did not close cleanly")
        self._state = "stopped"
        self._assigned = 0


def _listed(partitions: frozenset[TopicPartition]) -> dict[str, list[int]]:
    listed: dict[str, list[int]] = {}
    for topic, partition in sorted(partitions):
        listed.setdefault(topic, []).append(partition)
    return listed
