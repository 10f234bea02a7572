"""The tries in work: begun in a slot, heard, watched, killed when they must be."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

from processors.runtime.clock import Clock
from processors.runtime.conversation import (
    Begin,
    Failed,
    Progress,
    Returned,
    Sized,
    Waiting,
    packed,
)
from processors.runtime.declaration import Stage
from processors.runtime.endings import Input
from processors.runtime.lanes import Hand
from processors.runtime.outcomes import Crashed, Outcome, Overdue
from processors.runtime.progress import course_of
from processors.runtime.scratch import Scratch
from processors.runtime.slots import Ended, Heard, Slot, outcome_of, outcome_of_end
from processors.settings import StageSettings
from schemas.events import StepProgressed
from topics import logs, trace
from topics.log import TopicPartition

_GONE_S = 10.0
"""A killed process that is not gone by then hangs in the kernel, and waiting does not help."""

_log = logs.get(__name__)


class Attendance:
    """The slots of a worker and what is in them. Belongs to the worker's thread."""

    def __init__(
        self,
        stage: Stage,
        settings: StageSettings,
        scratch: Scratch,
        clock: Clock,
        wake: Callable[[], None],
    ) -> None:
        self._stage = stage
        self._settings = settings
        self._scratch = scratch
        self._clock = clock
        self._heard: queue.SimpleQueue[Heard] = queue.SimpleQueue()
        self._left: list[Path] = []

        def post(heard: Heard) -> None:
            self._heard.put(heard)
            wake()

        count = settings.slots_of(stage.name, stage.slots)
        self._slots = [Slot(stage, settings, number, post) for number in range(count)]
        self.hands: dict[int, Hand] = {}
        """What is in work, by slot number."""

    def free_slot(self) -> Slot | None:
        """A slot with nothing in it, a warm one first."""
        free = [s for s in self._slots if s.number not in self.hands and not s.dying]
        return max(free, key=lambda slot: slot.warm, default=None)

    def begin(self, slot: Slot, tp: TopicPartition, work: Input, span: str) -> Hand:
        """Begin a try."""
        hand = Hand(
            tp=tp,
            work=work,
            slot=slot,
            course=course_of(self._stage, self._settings, self._clock, work),
            span=span,
            folder=self._scratch.make(self._stage.name),
        )
        self.hands[slot.number] = hand
        topic, wire = packed(work.envelope.event)
        slot.begin(
            Begin(topic, wire, work.envelope.id, span, work.turn.try_number, str(hand.folder))
        )
        _log.info(
            "a try begins",
            stage=self._stage.name,
            job_id=work.job.job_id if work.job else "",
            trace_id=trace.trace_id(span),
            child=slot.pid,
            **{"try": work.turn.try_number},
        )
        return hand

    def hear(self) -> Iterator[tuple[Hand, Outcome | None]]:
        """The tries that are over, and how; None for one that was killed on purpose."""
        while True:
            try:
                heard = self._heard.get_nowait()
            except queue.Empty:
                return
            slot, message = heard.slot, heard.message
            if isinstance(message, Ended):
                slot.gone()
            hand = self.hands.get(slot.number)
            if hand is None:
                continue
            now_s = self._clock.monotonic_s()
            match message:
                case Progress():
                    hand.course.heard(message)
                case Sized():
                    hand.course.sized(message.seconds)
                case Waiting():
                    hand.course.waits(message.begins, now_s)
                case Returned() | Failed():
                    outcome = outcome_of(message)
                    if isinstance(outcome, Crashed):
                        # What it crashed on may have left it in no state to go on.
                        slot.kill()
                    yield self._over(hand, now_s), outcome
                case Ended():
                    if hand.doom is None:
                        yield self._over(hand, now_s), outcome_of_end(message)
                    elif hand.doom == "overdue":
                        yield self._over(hand, now_s), Overdue(hand.course.hard_s)
                    else:
                        yield self._over(hand, now_s), None
                case _:
                    pass

    def _over(self, hand: Hand, now_s: float) -> Hand:
        del self.hands[hand.slot.number]
        hand.slot.idle_since_s = now_s
        self._left.append(hand.folder)
        return hand

    def tidy(self) -> None:
        """Remove what tries left behind, once their outputs are committed: those do not wait."""
        for folder in self._left:
            self._scratch.remove(folder)
        self._left.clear()

    def watch(self, doomed: Callable[[Input], Literal["canceled", "stale"] | None]) -> None:
        """Kill what is doomed or over its hard limit; let idle children leave."""
        now_s = self._clock.monotonic_s()
        for hand in self.hands.values():
            if hand.doom is not None:
                continue
            overdue_at = hand.course.overdue_at()
            hand.doom = doomed(hand.work)
            if hand.doom is None and overdue_at is not None and overdue_at <= now_s:
                hand.doom = "overdue"
            if hand.doom is not None:
                hand.slot.kill()
        for slot in self._idle():
            if now_s - slot.idle_since_s >= self._settings.child_idle_seconds:
                slot.kill()

    def _idle(self) -> list[Slot]:
        return [s for s in self._slots if s.warm and not s.dying and s.number not in self.hands]

    def next_s(self) -> float:
        """The monotonic time at which there will be something to do, unless a child says more."""
        moments = [slot.idle_since_s + self._settings.child_idle_seconds for slot in self._idle()]
        for hand in self.hands.values():
            if hand.doom is None:
                overdue_at = hand.course.overdue_at()
                moments += [hand.course.due_at()] if not hand.orphan else []
                moments += [overdue_at] if overdue_at is not None else []
        return min(moments, default=float("inf"))

    def signs(self) -> Iterator[tuple[Hand, StepProgressed]]:
        """The signs of life that are due. Those of lost partitions are another worker's affair."""
        now_s = self._clock.monotonic_s()
        for hand in self.hands.values():
            if hand.orphan or hand.doom is not None:
                continue
            sign = hand.course.due(now_s)
            if sign is not None:
                yield hand, sign

    def kill_all(self) -> None:
        """Hand over what is in work: nothing of it will be committed."""
        for hand in self.hands.values():
            hand.doom = hand.doom or "handed_over"
        for slot in self._slots:
            slot.kill()

    def close(self) -> None:
        """Wait until every child is gone, or cannot be waited for."""
        for slot in self._slots:
            if not slot.join(_GONE_S):
                _log.error("a killed child process does not go", child=slot.pid)
