"""From records to endings: what a worker does with the records of its lanes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from processors.runtime import metrics
from processors.runtime.attendance import Attendance
from processors.runtime.breaker import Breaker
from processors.runtime.clock import Clock
from processors.runtime.control import Control
from processors.runtime.declaration import Stage
from processors.runtime.endings import Endings, Input, Settled, read
from processors.runtime.inline import Inline
from processors.runtime.lanes import Hand, Lane, Lanes
from processors.runtime.later import Later
from processors.runtime.outcomes import Crashed, Finished, Outcome, Overdue, of_exception
from processors.settings import StageSettings
from schemas.events import Event, StepProgressed
from topics import logs, trace
from topics.codec import Codec, Poison
from topics.log import LogError, Outgoing

_AGAIN_S = 1.0  # after the registry could not say what a record is written in

_HELD_S = 0.25
"""Longest that handlers run on the poll thread before it polls again: what is canceled, revoked or
asked of the worker waits for no more than this and the one handler that is running."""


class Tries:
    """Begins tries, hears how they end, settles their records. Belongs to the worker's thread.

    ``settle`` takes what is to be committed.
    """

    def __init__(
        self,
        stage: Stage,
        settings: StageSettings,
        *,
        codec: Codec,
        control: Control,
        clock: Clock,
        lanes: Lanes,
        attendance: Attendance,
        settle: Callable[[Settled], None],
    ) -> None:
        self.stopped = ""
        """Why nothing more is begun, once the breaker has tripped."""
        self._stage = stage
        self._codec = codec
        self._control = control
        self._clock = clock
        self._lanes = lanes
        self._attendance = attendance
        self._settled = settle
        self._endings = Endings(stage, codec)
        self._inline = Inline(stage, settings, clock) if stage.batch else None
        self._breaker = Breaker()
        self._held_up = False  # records are left that need nothing but another turn
        self._reads_at_s = float("-inf")  # not before: the registry is away
        self._logger = logs.get(__name__).bind(stage=stage.name)

    @property
    def crashed_inputs(self) -> int:
        """In a row; the breaker trips at its limit."""
        return len(self._breaker.crashed)

    def wait_s(self) -> float:
        """Seconds until a record can go on that could not; infinity when none waits for time."""
        if self._held_up:
            return 0.0
        due_s = self._lanes.due_in_s(self._clock.wall_ms())
        reads_s = self._reads_at_s - self._clock.monotonic_s()
        return min(due_s, reads_s) if reads_s > 0 else due_s

    def advance(self) -> None:
        """Settle what needs no work, begin what there is room for, oldest first."""
        self._held_up = False
        done = 0
        until_s = self._clock.monotonic_s() + _HELD_S
        for lane in self._lanes.oldest_first():
            while lane.records and lane.hand is None and not self.stopped:
                if self._inline and self._clock.monotonic_s() >= until_s:
                    self._held_up = True
                    break
                if not self._consider(lane):
                    break
                done += 1
        if self._inline and done:
            self._logger.debug("a batch was handled", records=done)

    def hear(self) -> None:
        """Settle the tries that are over."""
        for hand, outcome in self._attendance.hear():
            lane = self._lanes.holding(hand)
            if lane is None:
                metrics.ENDINGS.labels(self._stage.name, "lost").inc()
                continue
            now_s = self._clock.monotonic_s()
            metrics.SECONDS.labels(self._stage.name).observe(hand.course.elapsed_s(now_s))
            self._conclude(lane, hand, outcome, now_s)

    def watch(self) -> None:
        """Kill what was canceled, went stale or is over its hard limit."""
        self._attendance.watch(self._verdict)

    def signs(self) -> list[Outgoing]:
        """The signs of life that are due."""
        now_ms = self._clock.wall_ms()
        return [
            record
            for hand, sign in self._attendance.signs()
            for record in self._endings.signs(hand.work, (sign,), hand.span, now_ms)
        ]

    # Records become tries.

    def _consider(self, lane: Lane) -> bool:
        """Deal with the first record of a lane; False when it has to wait."""
        if lane.head is None and not self._read(lane):
            return False
        work = lane.head
        if work is None:
            return True  # poison, settled
        if work.turn.due_ms > self._clock.wall_ms():
            return False
        if verdict := self._verdict(work):
            return self._settle(lane, self._endings.dropped(work.record, verdict))
        try:
            if not self._stage.accepts(work.envelope.event):
                return self._settle(lane, self._endings.dropped(work.record, None))
        except Exception as error:
            self._logger.exception("the stage cannot tell whether it is its turn")
            self._judge(lane, work, of_exception(error), trace.continued(None), None)
            return not self.stopped
        if self._inline is not None:
            self._handle(lane, work, self._inline)
            return not self.stopped
        slot = self._attendance.free_slot()
        if slot is None:
            return False
        span = trace.continued(work.envelope.traceparent)
        lane.hand = self._attendance.begin(slot, lane.tp, work, span)
        return True

    def _read(self, lane: Lane) -> bool:
        """Decode the first record of a lane, or settle it as poison; False when it has to wait."""
        if self._clock.monotonic_s() < self._reads_at_s:
            return False
        record = lane.records[0]
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
        except LogError as error:
            # Nothing is known about the record: it is neither poison nor to be lost.
            self._reads_at_s = self._clock.monotonic_s() + _AGAIN_S
            self._logger.error("records wait for the schema registry", error=str(error))
            return False
        return True

    def _handle(self, lane: Lane, work: Input, inline: Inline) -> None:
        """One record of a batch, from its event to its ending."""
        span = trace.continued(work.envelope.traceparent)
        outcome, sign = inline.run(work, span)
        if verdict := self._verdict(work):
            self._settle(lane, self._endings.dropped(work.record, verdict))
        else:
            self._judge(lane, work, outcome, span, sign)

    def _settle(self, lane: Lane, settled: Settled) -> bool:
        self._settled(settled)
        lane.next()
        return True

    # Tries become endings.

    def _verdict(self, work: Input) -> Literal["stale", "canceled"] | None:
        if work.job is None:
            return None
        if self._control.is_stale(work.job.job_id, work.job.attempt):
            return "stale"
        if self._control.is_canceled(work.job.job_id, work.job.attempt):
            return "canceled"
        return None

    def _conclude(self, lane: Lane, hand: Hand, outcome: Outcome | None, now_s: float) -> None:
        """A try in a slot is over; None: it was killed on purpose."""
        work = hand.work
        verdict = self._verdict(work)
        if verdict == "stale":
            self._settle(lane, self._endings.dropped(work.record, verdict))
        elif verdict == "canceled":
            sign = hand.course.sign(verdict, now_s)
            now_ms = self._clock.wall_ms()
            self._settle(lane, self._endings.canceled(work, sign, hand.span, now_ms))
        elif outcome is None:  # handed over: the record stays where it is
            metrics.ENDINGS.labels(self._stage.name, "handed_over").inc()
            lane.hand = None
        else:
            done = hand.course.sign("done", now_s) if isinstance(outcome, Finished) else None
            self._judge(lane, work, outcome, hand.span, done)

    def _measure(self, made: Sequence[Event | Later]) -> None:
        if self._stage.measure is not None:
            for event in made:
                if not isinstance(event, Later):
                    self._stage.measure(event)

    def _judge(
        self, lane: Lane, work: Input, outcome: Outcome, span: str, done: StepProgressed | None
    ) -> None:
        now_ms = self._clock.wall_ms()
        settled: Settled | None = None
        if isinstance(outcome, Finished):
            try:
                settled = self._endings.finished(work, outcome.events, done, span, now_ms)
                self._measure(outcome.events)
            except Exception as error:  # what the handler made is no event of the catalog
                self._logger.exception("what the handler returned cannot be encoded")
                outcome = of_exception(error)
        self._breaker = self._breaker.after(work.envelope.id, outcome)
        if isinstance(outcome, (Crashed, Overdue)):
            metrics.CRASHES.labels(self._stage.name, outcome.code).inc()
        if self._breaker.tripped:
            # The input that trips it keeps its tries: its record is left uncommitted.
            lane.hand = None
            metrics.TRIPPED.labels(self._stage.name).set(1)
            self.stopped = (
                f"the breaker tripped: {self._breaker.limit} different inputs crashed in a row; "
                "repair the stage or its set-up and start it again"
            )
            return
        if settled is None:
            assert not isinstance(outcome, Finished)
            settled = self._endings.failed(work, outcome, span, now_ms)
        if self._inline is None or not isinstance(outcome, Finished):
            # Of a batch only what failed: a line for each record costs more than its handler.
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
