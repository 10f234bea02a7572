"""Hosts any set of stages in one process."""

from __future__ import annotations

import faulthandler
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from processors.runtime.clock import Clock
from processors.runtime.control import Control
from processors.runtime.declaration import Stage
from processors.runtime.scratch import Scratch
from processors.runtime.worker import State, Worker
from processors.settings import StageSettings
from topics import logs
from topics.log import Log, LogError

_CLOSING_S = 20.0  # for the last commit, killing the children and leaving the group

_SWITCH_S = 0.0005
"""How long a thread that computes keeps the interpreter while another wants it. A commit wants it
after each of its calls: at Python's 5 ms one took up to 80 ms beside a batch in work, and stages
that batch lost a quarter of their rate."""

_logger = logs.get(__name__)


@dataclass(frozen=True, slots=True)
class StageHealth:
    """How one stage of this process stands."""

    alive: bool  # the loop moves
    ready: bool  # it owns partitions, or waits for some in a running group
    state: State
    reason: str  # why it stopped by itself
    assigned: int  # partitions
    in_work: int
    lag: int  # records of all partitions that no worker of the stage has committed; -1: unknown
    crashed_inputs: int  # in a row
    still_s: float  # seconds since the loop last moved


class Host:
    """Stages side by side: a poll thread each, one reader of the control topics for all.

    The topics must exist (`topics.catalog.partitions`). Close with `drain` or `stop`; the log is
    closed with it unless it was given.
    """

    def __init__(
        self,
        stages: Sequence[Stage],
        settings: StageSettings,
        *,
        log: Log | None = None,
        clock: Clock | None = None,
    ) -> None:
        names = [stage.name for stage in stages]
        if len(set(names)) != len(names):
            raise ValueError(f"a stage is named twice: {', '.join(names)}")
        self._settings = settings
        self._stages = tuple(stages)
        self._clock = clock or Clock()
        self._own_log = log is None
        self._log = log or settings.bus.open_log()
        # No patience: who polls a log waits for no registry; the worker comes back to the record.
        self._codec = settings.bus.codec(patience_s=0.0)
        self._over = threading.Event()
        self._workers: dict[str, Worker] = {}
        self._control: Control | None = None
        self._scratch: Scratch | None = None
        self._watchdog = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    def start(self) -> None:
        """Begin to work. Raises `UnknownTopic` when the control topics do not exist."""
        sys.setswitchinterval(_SWITCH_S)
        self._scratch = Scratch(self._settings.scratch_dir)
        self._control = Control(self._log, self._codec)
        for stage in self._stages:
            worker = Worker(
                stage,
                self._settings,
                log=self._log,
                codec=self._codec,
                control=self._control,
                scratch=self._scratch,
                clock=self._clock,
            )
            self._workers[stage.name] = worker
            self._control.listen(worker.wake)
        self._control.start()
        for worker in self._workers.values():
            worker.start()
        self._watchdog.start()
        _logger.info("stages started", stages=[stage.name for stage in self._stages])

    def drain(self, grace_s: float | None = None) -> None:
        """No new work; what is in hand ends within the grace time or is handed over. Blocks.

        What is handed over was not committed: the next worker gets it.
        """
        grace = self._settings.drain_seconds if grace_s is None else grace_s
        for worker in self._workers.values():
            worker.drain(grace)
        deadline_s = time.monotonic() + grace + _CLOSING_S  # one for all: waits don't add up
        for name, worker in self._workers.items():
            if not worker.join(max(deadline_s - time.monotonic(), 0.0)):
                _logger.error("a stage does not stop and is left behind", stage=name)
        if self._control is not None:
            self._control.stop()
            self._control = None
        self._over.set()
        if self._watchdog.is_alive():
            self._watchdog.join()
        if self._scratch is not None:
            self._scratch.close()
            self._scratch = None
        self._codec.close()
        if self._own_log:
            self._log.close()

    def stop(self) -> None:
        """Hand everything over now."""
        self.drain(0.0)

    def wake(self) -> None:
        """Let every worker look again at the clock."""
        for worker in self._workers.values():
            worker.wake()

    @property
    def alive(self) -> bool:
        """Liveness: every loop moves. False means that the process should be started again."""
        return all(health.alive for health in self.health(lag=False).values())

    def health(self, *, lag: bool = True) -> Mapping[str, StageHealth]:
        """How each stage stands. ``lag=False`` leaves out what the log must be asked for."""
        control = self._control is not None and self._control.alive
        return {
            name: self._health(worker, control, self._lag(worker) if lag else -1)
            for name, worker in self._workers.items()
        }

    def _health(self, worker: Worker, control: bool, lag: int) -> StageHealth:
        standing = worker.standing()
        still_s = self._clock.monotonic_s() - worker.moved_s
        return StageHealth(
            alive=worker.alive and control and still_s < self._settings.stuck_seconds,
            ready=worker.alive and standing.state == "running",
            state=standing.state,
            reason=standing.reason,
            assigned=standing.assigned,
            in_work=standing.in_work,
            lag=lag,
            crashed_inputs=standing.crashed_inputs,
            still_s=still_s,
        )

    def _lag(self, worker: Worker) -> int:
        try:
            ends = self._log.end_offsets(worker.topics)
            done = self._log.group_offsets(worker.group)
        except LogError as error:
            _logger.warning("the lag is unknown", stage=worker.stage.name, error=str(error))
            return -1
        return sum(end - done.get(tp, 0) for tp, end in ends.items())

    def _watch(self) -> None:
        """Dump the stacks of a process whose loop stands still, once for each standstill."""
        stuck: set[str] = set()
        while not self._over.wait(min(self._settings.stuck_seconds / 4, 5.0)):
            for name, worker in self._workers.items():
                still_s = self._clock.monotonic_s() - worker.moved_s
                if still_s < self._settings.stuck_seconds or not worker.alive:
                    stuck.discard(name)
                elif name not in stuck:
                    stuck.add(name)
                    _logger.error("a stage stands still; its stacks follow", stage=name)
                    faulthandler.dump_traceback(sys.__stderr__ or 2, all_threads=True)
