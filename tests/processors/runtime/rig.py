"""A bus in a folder with a host on it, and a clock that tests can put forward."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from processors.runtime import Stage
from processors.runtime.clock import Clock
from processors.runtime.host import Host
from processors.settings import StageSettings
from schemas.events import Event, ImportRequested, JobCanceled, JobRetried, Work
from topics import catalog, trace
from topics.codec import Codec, Envelope, Poison
from topics.log import Log, Outgoing, Record
from topics.settings import BusSettings

GENEROUS_S = 60.0
"""Longest wait for what should happen soon: the machine may be busy."""


def until(condition: Callable[[], Any], what: str, within_s: float = GENEROUS_S) -> Any:
    """Wait until the condition is true, and return what it gave."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.01)
    raise AssertionError(f"not within {within_s} s: {what}")


def is_running(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def settings_in(folder: Path, level: str = "DEBUG", **changes: Any) -> StageSettings:
    """Settings whose everything lies in the folder."""
    no_file: dict[str, Any] = {"_env_file": None}
    values: dict[str, Any] = {
        "bus": BusSettings(**no_file, data_dir=folder / "data", log_level=level),
        "scratch_dir": folder / "scratch",
        "worker_name": "rig",
    }
    return StageSettings(**no_file, **(values | changes))


class Rig:
    """Writes requests, runs hosts, reads what came of it.

    On the embedded log, or on Kafka where the environment says so; topics are named as in the
    catalog, whatever their prefix on the log.
    """

    def __init__(self, folder: Path, *stages: Stage, **changes: Any) -> None:
        self.folder = folder
        self.stages = stages
        self.settings = settings_in(folder, **changes)
        self.log: Log = self.settings.bus.open_log()
        self.codec: Codec = self.settings.bus.codec()
        self.ahead_ms = 0
        self.clock = Clock(wall_ms=lambda: time.time_ns() // 1_000_000 + self.ahead_ms)
        wanted = catalog.partitions(stage.name for stage in stages)
        self.log.provision({self.codec.on_log(name): count for name, count in wanted.items()})
        self._producer = self.log.producer("test")

    @contextmanager
    def host(self, *stages: Stage, **changes: Any) -> Iterator[Host]:
        """A host on this bus, stopped behind the block."""
        settings = self.settings.model_copy(update=changes)
        host = Host(stages or self.stages, settings, log=self.log, clock=self.clock)
        host.start()
        try:
            yield host
        finally:
            host.stop()

    def request(self, job: str, do: str = "work", *, attempt: int = 1, **options: str) -> Envelope:
        """Ask for work; returns what was written."""
        work = Work(
            callback_id=f"cbk_{job}",
            job_id=job,
            track_id=f"track-{job}",
            attempt=attempt,
            duration_ms=10_000,
            options={"do": do, **options},
        )
        return self.write(ImportRequested(work=work), f"request {job} {attempt}")

    def cancel(self, job: str, attempt: int = 1) -> None:
        """Cancel a job."""
        self.write(JobCanceled(job_id=job, track_id=f"track-{job}", attempt=attempt), f"c {job}")

    def retried(self, job: str, attempt: int) -> None:
        """Start a new attempt of a job."""
        self.write(JobRetried(job_id=job, track_id=f"track-{job}", attempt=attempt), f"r {job}")

    def write(self, event: Event, cause: str) -> Envelope:
        """Write an event as the gateway would."""
        envelope = Envelope.caused(
            event, by=cause, source="gateway", time_ms=1, traceparent=trace.begin()
        )
        self._producer.send([self.codec.encode(envelope)])
        return envelope

    def write_bytes(self, topic: str, value: bytes, **fields: Any) -> None:
        """Write any bytes."""
        self._producer.send([Outgoing(self.codec.on_log(topic), value, **fields)])

    def records(self, *topics: str) -> list[Record]:
        """Every record of these topics."""
        reader = self.log.reader([self.codec.on_log(topic) for topic in topics])
        found: list[Record] = []
        try:
            while not reader.caught_up():
                found += reader.poll(1.0)
        finally:
            reader.close()
        return found

    def events(self, *topics: str) -> list[Envelope]:
        """Every event of these topics."""
        return [self.codec.decode(record) for record in self.records(*topics)]

    def wait_for(self, topic: str, count: int = 1) -> list[Envelope]:
        """The events of a topic, once there are that many."""
        self.wait_for_records(topic, count)
        return self.events(topic)

    def wait_for_records(self, topic: str, count: int = 1) -> list[Record]:
        """The records of a topic, once there are that many."""
        until(lambda: len(self.records(topic)) >= count, f"{count} records in {topic}")
        return self.records(topic)

    def committed(self, stage: str) -> int:
        """How many records a stage is done with, over all partitions of its inputs."""
        return sum(self.log.group_offsets(self.codec.on_log(stage)).values())

    def written(self) -> dict[str, int]:
        """How many records each topic has, those without any left out, progress apart."""
        counts: dict[str, int] = {}
        prefix = self.codec.on_log("")
        for name in self.log.topics():
            topic = self.codec.in_catalog(name)
            if not name.startswith(prefix) or topic == "step-progressed":
                continue
            if found := self.records(topic):
                counts[topic] = len(found)
        return counts

    def states(self, job: str) -> Sequence[str]:
        """The states of a job's signs, in order of their sequence."""
        signs = [e.event for e in self.events("step-progressed")]
        mine = [s for s in signs if getattr(s, "job_id", "") == job]
        mine.sort(key=lambda s: (s.try_number, s.sequence))  # type: ignore[union-attr]
        return [s.state for s in mine]  # type: ignore[union-attr]


def decodes(codec: Codec, record: Record) -> bool:
    """Whether a record is an event."""
    try:
        codec.decode(record)
    except Poison:
        return False
    return True
