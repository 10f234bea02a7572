"""A bus with admission on it, and somebody who does what is released."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from processors.admission.service import Admission
from schemas.events import (
    AdmissionReported,
    Event,
    ExtractionAdmitted,
    FeaturesExtracted,
    JobCanceled,
)
from tests.processors.admission.items import requested
from tests.processors.runtime.rig import Rig, until
from topics.admission import WaitingRoom

ADMITTED = ExtractionAdmitted.topic


class Hall(Rig):
    """Asks, admits, ends."""

    def __init__(self, folder: Path, **changes: Any) -> None:
        super().__init__(folder, **changes)
        self.ended: list[str] = []

    @contextmanager
    def admission(self, **changes: Any) -> Iterator[Admission]:
        """The service, stopped behind the block."""
        settings = self.settings.model_copy(update=changes)
        with Admission(settings, log=self.log) as service:
            yield service

    def process(self) -> subprocess.Popen[bytes]:
        """The service in a process of its own, to be killed."""
        return subprocess.Popen(
            [sys.executable, "-m", "tests.processors.admission.process", str(self.folder)],
            stdout=subprocess.DEVNULL,
        )

    def ask(self, *names: str, task: str = "", **wanted: Any) -> None:
        """Ask for items."""
        for name in names:
            event = requested(name, task, **wanted)
            self.write(event, f"{name} {event.work.attempt}")

    def admitted(self) -> list[ExtractionAdmitted]:
        """What was released until now, in the order of release."""
        events = [envelope.event for envelope in self.events(ADMITTED)]
        found = [event for event in events if isinstance(event, ExtractionAdmitted)]
        return sorted(found, key=lambda event: event.sequence)

    def names(self) -> list[str]:
        """Items in the order of their release."""
        return [event.work.job_id for event in self.admitted()]

    def wait_for_names(self, count: int) -> list[str]:
        """The released items, once there are that many."""
        until(lambda: len(self.records(ADMITTED)) >= count, f"{count} released")
        return self.names()

    def end(self, event: ExtractionAdmitted) -> None:
        """Do as if the item were extracted."""
        self.ended.append(event.work.job_id)
        done: Event = FeaturesExtracted(work=event.work, extraction=event.extraction)
        self.write(done, f"{event.work.job_id} {event.work.attempt} done")

    def end_open(self) -> int:
        """End everything that is released and not ended; how many there were."""
        busy = [each for each in self.admitted() if each.work.job_id not in self.ended]
        for event in busy:
            self.end(event)
        return len(busy)

    def cancel_task(self, task: str) -> None:
        """What the gateway writes when somebody cancels."""
        order = JobCanceled(job_id=task, track_id=task, attempt=1, reason="enough", by="owner")
        self.write(order, f"cancel {task}")

    def canceled(self) -> list[str]:
        """Whose end was said, in any order."""
        events = [envelope.event for envelope in self.events(JobCanceled.topic)]
        return [event.job_id for event in events if isinstance(event, JobCanceled)]

    def report(self) -> AdmissionReported | None:
        """The newest report."""
        room = WaitingRoom(self.log, self.codec)
        room.refresh()
        return room.latest


def once_each(names: list[str]) -> bool:
    """Whether nothing is there twice."""
    return max(Counter(names).values(), default=0) <= 1


__all__ = ["ADMITTED", "Hall", "once_each", "until"]
