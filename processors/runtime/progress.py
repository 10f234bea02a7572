"""The life signs of one try, and its limits. Pure: time comes in, events come out."""

from __future__ import annotations

from dataclasses import dataclass

from processors.runtime.clock import Clock
from processors.runtime.conversation import Progress
from processors.runtime.declaration import Sla, Stage
from processors.runtime.endings import Input
from processors.runtime.jobs import Job
from processors.settings import StageSettings
from schemas.events import StepProgressed

_OFTEN_S = 1.0  # people read no faster, and every sign is a record

_UNSEEN_S = 0.1
"""A try that is over by then says only that it is done, in the transaction of its outputs: nobody
sees it at work, and a record of its own for that costs a cheap stage more than its work."""


@dataclass(slots=True)
class Course:
    """How one try is going.

    ``sequence`` rises within the try; it starts at the age of the record in tenths of a second,
    so that the signs of a try that is made again after a crash of the host come behind the older
    ones of the same try. (A wrong clock costs the order of the signs, nothing else.)

    Times are monotonic seconds. Time spent waiting for another worker's result does not count
    against the limits.
    """

    job: Job | None
    stage: str
    try_number: int
    worker: str
    sla: Sla
    length_s: float
    began_s: float
    sequence: int
    heartbeat_s: float
    share: float = 0.0
    note: str = ""
    _said_s: float = float("-inf")
    _news: bool = False
    _waited_s: float = 0.0
    _waits_since: float | None = None

    def elapsed_s(self, now_s: float) -> float:
        """Seconds at work, waiting left out."""
        until_s = now_s if self._waits_since is None else self._waits_since
        return until_s - self.began_s - self._waited_s

    @property
    def hard_s(self) -> float:
        """The hard limit of this try in seconds."""
        return self.sla.hard_s(self.length_s)

    def overdue_at(self) -> float | None:
        """When the hard limit will be over, if nothing changes; None while it waits."""
        if self._waits_since is not None:
            return None
        return self.began_s + self._waited_s + self.hard_s

    def sized(self, length_s: float) -> None:
        """The length of the material is known now."""
        self.length_s = length_s
        self._news = True

    def waits(self, begins: bool, now_s: float) -> None:
        """It waits for another worker's result from now on, or no longer."""
        if begins and self._waits_since is None:
            self._waits_since = now_s
        elif not begins and self._waits_since is not None:
            self._waited_s += now_s - self._waits_since
            self._waits_since = None

    def heard(self, progress: Progress) -> None:
        """The handler reported progress."""
        if (progress.share, progress.note) != (self.share, self.note):
            self.share, self.note = progress.share, progress.note
            self._news = True

    def due_at(self) -> float:
        """When `due` will have something to say."""
        if self._said_s == float("-inf"):
            return self.began_s + _UNSEEN_S
        return self._said_s + (_OFTEN_S if self._news else self.heartbeat_s)

    def due(self, now_s: float) -> StepProgressed | None:
        """The sign to give now: at first that it started, once it has been at work for a moment,
        then progress at most once a second, else a heartbeat."""
        if now_s < self.due_at():
            return None
        if self._said_s == float("-inf"):
            return self.sign("started", now_s)
        return self.sign("progress" if self._news else "heartbeat", now_s)

    def sign(self, state: str, now_s: float) -> StepProgressed | None:
        """A sign of this state; None for work that belongs to no job."""
        self._said_s, self._news = now_s, False
        if state == "done":
            self.share = 1.0
        if self.job is None:
            return None
        sequence = self.sequence
        self.sequence += 1
        return StepProgressed(
            **self.job.fields(),  # type: ignore[arg-type]  # the four fields, each of its type
            stage=self.stage,
            try_number=self.try_number,
            sequence=sequence,
            state=state,
            progress=self.share,
            note=self.note,
            elapsed_seconds=round(self.elapsed_s(now_s), 3),
            sla_seconds=self.sla.soft_s(self.length_s),
            hard_seconds=self.hard_s,
            worker=self.worker,
        )


def course_of(stage: Stage, settings: StageSettings, clock: Clock, work: Input) -> Course:
    """The course of a try that begins now."""
    return Course(
        job=work.job,
        stage=stage.name,
        try_number=work.turn.try_number,
        worker=settings.worker_name,
        sla=stage.sla,
        # 0 until the step says more: what hangs before it knows is found out soonest.
        length_s=work.job.length_s if work.job else 0.0,
        began_s=clock.monotonic_s(),
        sequence=first_sequence(work.record.timestamp_ms, clock.wall_ms()),
        heartbeat_s=settings.heartbeat_seconds,
    )


def first_sequence(record_ms: int, now_ms: int) -> int:
    """Where the sequence of a try begins: the record's age in tenths of a second."""
    return max(now_ms - record_ms, 0) // 100
