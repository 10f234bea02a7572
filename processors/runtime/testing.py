"""Runs a stage in a test: in this process, against a local store, without a log or a child."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from processors.runtime.clock import Clock
from processors.runtime.conversation import Progress, Sign, Sized, Waiting
from processors.runtime.declaration import Stage
from processors.runtime.jobs import job_of
from processors.runtime.later import Later
from processors.runtime.task import Task
from processors.settings import StageSettings
from schemas.events import Artifact, Event
from topics.artifacts.protocol import ArtifactStore
from topics.settings import BusSettings


@dataclass(frozen=True, slots=True)
class Ran:
    """What a handler made and told."""

    events: tuple[Event | Later, ...]
    signs: tuple[Sign, ...]

    @property
    def event(self) -> Any:
        """The only event. Raises `ValueError` when there is not exactly one."""
        (event,) = self.events
        return event

    @property
    def progress(self) -> tuple[Progress, ...]:
        """The progress it reported, in order."""
        return tuple(sign for sign in self.signs if isinstance(sign, Progress))

    @property
    def length_s(self) -> float | None:
        """The length of the material it reported last."""
        sizes = [sign.seconds for sign in self.signs if isinstance(sign, Sized)]
        return sizes[-1] if sizes else None

    @property
    def waited(self) -> bool:
        """Whether it waited for another worker's result."""
        return any(isinstance(sign, Waiting) for sign in self.signs)


class StageEnvironment:
    """A store and settings under a folder of the test; what the handler raises comes through."""

    def __init__(
        self,
        folder: Path,
        *,
        clock: Clock | None = None,
        sleep: Callable[[float], None] = time.sleep,
        **settings: Any,
    ) -> None:
        no_file: dict[str, Any] = {"_env_file": None}  # a developer's .env is not the test's
        values: dict[str, Any] = {
            "bus": BusSettings(**no_file, data_dir=folder / "data"),
            "scratch_dir": folder / "scratch",
            "worker_name": "test",
        }
        self.settings = StageSettings(**no_file, **(values | settings))
        self.store: ArtifactStore = self.settings.bus.open_artifacts()
        self._folder = folder
        self._clock = clock or Clock()
        self._sleep = sleep
        self._runs = 0

    def put(
        self,
        name: str,
        content: bytes | Path,
        media_type: str = "application/octet-stream",
        *,
        key: str = "",
    ) -> Artifact:
        """Store what an event shall refer to, and refer to it."""
        suffix = content.suffix if isinstance(content, Path) else ""
        stored = self.store.put(key or f"uploads/default/{name}{suffix}", content, media_type)
        return Artifact(
            name=name,
            uri=stored.uri,
            sha256=stored.sha256 or "",
            bytes=stored.bytes,
            media_type=media_type,
        )

    def run(self, stage: Stage, event: Event, *, try_number: int = 1) -> Ran:
        """Run the handler once, as a worker would. Raises what it raises."""
        if not isinstance(event, stage.consumes):
            raise TypeError(f"{stage.name} does not consume {type(event).__name__}")
        self._runs += 1
        folder = self._folder / "scratch" / f"run-{self._runs}"
        folder.mkdir(parents=True)
        signs: list[Sign] = []
        task = Task(
            stage=stage,
            job=job_of(event),
            settings=self.settings,
            store=None if stage.batch else self.store,
            folder=None if stage.batch else folder,
            tell=signs.append,
            try_number=try_number,
            clock=self._clock,
            sleep=self._sleep,
        )
        return Ran(stage(event, task), tuple(signs))
