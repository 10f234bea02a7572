"""The poll loop of one stage.

One thread polls the log and never waits for work. Work runs in child processes (`slots`); what
they say wakes the loop. One record per partition is in work, at most as many at once as there are
slots; everything that ended since the last turn is committed in one transaction (`ledger`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from processors.runtime import metrics
from processors.runtime.attendance import Attendance
from processors.runtime.breaker import Breaker
from processors.runtime.clock import Clock
from processors.runtime.control import Control
from processors.runtime.declaration import Stage
from processors.runtime.endings import Endings, Input, Settled, read
from processors.runtime.lanes import Hand, Lane, Lanes
from processors.runtime.ledger import Ledger, Unwritable
from processors.runtime.outcomes import Crashed, Finished, Outcome, Overdue, of_exception
from processors.runtime.scratch import Scratch
from processors.settings import StageSettings
from schemas.events import StepProgressed
from topics import catalog, logs, trace
from topics.codec import Codec, Poison
from topics.log import Consumer, Log, LogError, Outgoing, TopicPartition

_TURN_S = 1.0
"""Longest wait in one turn of the loop: bounds what a missed wake-up costs."""

_RECORDS = 100  # taken in one poll; most of a shared topic is not this stage's turn

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
        self._endings = Endings(stage, codec)
        self._logger = logs.get(__name__).bind(stage=stage.name)
        self._attendance = Attendance(stage, settings, scratch, clock, self.wake)
        self._lanes = Lanes()
        self._fences = 0  # in a row
        self._breaker = Breaker()
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
            len(self._breaker.crashed),
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
        """Join the group, once it is known what was canceled. False when it is over already."""
        while not self._control.known:
            if self._deadline_s is not None or not self._control.alive:
                return False
            self._moves()
            self._woken.wait(_TURN_S)
            self._woken.clear()
        name = f"{self.group}.{self._settings.worker_name}"
        self._ledger = Ledger(self._log, self.stage.name, name, self._clock.monotonic_s)
        self._closing.append(self._ledger.close)
        self._signs = self._log.producer(f"{name}.signs")
        self._closing.append(self._signs.close)
        self._consumer = self._log.consumer(
            self.group, self.topics, on_assign=self._assign, on_revoke=self._revoke
        )
        # Leaving the group revokes, which commits what is done: so this comes before the others.
        self._closing.append(self._consumer.close)
        self._state = "running"
        return True

    def _turn(self) -> bool:
        assert self._consumer is not None
        self._moves()
        try:
            polled = self._consumer.poll(self._wait_s(), _RECORDS)
        except LogError as error:
            self._logger.error("the log cannot be read", error=str(error))
            self._woken.wait(_TURN_S)
            self._woken.clear()
            return self._goes_on()
        self._lanes.rewind(self._consumer)
        self._lanes.take(polled, self._consumer.assignment())
        self._hear()
        self._attendance.watch(self._verdict)
        self._advance()
        self._give_signs()
        self._commit()
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
            self._lanes.due_in_s(self._clock.wall_ms()),
        ]
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
        self._hear()
        self._commit()
        self._ledger.forget(partitions)
        self._lanes.revoked(partitions)
        self._logger.debug("partitions revoked", partitions=_listed(partitions))

    # Records become tries.

    def _advance(self) -> None:
        """Settle what needs no work, begin what there is a slot for, oldest first."""
        if self._deadline_s is not None:
            return
        for lane in self._lanes.oldest_first():
            while lane.records and lane.hand is None and self._state == "running":
                if not self._consider(lane):
                    break

    def _consider(self, lane: Lane) -> bool:
        """Deal with the first record of a lane; False when it has to wait."""
        record = lane.records[0]
        if lane.head is None:
            try:
                lane.head = read(record, self._codec)
            except Poison as poison:
                self._logger.error(
                    "poison goes to the dead letters",
                    topic=record.topic,
                    partition=record.partition,
                    offset=record.offset,
                    error=str(poison),
                )
                return self._settle(lane, self._endings.poison(record, poison))
        work = lane.head
        if work.turn.due_ms > self._clock.wall_ms():
            return False
        if verdict := self._verdict(work):
            return self._settle(lane, self._endings.dropped(record, verdict))
        try:
            if not self.stage.accepts(work.envelope.event):
                return self._settle(lane, self._endings.dropped(record, None))
        except Exception as error:
            self._logger.exception("the stage cannot tell whether it is its turn")
            self._judge(lane, work, of_exception(error), trace.continued(None), None)
            return self._state == "running"
        slot = self._attendance.free_slot()
        if slot is None:
            return False
        span = trace.continued(work.envelope.traceparent)
        lane.hand = self._attendance.begin(slot, lane.tp, work, span)
        return True

    def _settle(self, lane: Lane, settled: Settled) -> bool:
        self._ledger.add(settled)
        lane.next()
        return True

    # Tries become endings.

    def _hear(self) -> None:
        for hand, outcome in self._attendance.hear():
            self._conclude(hand, outcome)

    def _verdict(self, work: Input) -> Literal["stale", "canceled"] | None:
        if work.job is None:
            return None
        if self._control.is_stale(work.job.job_id, work.job.attempt):
            return "stale"
        if self._control.is_canceled(work.job.job_id, work.job.attempt):
            return "canceled"
        return None

    def _conclude(self, hand: Hand, outcome: Outcome | None) -> None:
        """A try is over; None: it was killed on purpose."""
        lane = self._lanes.holding(hand)
        if lane is None:
            metrics.ENDINGS.labels(self.stage.name, "lost").inc()
            return
        work, now_s = hand.work, self._clock.monotonic_s()
        metrics.SECONDS.labels(self.stage.name).observe(hand.course.elapsed_s(now_s))
        verdict = self._verdict(work)
        if verdict == "stale":
            self._settle(lane, self._endings.dropped(work.record, verdict))
        elif verdict == "canceled":
            sign = hand.course.sign(verdict, now_s)
            now_ms = self._clock.wall_ms()
            self._settle(lane, self._endings.canceled(work, sign, hand.span, now_ms))
        elif outcome is None:  # handed over: the record stays where it is
            metrics.ENDINGS.labels(self.stage.name, "handed_over").inc()
            lane.hand = None
        else:
            done = hand.course.sign("done", now_s) if isinstance(outcome, Finished) else None
            self._judge(lane, work, outcome, hand.span, done)

    def _judge(
        self, lane: Lane, work: Input, outcome: Outcome, span: str, done: StepProgressed | None
    ) -> None:
        now_ms = self._clock.wall_ms()
        settled: Settled | None = None
        if isinstance(outcome, Finished):
            try:
                settled = self._endings.finished(work, outcome.events, done, span, now_ms)
            except Exception as error:  # what the handler made is no event of the catalog
                self._logger.exception("what the handler returned cannot be encoded")
                outcome = of_exception(error)
        self._breaker = self._breaker.after(work.envelope.id, outcome)
        if isinstance(outcome, (Crashed, Overdue)):
            metrics.CRASHES.labels(self.stage.name, outcome.code).inc()
        if self._breaker.tripped:
            # The input that trips it keeps its tries: its record is left uncommitted.
            lane.hand = None
            metrics.TRIPPED.labels(self.stage.name).set(1)
            self._stop(
                f"the breaker tripped: {self._breaker.limit} different inputs crashed in a row; "
                "repair the stage or its set-up and start it again"
            )
            return
        if settled is None:
            assert not isinstance(outcome, Finished)
            settled = self._endings.failed(work, outcome, span, now_ms)
        self._logger.info(
            "a try ended",
            ending=settled.ending,
            job_id=work.job.job_id if work.job else "",
            trace_id=trace.trace_id(span),
            code=getattr(outcome, "code", ""),
            detail=getattr(outcome, "detail", ""),
            **{"try": work.turn.try_number},
        )
        self._settle(lane, settled)

    def _give_signs(self) -> None:
        now_ms = self._clock.wall_ms()
        outgoing: list[Outgoing] = []
        for hand, sign in self._attendance.signs():
            outgoing += self._endings.signs(hand.work, (sign,), hand.span, now_ms)
        if outgoing:
            try:
                self._signs.send(outgoing)
            except LogError as error:
                # Signs are for people; the work does not depend on them.
                self._logger.warning("signs of life cannot be written", error=str(error))

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
