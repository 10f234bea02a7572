"""Handlers that only compute, run by the worker itself: many records in one transaction."""

from __future__ import annotations

import structlog

from processors.runtime import metrics
from processors.runtime.clock import Clock
from processors.runtime.conversation import Sign
from processors.runtime.declaration import Stage
from processors.runtime.endings import Input
from processors.runtime.outcomes import Crashed, Finished, Outcome, of_exception
from processors.runtime.progress import course_of
from processors.runtime.task import Task
from processors.settings import StageSettings
from schemas.events import StepProgressed
from topics import logs, trace

_SLOW_S = 1.0
"""A handler of a batch that takes longer holds up the poll loop: it belongs into a process."""

_log = logs.get(__name__)


class Inline:
    """One try at a time, on the thread that polls.

    Nothing can be killed here, neither for a cancel nor at a limit, and a handler that crashes the
    interpreter takes the stage with it. So its task has no store and no scratch folder: what
    reads media, or waits for anybody, is not for this. That leaves out every stage that turns
    artifacts into artifacts, publishing too: its work is two calls to the store, which on S3 are
    tens of milliseconds on a good day and a minute on a bad one, and nobody polls meanwhile. What
    it is for are stages that make events out of events.
    """

    def __init__(self, stage: Stage, settings: StageSettings, clock: Clock) -> None:
        self._stage = stage
        self._settings = settings
        self._clock = clock
        self._seconds = metrics.SECONDS.labels(stage.name)

    def run(self, work: Input, span: str) -> tuple[Outcome, StepProgressed | None]:
        """The outcome of one try, and the sign that it is done, where nothing else says so."""
        began_s = self._clock.monotonic_s()
        outcome = self._outcome(work, span)
        elapsed_s = self._clock.monotonic_s() - began_s
        self._seconds.observe(elapsed_s)
        if elapsed_s > _SLOW_S:
            _log.warning(
                "a batching stage holds up its loop; declare it without batch=",
                stage=self._stage.name,
                seconds=round(elapsed_s, 3),
            )
        return outcome, self._sign(work, outcome, began_s)

    def _outcome(self, work: Input, span: str) -> Outcome:
        structlog.contextvars.bind_contextvars(
            stage=self._stage.name,
            job_id=work.job.job_id if work.job else "",
            trace_id=trace.trace_id(span),
            **{"try": work.turn.try_number},
        )
        try:
            task = Task(
                stage=self._stage,
                job=work.job,
                settings=self._settings,
                store=None,
                folder=None,
                tell=_unheard,
                try_number=work.turn.try_number,
                clock=self._clock,
            )
            return Finished(self._stage(work.envelope.event, task))
        except BaseException as error:  # as in a child: a handler ends its own try, never the stage
            failure = of_exception(error)
            if isinstance(failure, Crashed):
                _log.exception("the handler crashed")
            return failure
        finally:
            structlog.contextvars.clear_contextvars()

    def _sign(self, work: Input, outcome: Outcome, began_s: float) -> StepProgressed | None:
        # What a step makes says that it is done, and outranks every sign. One more record for each
        # that is over in microseconds costs the batch a third of its rate.
        if not isinstance(outcome, Finished) or outcome.events:
            return None
        course = course_of(self._stage, self._settings, self._clock, work)
        course.began_s = began_s
        return course.sign("done", self._clock.monotonic_s())


def _unheard(sign: Sign) -> None:
    """Progress of what is over at once is of no use to anybody."""
